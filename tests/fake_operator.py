"""The Training Operator on a cluster in memory, and the pods it makes: each plays what a test tells it to."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from consort import members
from consort.events import Progressed, StepEnded, Trained, line
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

    def members_of(self, job: str) -> list[str]:
        found = self.cluster.get("PyTorchJob", job)
        assert found is not None
        return names.members_of(found)

    def start_pod(self, job: str) -> None:
        pod = pod_of(job, self.members_of(job))
        pod["metadata"]["labels"] |= (self.cluster.get("PyTorchJob", job) or {})["metadata"]["labels"]
        self.cluster.create(pod)
        self.run_pod(job)

    def run_pod(self, job: str) -> None:
        """The job's pod prints from now on."""
        runs = {"name": "pytorch", "restartCount": 0, "state": {"running": {}}}
        self.cluster.set_status("Pod", f"{job}-master-0", {"phase": "Running", "containerStatuses": [runs]})
        self.condition(job, "Running")

    def condition(self, job: str, kind: str, message: str = "") -> None:
        self.cluster.set_status("PyTorchJob", job, {"conditions": [{"type": kind, "status": "True", "reason": kind,
                                                                    "message": message}]})

    def succeed(self, job: str) -> None:
        for member in self.members_of(job):
            self.finish(job, member)
        self.end_pod(job, 0)
        self.condition(job, "Succeeded")

    def finish(self, job: str, member: str) -> None:
        """One of the job's members is trained; as a pod of several tells it, and writes it."""
        self.cluster.print_line(f"{job}-master-0", "pytorch", progress_line(member))
        if members.read_record(self.store, member) is None:
            members.write_record(self.store, record(member))
        self.cluster.print_line(f"{job}-master-0", "pytorch", line(Trained(member, 0.5, 1.0)))

    def fail(self, job: str, member: str, reason: str) -> None:
        """One of the job's members cannot be trained."""
        members.write_failure(self.store, member, reason)
        self.cluster.print_line(f"{job}-master-0", "pytorch", line(StepEnded("MemberFailed", reason, 3, member)))

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


def pod_of(job: str, of_members: Sequence[str] = ()) -> dict[str, Any]:
    labels = {**names.labels(names.MEMBER, "s", "r"), **names.member_labels(of_members or [job]), JOB_LABEL: job,
              ROLE_LABEL: "master"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{job}-master-0", "labels": labels},
            "spec": {"nodeName": "node-1", "containers": [{"name": "pytorch", "image": "i"}]}}


def record(member: str) -> MemberRecord:
    return MemberRecord(id=member, architecture="wrn-10-1", data="d", recipe={}, seed=0, files={}, macs=1, params=1,
                        input="8x8", val_accuracy=0.5, precision="float32")
