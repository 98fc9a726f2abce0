"""An object that shall be there, on a cluster in memory where others create and delete too."""

from typing import Any

import pytest

from consort.cluster import adopt
from consort.cluster.adopt import create_or_adopt, create_or_find
from consort.errors import AlreadyExists, ClusterUnavailable, InputError
from fake_cluster import FakeCluster

WANTED: dict[str, Any] = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"}, "spec": {"made": "now"}}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adopt, "PAUSE_SECONDS", 0.0)


def owner(cluster: FakeCluster, name: str) -> dict[str, Any]:
    """A reference to a new Job of this name."""
    created = cluster.create({**WANTED, "metadata": {"name": name}})
    return {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": created["metadata"]["uid"]}


def owners(job: dict[str, Any]) -> list[str]:
    return [reference["name"] for reference in job["metadata"].get("ownerReferences", [])]


def earlier(cluster: FakeCluster, **metadata: Any) -> str:
    """The uid of a job of this name that is there already."""
    created = cluster.create({**WANTED, "metadata": {"name": "job", **metadata}, "spec": {"made": "before"}})
    return created["metadata"]["uid"]


def adopted(cluster: Any, useless: bool = False, clear_seconds: float = 5.0, **more: Any) -> dict[str, Any]:
    return create_or_adopt(cluster, WANTED, more.pop("owner", None), lambda known: known["spec"]["made"] == "before"
                           and useless, clear_seconds, **more)


def test_a_new_object_belongs_to_its_owner_and_what_was_asked_for_stays_as_it_is() -> None:
    cluster = FakeCluster()
    launcher = owner(cluster, "launcher")
    assert owners(adopted(cluster, owner=launcher)) == ["launcher"]
    assert "ownerReferences" not in WANTED["metadata"]


def test_one_that_is_there_is_adopted_and_has_two_owners() -> None:
    cluster = FakeCluster()
    uid = earlier(cluster, ownerReferences=[owner(cluster, "first")])
    assert adopted(cluster, owner=owner(cluster, "second"))["metadata"]["uid"] == uid
    found = cluster.get("Job", "job")
    assert found is not None and owners(found) == ["first", "second"]


def test_one_that_is_not_to_be_adopted_gets_no_owner() -> None:
    cluster = FakeCluster()
    earlier(cluster, ownerReferences=[owner(cluster, "first")])

    def refuse(known: dict) -> None:
        raise InputError("other settings")

    with pytest.raises(InputError, match="other settings"):
        adopted(cluster, owner=owner(cluster, "second"), check=refuse)
    found = cluster.get("Job", "job")
    assert found is not None and owners(found) == ["first"]


@pytest.mark.parametrize("metadata", [{}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}])
def test_one_that_is_useless_or_leaves_is_replaced(metadata: dict[str, Any]) -> None:
    cluster = FakeCluster()
    uid = earlier(cluster, **metadata)
    job = adopted(cluster, useless=not metadata)
    assert job["spec"]["made"] == "now" and job["metadata"]["uid"] != uid


class Lasting(FakeCluster):
    """Nothing goes away."""

    def delete(self, kind: str, name: str, uid: str | None = None) -> None:
        self.requests["delete", kind] += 1


def test_one_that_does_not_go_is_an_error() -> None:
    cluster = Lasting()
    earlier(cluster)
    with pytest.raises(ClusterUnavailable, match="an earlier Job job is not gone"):
        adopted(cluster, useless=True, clear_seconds=0.05)
    assert cluster.requests["delete", "Job"] > 0


class Fickle(FakeCluster):
    """Somebody else creates the object just before, and deletes it just after, so often."""

    times = 0

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        if self.times:
            self.times -= 1
            raise AlreadyExists("there is one")
        return super().create(obj)


def test_one_that_goes_meanwhile_is_created() -> None:
    cluster = Fickle()
    cluster.times = adopt.ATTEMPTS - 1
    assert create_or_find(cluster, WANTED, None)["spec"]["made"] == "now"  # type: ignore[arg-type]


def test_one_that_comes_and_goes_is_an_error() -> None:
    cluster = Fickle()
    cluster.times = adopt.ATTEMPTS
    with pytest.raises(ClusterUnavailable, match="the Job job comes and goes"):
        create_or_find(cluster, WANTED, None)  # type: ignore[arg-type]
