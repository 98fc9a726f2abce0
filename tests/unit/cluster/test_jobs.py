"""The last Job of a run, on a cluster in memory on which the test plays its controller."""

import threading
from typing import Any

import pytest

from consort.cluster.jobs import refuse_other_work, run_job
from consort.errors import InputError, StepFailed
from consort.events import unheard
from consort.kube import names
from fake_cluster import FakeCluster

NAME = "s-r-answer"


def job(name: str = NAME, owners: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "labels": names.labels(names.ANSWER, "s", "r"), "ownerReferences": owners or []},
            "spec": {"activeDeadlineSeconds": 60}}


def owner(cluster: FakeCluster, name: str) -> dict[str, Any]:
    """A reference to a new Job of this name."""
    created = cluster.create(job(name))
    return {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": created["metadata"]["uid"]}


def end(cluster: FakeCluster, condition: str) -> None:
    cluster.set_status("Job", NAME, {"conditions": [{"type": condition, "status": "True"}]})


def test_a_running_job_is_adopted_and_shares_its_owners() -> None:
    cluster = FakeCluster()
    first, second = owner(cluster, "first"), owner(cluster, "second")
    cluster.create(job(owners=[first]))
    owners: list[str] = []

    def control() -> None:
        for event in cluster.follow("Job", "", lambda: bool(owners)):
            references = event.object["metadata"].get("ownerReferences", []) if event.object else []
            if len(references) == 2:
                owners.extend(reference["uid"] for reference in references)
                end(cluster, "Complete")

    controller = threading.Thread(target=control, daemon=True)
    controller.start()
    run_job(cluster, job(), second, unheard)  # type: ignore[arg-type]
    controller.join(10)
    assert owners == [first["uid"], second["uid"]]
    assert cluster.get("Job", NAME) is None


def test_an_adopted_job_without_owners_stays_free() -> None:
    cluster = FakeCluster()
    launcher = owner(cluster, "launcher")
    cluster.create(job())
    threading.Timer(0.3, end, (cluster, "Failed")).start()
    with pytest.raises(StepFailed):
        run_job(cluster, job(), launcher, unheard)  # type: ignore[arg-type]
    found = cluster.get("Job", NAME)
    assert found is not None and not found["metadata"]["ownerReferences"]


def test_a_running_job_that_does_something_else_is_not_taken_for_the_wanted_one() -> None:
    cluster = FakeCluster()
    running, wanted = of("export", "s/r", "c3"), of("export", "s/r", "c3", "--half")
    cluster.create(running)
    refuse_other_work(running)(running)
    with pytest.raises(InputError, match=r"still runs, and does something else: `consort export s/r c3`"):
        run_job(cluster, wanted, None, unheard, refuse_other_work(wanted))  # type: ignore[arg-type]
    assert cluster.get("Job", NAME) is not None


def of(*arguments: str) -> dict[str, Any]:
    """The Job that calls `consort` with these arguments."""
    spec = {"activeDeadlineSeconds": 60, "template": {"spec": {"containers": [{"args": list(arguments)}]}}}
    return {**job(), "spec": spec}
