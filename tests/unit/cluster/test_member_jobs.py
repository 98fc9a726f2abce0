"""Following members' jobs, on a cluster in memory on which the test plays the operator and the pods."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest

from consort import members
from consort.cluster.explain import why_stuck
from consort.cluster.followed import Followed
from consort.cluster.member_jobs import MemberJobs
from consort.events import Done, Event, Outcome, Progressed, Retried, StepEnded, Warned, line, unheard
from consort.kube import names
from consort.store.folder import FolderStore
from fake_cluster import FakeCluster
from fake_operator import FakeOperator, pod_of, progress_line, record

MEMBERS = ["wrn-10-1-s0-aaaaaaaaaa", "wrn-10-1-s1-bbbbbbbbbb", "wrn-10-1-s2-cccccccccc"]
FULL = 'Usage of EmptyDir volume "scratch" exceeds the limit "1Gi".'
OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "launcher", "uid": "uid-of-launcher"}

Told = TypeVar("Told", bound=Event)


def build(store: FolderStore, settings: str = "one") -> Callable[[Sequence[str]], dict[str, Any]]:
    def job(pack: Sequence[str]) -> dict[str, Any]:
        labels = {**names.labels(names.MEMBER, "s", "r"), **names.member_labels(pack)}
        return names.with_spec_hash({
            "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob",
            "metadata": {"name": names.members_job_name(pack), "labels": labels,
                         "annotations": {names.STORE_ANNOTATION: store.uri}},
            "spec": {"settings": settings}})
    return job


def packs(free: Sequence[str], per_job: int) -> list[list[str]]:
    return [list(free[i:i + per_job]) for i in range(0, len(free), per_job)]


class World:
    def __init__(self, folder: Path) -> None:
        self.cluster, self.store = FakeCluster(), FolderStore(folder)
        self.operator = FakeOperator(self.cluster, self.store)
        self.told: list[Event] = []

    def run(self, wanted: list[str] = MEMBERS, at_a_time: int = 10, owner: Mapping[str, Any] | None = None,
            settings: str = "one", create: bool = True, deadline_seconds: float = 60.0, per_job: int = 1) -> Outcome:
        jobs = MemberJobs(self.cluster, self.store, lambda free: packs(free, per_job),  # type: ignore[arg-type]
                          build(self.store, settings), self.told.append, at_a_time, deadline_seconds, owner)
        return jobs.run(wanted, create)

    def events(self, kind: type[Told]) -> list[Told]:
        return [event for event in self.told if isinstance(event, kind)]

    def wait_for_pod(self, job: str) -> None:
        deadline = time.monotonic() + 20
        while not (self.cluster.get("PyTorchJob", job) or {}).get("status"):
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "store")
    with world.operator.served():
        yield world


def test_every_member_gets_one_job_and_done_ones_leave_none(world: World) -> None:
    outcome = world.run()
    assert sorted(outcome.trained) == MEMBERS and outcome.failed == {}
    assert sorted(world.operator.created) == MEMBERS
    assert world.cluster.list("PyTorchJob") == []
    assert {event.member for event in world.events(Done)} == set(MEMBERS)


def test_no_more_members_at_a_time_than_stated(world: World) -> None:
    world.run(at_a_time=1)
    assert world.operator.most_at_once == 1


def test_members_that_the_store_has_get_no_job(world: World) -> None:
    members.write_record(world.store, record(MEMBERS[0]))
    members.write_failure(world.store, MEMBERS[1], "its loss became NaN")
    outcome = world.run()
    assert world.operator.created == [MEMBERS[2]]
    assert outcome.failed == {MEMBERS[1]: "its loss became NaN"}


def test_a_running_job_is_adopted_and_shares_its_owners(world: World) -> None:
    job = build(world.store)(MEMBERS[:1])
    job["metadata"]["ownerReferences"] = [{**OWNER, "uid": "somebody", "name": "other"}]
    for owner in ("other", "launcher"):
        world.cluster.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": owner}, "spec": {}})
    uids = {o["metadata"]["name"]: o["metadata"]["uid"] for o in world.cluster.list("Job")}
    job["metadata"]["ownerReferences"][0]["uid"] = uids["other"]
    gate, owners = threading.Event(), []

    def wait(name: str) -> None:
        gate.wait(30)
        found = world.cluster.get("PyTorchJob", name)
        assert found is not None
        owners.extend(o["uid"] for o in found["metadata"]["ownerReferences"])
        world.operator.succeed(name)

    world.operator.act[MEMBERS[0]] = wait
    world.cluster.create(job)
    threading.Timer(0.5, gate.set).start()
    outcome = world.run([MEMBERS[0]], owner={**OWNER, "uid": uids["launcher"]})
    assert outcome.trained == [MEMBERS[0]] and world.operator.created == [MEMBERS[0]]
    assert owners == [uids["other"], uids["launcher"]]


def test_the_log_of_an_adopted_job_is_followed_though_its_pod_does_not_change(world: World) -> None:
    ready, seen = threading.Event(), []

    def train(name: str) -> None:
        world.cluster.print_line(f"{name}-master-0", "pytorch", progress_line(name))
        ready.set()

    def end_when_seen() -> None:
        deadline = time.monotonic() + 5
        while not world.events(Progressed) and time.monotonic() < deadline:
            time.sleep(0.02)
        seen.extend(world.events(Progressed))
        world.operator.succeed(MEMBERS[0])

    world.operator.act[MEMBERS[0]] = train
    world.cluster.create(build(world.store)(MEMBERS[:1]))
    assert ready.wait(10)
    threading.Thread(target=end_when_seen).start()
    assert world.run([MEMBERS[0]]).trained == [MEMBERS[0]]
    assert seen


def test_other_settings_are_adopted_with_a_warning(world: World) -> None:
    gate = threading.Event()
    world.operator.act[MEMBERS[0]] = lambda name: (gate.wait(30), world.operator.succeed(name))[1]
    world.cluster.create(build(world.store, "one")(MEMBERS[:1]))
    threading.Timer(0.5, gate.set).start()
    assert world.run([MEMBERS[0]], settings="two").trained == [MEMBERS[0]]
    assert "other [cluster] settings" in world.events(Warned)[0].text


def test_a_job_that_writes_into_another_store_is_an_error_that_says_so(world: World, tmp_path: Path) -> None:
    world.operator.act[MEMBERS[0]] = lambda name: None
    world.cluster.create(build(FolderStore(tmp_path / "elsewhere"))(MEMBERS[:1]))
    outcome = world.run([MEMBERS[0]])
    assert str(tmp_path / "elsewhere") in outcome.failed[MEMBERS[0]]
    assert world.cluster.get("PyTorchJob", MEMBERS[0]) is not None, "it is somebody else's"


def test_a_job_that_failed_before_is_replaced(world: World) -> None:
    def fail_once(name: str) -> None:
        world.operator.act[name] = world.operator.succeed
        world.operator.condition(name, "Failed")

    world.operator.act[MEMBERS[0]] = fail_once
    assert MEMBERS[0] in world.run([MEMBERS[0]]).failed
    world.cluster.delete("Pod", f"{MEMBERS[0]}-master-0")
    assert world.run([MEMBERS[0]]).trained == [MEMBERS[0]]
    assert world.operator.created == [MEMBERS[0]] * 2


def test_a_failure_says_what_the_step_said_and_others_go_on(world: World) -> None:
    def diverge(name: str) -> None:
        world.cluster.print_line(f"{name}-master-0", "pytorch",
                                 line(StepEnded("MemberFailed", "the loss became nan", 3)))
        world.operator.end_pod(name, 3)
        world.operator.condition(name, "Failed")

    world.operator.act[MEMBERS[1]] = diverge
    outcome = world.run()
    assert outcome.failed == {MEMBERS[1]: "the loss became nan"}
    assert sorted(outcome.trained) == [MEMBERS[0], MEMBERS[2]]
    assert world.cluster.get("PyTorchJob", MEMBERS[1]) is not None, "a failed job stays, for its log"


def test_a_failure_without_a_word_gives_exit_reason_and_last_lines(world: World) -> None:
    def vanish(name: str) -> None:
        world.cluster.print_line(f"{name}-master-0", "pytorch", "loading")
        world.operator.end_pod(name, 137, "OOMKilled")
        world.operator.condition(name, "Failed")

    world.operator.act[MEMBERS[0]] = vanish
    reason = world.run([MEMBERS[0]]).failed[MEMBERS[0]]
    assert "OOMKilled" in reason and "loading" in reason
    assert members.why_missing(world.store, MEMBERS[0]) == reason, "for a report that is made later"


def test_a_deleted_job_is_a_failure_and_not_created_again(world: World) -> None:
    world.operator.act[MEMBERS[0]] = lambda name: world.cluster.vanish("PyTorchJob", name)
    reason = world.run([MEMBERS[0]]).failed[MEMBERS[0]]
    assert "deleted" in reason and "The same command starts it again" in reason
    assert members.read_failure(world.store, MEMBERS[0]) is None, "so that the same command does"
    assert world.operator.created == [MEMBERS[0]]


def test_success_without_a_record_is_a_failure(world: World) -> None:
    world.operator.act[MEMBERS[0]] = lambda name: world.operator.condition(name, "Succeeded")
    assert "does not have it" in world.run([MEMBERS[0]]).failed[MEMBERS[0]]


def test_a_pod_that_cannot_start_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consort.cluster.followed.STUCK_SECONDS", 0.2)
    world.operator.act[MEMBERS[0]] = world.operator.lack_image
    assert "ImagePullBackOff: no such image" in world.run([MEMBERS[0]]).failed[MEMBERS[0]]
    assert world.cluster.get("PyTorchJob", MEMBERS[0]) is None


def test_a_pod_that_no_node_has_room_for_says_what_it_asks_for(world: World) -> None:
    assert why_stuck({"spec": {"containers": [{}]}}, "Unschedulable: no room") == "Unschedulable: no room"
    first = {"resources": {"limits": {"cpu": "1000m", "nvidia.com/gpu": "1"}}}
    pod = {"spec": {"initContainers": [first], "containers": [{"resources": {"limits": {"cpu": "1000m"}}}]}}
    text = why_stuck(pod, "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
    assert "Insufficient nvidia.com/gpu. Its pod asks for 1000m of cpu, 1 of nvidia.com/gpu, and starts when" in text
    assert why_stuck(pod, "ImagePullBackOff: none") == "ImagePullBackOff: none"


def test_a_pod_that_waited_for_a_node_is_given_up_where_it_then_cannot_start(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def find_a_node(name: str) -> None:
        world.operator.lack_node(name)
        world.operator.lack_image(name)

    monkeypatch.setattr("consort.cluster.followed.STUCK_SECONDS", 0.2)
    monkeypatch.setattr("consort.cluster.followed.SILENCE_SECONDS", 3.0)
    world.operator.act[MEMBERS[0]] = find_a_node
    assert "ImagePullBackOff: no such image" in world.run([MEMBERS[0]], deadline_seconds=0.0).failed[MEMBERS[0]]


def test_a_job_whose_pod_never_started_is_ended_after_its_deadline(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consort.cluster.followed.STUCK_SECONDS", 0.1)
    monkeypatch.setattr("consort.cluster.followed.SILENCE_SECONDS", 0.2)
    world.operator.act[MEMBERS[0]] = world.operator.lack_node
    reason = world.run([MEMBERS[0]], deadline_seconds=0.2).failed[MEMBERS[0]]
    assert "within its deadline" in reason and "Unschedulable: no room" in reason
    assert world.cluster.get("PyTorchJob", MEMBERS[0]) is None


def test_the_deadline_does_not_run_while_a_queue_holds_the_job_back(
        world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a deadline of nothing, any look at the time of a job that is not held back ends it."""
    looked = threading.Semaphore(0)
    check_times = MemberJobs._check_times
    monkeypatch.setattr(MemberJobs, "_check_times", lambda jobs: (check_times(jobs), looked.release())[0])
    monkeypatch.setattr("consort.cluster.followed.SILENCE_SECONDS", 0.0)
    held = build(world.store)(MEMBERS[:1])
    world.operator.act[MEMBERS[0]] = lambda name: None
    world.cluster.create(held)
    world.wait_for_pod(MEMBERS[0])
    world.operator.condition(MEMBERS[0], "Suspended")

    def get_quota() -> None:
        for _ in range(3):
            assert looked.acquire(timeout=20)
        world.operator.succeed(MEMBERS[0])

    threading.Thread(target=get_quota, daemon=True).start()
    assert world.run([MEMBERS[0]], deadline_seconds=0.0).trained == [MEMBERS[0]]
    monkeypatch.undo()


def test_a_member_that_runs_out_of_memory_again_and_again_is_given_up(world: World) -> None:
    def hungry(name: str) -> None:
        for _ in range(3):
            world.operator.end_pod(name, 137, "OOMKilled")
            world.cluster.delete("Pod", f"{name}-master-0")
            world.cluster.create(pod_of(name))

    world.operator.act[MEMBERS[0]] = hungry
    assert "Raise [cluster] memory" in world.run([MEMBERS[0]]).failed[MEMBERS[0]]
    assert world.cluster.get("PyTorchJob", MEMBERS[0]) is None


def evicted(world: World, name: str, says_so: bool) -> None:
    """A pod whose volume is full is ended; its own state says so, or only an event, as it was gone too soon."""
    if says_so:
        world.cluster.set_status("Pod", f"{name}-master-0", {"phase": "Failed", "reason": "Evicted", "message": FULL})
    else:
        world.cluster.add_event("Pod", f"{name}-master-0", "FailedMount", "of before it started", "Warning")
        world.cluster.add_event("Pod", f"{name}-master-0", "Evicted", FULL, "Warning")
        world.cluster.add_event("Pod", f"{name}-master-0", "Killing", "Stopping container pytorch")
    world.cluster.delete("Pod", f"{name}-master-0")
    world.cluster.create(pod_of(name))
    world.operator.succeed(name)


@pytest.mark.parametrize("says_so", [True, False])
def test_a_restart_says_why_the_pod_before_it_ended(world: World, says_so: bool) -> None:
    world.operator.act[MEMBERS[0]] = lambda name: evicted(world, name, says_so)
    assert world.run([MEMBERS[0]]).trained == [MEMBERS[0]]
    assert [event.text for event in world.events(Retried)] == [f"its pod ended (Evicted: {FULL}) and is started again"]


def test_a_job_that_failed_by_evictions_says_which_volume_was_full(world: World) -> None:
    def fill(name: str) -> None:
        world.cluster.set_status("Pod", f"{name}-master-0", {"phase": "Failed", "reason": "Evicted", "message": FULL})
        world.operator.condition(name, "Failed")

    world.operator.act[MEMBERS[0]] = fill
    assert world.run([MEMBERS[0]]).failed[MEMBERS[0]] == f"its pod {MEMBERS[0]}-master-0 ended with Evicted: {FULL}"


def test_what_is_waited_for_is_said_of_every_job(world: World) -> None:
    jobs = MemberJobs(world.cluster, world.store, lambda free: [], build(world.store),  # type: ignore[arg-type]
                      unheard, 10, 60.0)
    assert jobs.awaited() == "the list of jobs and pods"
    running = pod_of(MEMBERS[0])
    running["status"] = {"phase": "Running"}
    jobs.waiting = [["h", "i"]] * 20
    jobs.active = {
        "a": Followed(["a"], 0.0), "b": Followed(["b"], 0.0), "c": Followed(["c"], 0.0, clearing=True),
        "d": Followed(["d"], 0.0, suspended=True), "e": Followed(["e"], 0.0, pod=running, has_pod=True),
        "f": Followed(["f"], 0.0, pod=running, has_pod=True, stuck="Unschedulable: no room"),
        "g": Followed(["g"], 0.0, pod=running)}
    assert jobs.awaited() == (
        "3 jobs without a pod (does the Training Operator run, or is it busy?), 1 job of an earlier attempt being "
        "removed, 1 job held back by a queue, 1 job whose pod says nothing (is its node away?), 1 job whose "
        "pod cannot start (Unschedulable), 40 to begin")


def test_following_creates_nothing(world: World) -> None:
    assert world.run(create=False) == Outcome()
    assert world.operator.created == []


def test_changes_in_a_cut_of_the_watch_are_not_lost(world: World) -> None:
    def in_the_dark(name: str) -> None:
        with world.cluster.cut_watches(forget=True):
            world.operator.succeed(name)

    world.operator.act[MEMBERS[0]] = in_the_dark
    assert world.run([MEMBERS[0]]).trained == [MEMBERS[0]]


def test_a_member_costs_few_requests_however_long_it_trains(world: World) -> None:
    world.run()
    per_member = sum(n for (verb, _), n in world.cluster.requests.items() if verb in ("create", "delete", "log", "get",
                                                                                      "patch")) / len(MEMBERS)
    assert per_member <= 8  # the operator of this test creates the pods, and counts too
