"""Katib's controller on a cluster in memory: it makes trials of the Experiments that appear, and ends them as told."""

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from consort.kube.training import MEMBER_JOB
from consort.run.run import Run
from consort.search import trials
from consort.search.latencies import NetworkLatencies
from fake_cluster import FakeCluster
from fake_operator import FakeOperator

Outcome = Callable[[int], str]
"""Number of a trial in its Experiment -> Succeeded, Failed, Lost (succeeded, but without a record) or Running."""


class FakeKatib:
    """Gives every Experiment its trials, one after the other, from random choices of its parameters."""

    def __init__(self, cluster: FakeCluster, run: Run, outcome: Outcome = lambda number: "Succeeded",
                 hardware: str = "pods-hardware") -> None:
        self.cluster, self.run, self.outcome, self.hardware = cluster, run, outcome, hardware
        self.stopped = threading.Event()
        self.created: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=self._control, daemon=True)

    def __enter__(self) -> "FakeKatib":
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped.set()
        self.thread.join(10)

    def _control(self) -> None:
        for event in self.cluster.follow("Experiment", "", self.stopped.is_set):
            if event.type == "ADDED" and "status" not in event.object:
                self.created.append(event.object)
                self._lead(event.object)

    def _lead(self, experiment: dict[str, Any]) -> None:
        name, spec = experiment["metadata"]["name"], experiment["spec"]
        kind = experiment["metadata"]["labels"]["consort.dev/arm"].partition("-")[0]
        rng, failed = random.Random(name), 0
        for number in range(spec["maxTrialCount"]):
            if self.stopped.is_set() or self.cluster.get("Experiment", name) is None:
                return
            chosen = {p["name"]: rng.choice(p["feasibleSpace"]["list"]) for p in spec["parameters"]}
            how = self._try(f"{name}-{number:08d}", name, kind, chosen, number)
            failed += how == "Failed"
            if how == "Running":
                return
            if failed >= spec["maxFailedTrialCount"]:
                self._end(name, "Failed", "max failed count has reached")
                return
        self._end(name, "Succeeded", "max trial count has reached")

    def _try(self, trial: str, experiment: str, kind: str, chosen: dict[str, str], number: int) -> str:
        self.cluster.create({
            "apiVersion": "kubeflow.org/v1beta1", "kind": "Trial",
            "metadata": {"name": trial, "labels": {"katib.kubeflow.org/experiment": experiment}},
            "spec": {"parameterAssignments": [{"name": n, "value": v} for n, v in chosen.items()]}})
        conditions = [{"type": "Created", "status": "True"}, {"type": "Running", "status": "True"}]
        self.cluster.set_status("Trial", trial, {"conditions": conditions})
        how = self.outcome(number)
        if how == "Running":
            return how
        if how == "Succeeded":
            self._record(kind, chosen, number)
        conditions[-1]["status"] = "False"
        conditions.append({"type": "Succeeded" if how == "Lost" else how, "status": "True", "message": "it ended"})
        self.cluster.set_status("Trial", trial, {"conditions": conditions,
                                                 "completionTime": f"2026-11-24T10:{number:02d}:00Z"})
        return how

    def _record(self, kind: str, chosen: dict[str, str], number: int) -> None:
        search = trials.search_of(self.run.plan)
        networks = search.networks_of(kind, search.space(kind).encoding_of(chosen))
        self.run.store.write(f"latency/{self.hardware}/known.json", b"{}")
        write_record(self.run, trials.Candidate(kind, networks), 0.5 + number / 100, self.hardware)

    def _end(self, name: str, how: str, message: str) -> None:
        self.cluster.set_status("Experiment", name, {"conditions": [
            {"type": "Running", "status": "False"},
            {"type": how, "status": "True", "reason": f"Experiment{how}", "message": message}]})


class SecondTrainings(FakeOperator):
    """Plays the jobs of second trainings: each writes its record, and ends."""

    def __init__(self, cluster: FakeCluster, run: Run, reward: Callable[[str], float] = lambda trial: 0.4,
                 hardware: str = "pods-hardware") -> None:
        super().__init__(cluster, run.store)
        self.run, self.reward, self.hardware = run, reward, hardware

    def succeed(self, job: str) -> None:
        found = self.cluster.get("PyTorchJob", job)
        assert found is not None
        (container,) = MEMBER_JOB.containers(found)
        of = dict(zip(container["args"], container["args"][1:], strict=False))
        tried = trials.candidate(self.run.plan, of["--kind"], of["--networks"].split(","))
        write_record(self.run, replace(tried, second="--second" in of), self.reward(job), self.hardware)
        self.end_pod(job, 0)
        self.condition(job, "Succeeded")


def write_record(run: Run, tried: trials.Candidate, reward: float, hardware: str) -> None:
    """As a trial's step does that reached this reward."""
    latencies = NetworkLatencies(dict.fromkeys(tried.networks, 0.5), None, "measured", hardware)
    blank = trials.unsuccessful(run.plan, tried, latencies, trials.DONE, "")
    trials.write(run.store, replace(
        blank, reason=None, accuracy=reward, reward=reward, latency_ms=0.5, macs=10**6, parallel_latency_ms=0.5,
        serial_latency_ms=1.0, largest_macs=10**6, params=10**4))
