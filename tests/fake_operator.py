"""The Training Operator on a cluster in memory, and the pods it makes: each plays what a test tells it to."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from consort import members
from consort.events import Progressed, line
from consort.kube import names
from consort.kube.pytorch_job import JOB_LABEL, ROLE_LABEL
from consort.members.records import MemberRecord
from consort.store import Store
from fake_cluster import FakeCluster


def progress_line(member: str) -> str:
    return line(Progressed(member, 1.0, 2, 5, 10, 0.5, 100.0, 1.0))


class FakeOperator:
    """Gives every new PyTorchJob a pod and lets `act` play it, once per job."""

    def __init__(self, cluster: FakeCluster, store: Store) -> None:
        self.cluster, self.store = cluster, store
        self.act: dict[str, Callable[[str], None]] = {}
        self.created: list[str] = []
        self.at_once = self.most_at_once = 0

    def serve(self, stopped: Callable[[], bool]) -> None:
        for event in self.cluster.follow("PyTorchJob", "", stopped):
            if event.type == "ADDED" and not event.object.get("status"):
                name = event.object["metadata"]["name"]
                self.created.append(name)
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                threading.Thread(target=self._play, args=(name,), daemon=True).start()
            elif event.type == "DELETED":
                self.at_once -= 1

    @contextmanager
    def served(self) -> Iterator[None]:
        """It serves while the context lasts."""
        stop = threading.Event()
        thread = threading.Thread(target=self.serve, args=(stop.is_set,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _play(self, name: str) -> None:
        self.start_pod(name)
        self.act.get(name, self.succeed)(name)

    def start_pod(self, job: str, phase: str = "Running") -> None:
        pod = pod_of(job)
        pod["metadata"]["labels"] |= (self.cluster.get("PyTorchJob", job) or {})["metadata"]["labels"]
        self.cluster.create(pod)
        self.cluster.set_status("Pod", f"{job}-master-0", {"phase": phase})
        self.condition(job, "Running")

    def condition(self, job: str, kind: str, message: str = "") -> None:
        self.cluster.set_status("PyTorchJob", job, {"conditions": [{"type": kind, "status": "True", "reason": kind,
                                                                    "message": message}]})

    def succeed(self, job: str) -> None:
        self.cluster.print_line(f"{job}-master-0", "pytorch", progress_line(job))
        members.write_record(self.store, record(job))
        self.end_pod(job, 0)
        self.condition(job, "Succeeded")

    def lack_node(self, job: str) -> None:
        self.cluster.set_status("Pod", f"{job}-master-0", {"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no room"}]})

    def lack_image(self, job: str) -> None:
        waiting = {"name": "pytorch", "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff",
                                                                               "message": "no such image"}}}
        self.cluster.set_status("Pod", f"{job}-master-0", {"phase": "Pending", "containerStatuses": [waiting]})

    def end_pod(self, job: str, code: int, reason: str = "Error") -> None:
        ended = {"name": "pytorch", "restartCount": 0, "state": {"terminated": {"exitCode": code, "reason": reason}}}
        self.cluster.set_status("Pod", f"{job}-master-0", {"phase": "Failed" if code else "Succeeded",
                                                           "containerStatuses": [ended]})


def pod_of(job: str) -> dict[str, Any]:
    labels = {**names.labels(names.MEMBER, "s", "r"), names.MEMBER_LABEL: job, JOB_LABEL: job,
              ROLE_LABEL: "master"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{job}-master-0", "labels": labels},
            "spec": {"nodeName": "node-1", "containers": [{"name": "pytorch", "image": "i"}]}}


def record(member: str) -> MemberRecord:
    return MemberRecord(id=member, architecture="wrn-10-1", data="d", recipe={}, seed=0, files={}, macs=1, params=1,
                        input="8x8", val_accuracy=0.5, precision="float32")
