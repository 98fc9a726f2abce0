"""Several members in one job, on a cluster in memory: each is adopted, ended, retried and told of by itself."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_member_jobs import MEMBERS, World, build

from consort import members
from consort.cluster.reap import cancel_member, release
from consort.events import Done, Failed, Outcome, PodSeen, Progressed, Retried, Saved, Started, StepEnded, line
from consort.kube import names
from consort.store.folder import FolderStore
from fake_cluster import FakeCluster
from fake_operator import pod_of, record

A, B, C = MEMBERS
OTHER = "wrn-10-1-s7-dddddddddd"
PACK = names.members_job_name(MEMBERS)
POD = f"{PACK}-master-0"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "store")
    with world.operator.served():
        yield world


def new_pod(world: World, job: str) -> None:
    """The pod goes, and the operator makes another."""
    of_members = world.operator.members_of(job)
    world.cluster.delete("Pod", f"{job}-master-0")
    world.cluster.create(pod_of(job, of_members))
    world.operator.run_pod(job)


def until(told: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_pack_has_one_job_and_each_member_its_end(world: World) -> None:
    def train(name: str) -> None:
        for done, member in enumerate(MEMBERS):
            world.operator.finish(name, member)
            until(lambda done=done: len(world.events(Done)) == done + 1)  # told before the job ends
        world.operator.succeed(name)

    world.operator.act[PACK] = train
    outcome = world.run(per_job=3)
    assert sorted(outcome.trained) == MEMBERS and outcome.failed == {}
    assert world.operator.created == [PACK]
    assert world.cluster.list("PyTorchJob") == []
    for kind in (Started, PodSeen, Progressed, Done):
        assert {event.member for event in world.events(kind)} == set(MEMBERS)


def test_packs_need_a_fraction_of_the_requests_and_pods(tmp_path: Path) -> None:
    many = [f"wrn-10-1-s{seed}-{seed:010x}" for seed in range(16)]

    def requests(per_job: int) -> tuple[int, int]:
        """Sent for these members by the launcher, and pods."""
        world = World(tmp_path / str(per_job))
        with world.operator.served():
            assert sorted(world.run(many, at_a_time=16, per_job=per_job).trained) == sorted(many)
        asked = world.cluster.requests
        assert asked["log", "Pod"] <= len(world.operator.created), "the log of each pod is followed"
        return asked["create", "PyTorchJob"] + asked["delete", "PyTorchJob"], asked["create", "Pod"]

    assert requests(1) == (2 * 16, 16)
    assert requests(8) == (2 * 2, 2)


def test_the_limit_counts_members(world: World) -> None:
    world.run(per_job=2, at_a_time=3)
    assert world.operator.most_at_once == 2
    assert sorted(world.operator.created) == sorted([names.members_job_name([A, B]), C])


def test_a_pack_that_is_larger_than_the_limit_is_trained_by_itself(world: World) -> None:
    assert sorted(world.run(per_job=2, at_a_time=1).trained) == MEMBERS
    assert world.operator.most_at_once == 1


def test_two_launchers_have_the_same_job(world: World) -> None:
    gate = threading.Event()
    world.operator.act[PACK] = lambda name: (gate.wait(20), world.operator.succeed(name))[1]
    outcomes: list[Outcome] = []
    launchers = [threading.Thread(target=lambda: outcomes.append(world.run(per_job=3))) for _ in range(2)]
    for launcher in launchers:
        launcher.start()
    until(lambda: len(world.events(Started)) == 2 * len(MEMBERS))
    gate.set()
    for launcher in launchers:
        launcher.join(20)
    assert [sorted(outcome.trained) for outcome in outcomes] == [MEMBERS, MEMBERS]
    assert world.operator.created == [PACK]


def test_members_in_a_pack_of_another_run_are_adopted_and_the_rest_gets_a_job(world: World) -> None:
    """The other run's pack has a member that this run does not want: it goes on when this run has what it wanted."""
    theirs = names.members_job_name([A, B, OTHER])

    def train(name: str) -> None:
        until(lambda: C in world.operator.created)
        for member in (A, OTHER, B):
            world.operator.finish(name, member) if member != OTHER else world.cluster.print_line(
                f"{name}-master-0", "pytorch", line(Saved(OTHER, 5)))

    world.operator.act[theirs] = train
    world.cluster.create(build(world.store)([A, B, OTHER]))
    world.wait_for_pod(theirs)
    assert sorted(world.run(per_job=3).trained) == MEMBERS
    assert world.operator.created == [theirs, C]
    assert {event.member for event in world.told if hasattr(event, "member")} == set(MEMBERS)
    assert world.cluster.get("PyTorchJob", theirs) is not None, "it is somebody else's"


def test_a_rerun_that_adopts_a_pack_some_of_which_is_done_clears_it_away(world: World) -> None:
    members.write_record(world.store, record(A))
    world.operator.act[PACK] = lambda name: (until(lambda: world.events(Started)), world.operator.succeed(name))[1]
    world.cluster.create(build(world.store)(MEMBERS))
    world.wait_for_pod(PACK)
    assert sorted(world.run([B, C], per_job=3).trained) == [B, C]
    assert world.cluster.list("PyTorchJob") == []


def test_a_rerun_leaves_the_log_of_one_that_failed_before_it_adopted_the_pack(world: World) -> None:
    def train(name: str) -> None:
        until(lambda: world.events(Started))
        for member in (B, C):
            world.operator.finish(name, member)
        world.operator.end_pod(name, 3)
        world.operator.condition(name, "Failed")

    members.write_failure(world.store, A, "the loss became nan")
    world.operator.act[PACK] = train
    world.cluster.create(build(world.store)(MEMBERS))
    world.wait_for_pod(PACK)
    assert sorted(world.run([B, C], per_job=3).trained) == [B, C]
    assert world.cluster.get("PyTorchJob", PACK) is not None


@pytest.mark.parametrize("per_job", [1, 3])
def test_one_member_that_a_pack_has_gets_no_job_of_its_own(world: World, per_job: int) -> None:
    world.operator.act[PACK] = lambda name: (until(lambda: world.events(Started)), world.operator.succeed(name))[1]
    world.cluster.create(build(world.store)(MEMBERS))
    world.wait_for_pod(PACK)
    assert world.run([B], per_job=per_job).trained == [B]
    assert world.operator.created == [PACK]
    assert {event.member for event in world.told if hasattr(event, "member")} == {B}


def test_a_pack_that_writes_elsewhere_is_left_alone(world: World, tmp_path: Path) -> None:
    world.operator.act[PACK] = lambda name: None
    world.cluster.create(build(FolderStore(tmp_path / "elsewhere"))(MEMBERS))
    world.wait_for_pod(PACK)
    assert sorted(world.run(MEMBERS[:2], per_job=2).trained) == MEMBERS[:2]
    assert world.cluster.get("PyTorchJob", PACK) is not None


def test_one_that_cannot_be_trained_takes_no_other_with_it(world: World) -> None:
    def train(name: str) -> None:
        world.operator.fail(name, B, "the loss became nan")
        until(lambda: world.events(Failed))  # told while the others train on
        for member in (A, C):
            world.operator.finish(name, member)
        world.operator.end_pod(name, 3)
        world.operator.condition(name, "Failed")

    world.operator.act[PACK] = train
    outcome = world.run(per_job=3)
    assert sorted(outcome.trained) == [A, C] and outcome.failed == {B: "the loss became nan"}
    assert world.operator.created == [PACK]
    assert world.cluster.get("PyTorchJob", PACK) is not None, "a failed job stays, for its log"
    again = world.run(per_job=3)
    assert sorted(again.trained) == [A, C] and list(again.failed) == [B] and world.operator.created == [PACK]


def test_what_a_step_said_of_one_member_is_not_said_of_the_others(world: World) -> None:
    def train(name: str) -> None:
        altered = StepEnded("IntegrityError", "its file was altered", 5, A)
        world.cluster.print_line(f"{name}-master-0", "pytorch", line(altered))
        world.operator.end_pod(name, 137, "OOMKilled")
        world.operator.condition(name, "Failed")

    world.operator.act[PACK] = train
    failed = world.run(per_job=3).failed
    assert failed[A] == "its file was altered"
    assert "OOMKilled" in failed[B] and "altered" not in failed[B] + failed[C]


def test_a_lost_pod_is_a_restart_for_what_is_left(world: World) -> None:
    def train(name: str) -> None:
        world.operator.finish(name, A)
        until(lambda: world.events(Done))
        new_pod(world, name)
        world.operator.succeed(name)

    world.operator.act[PACK] = train
    assert sorted(world.run(per_job=3).trained) == MEMBERS
    assert {event.member for event in world.events(Retried)} == {B, C}
    assert world.operator.created == [PACK]


def crash(world: World, name: str) -> None:
    """One member is done, and the process ends by a defect that says of nobody that it was to blame."""
    world.operator.finish(name, A)
    world.cluster.print_line(f"{name}-master-0", "pytorch", "RuntimeError: CUDA error")
    world.operator.end_pod(name, 1)
    world.operator.condition(name, "Failed")


def test_what_a_defect_leaves_of_a_pack_is_tried_member_by_member(world: World) -> None:
    world.operator.act[PACK] = lambda name: crash(world, name)
    world.operator.act[B] = lambda name: crash(world, name)
    outcome = world.run(per_job=3)
    assert sorted(outcome.trained) == [A, C] and "CUDA error" in outcome.failed[B]
    assert sorted(world.operator.created) == sorted([PACK, B, C])
    assert all("tried by itself" in event.text and "CUDA error" in event.text for event in world.events(Retried))


def test_a_pack_without_enough_memory_is_tried_member_by_member(world: World) -> None:
    def hungry(name: str) -> None:
        for number in range(3):
            if number:
                new_pod(world, name)
            world.operator.end_pod(name, 137, "OOMKilled")

    world.operator.act[PACK] = hungry
    assert sorted(world.run(per_job=3).trained) == MEMBERS
    assert sorted(world.operator.created) == sorted([PACK, *MEMBERS])


def test_following_a_pack_starts_nothing_after_it_crashed(world: World) -> None:
    world.operator.act[PACK] = lambda name: (until(lambda: world.events(Started)), crash(world, name))[1]
    world.cluster.create(build(world.store)(MEMBERS))
    world.wait_for_pod(PACK)
    outcome = world.run(create=False)
    assert outcome.trained == [A] and sorted(outcome.failed) == [B, C]
    assert world.operator.created == [PACK]


def test_following_leaves_a_job_that_failed_before(world: World) -> None:
    world.operator.act[A] = lambda name: world.operator.condition(name, "Failed")
    world.run([A])
    assert world.run([A], create=False) == Outcome()
    assert world.operator.created == [A]


def test_a_rerun_trains_what_is_left_in_a_smaller_pack_in_place_of_the_one_that_failed(world: World) -> None:
    def evicted_for_ever(name: str) -> None:
        world.operator.finish(name, A)
        world.operator.end_pod(name, 137)
        world.operator.condition(name, "Failed")

    world.operator.act[PACK] = evicted_for_ever
    assert sorted(world.run(per_job=3).failed) == [B, C]
    assert sorted(world.run([B, C], per_job=3).trained) == [B, C]
    assert world.operator.created == [PACK, names.members_job_name([B, C])]
    assert world.cluster.list("PyTorchJob") == []


def test_a_member_that_is_cancelled_leaves_its_pack_and_the_others_go_on(world: World) -> None:
    rest = names.members_job_name([A, C])
    world.operator.act[PACK] = lambda name: None
    outcome: list[Outcome] = []
    launcher = threading.Thread(target=lambda: outcome.append(world.run(per_job=3)))
    launcher.start()
    until(lambda: world.events(PodSeen))
    world.cluster.delete("Pod", POD)  # as the operator does when its job is deleted: here somebody has to
    assert cancel_member(world.cluster, B) == [f"PyTorchJob {PACK}"]  # type: ignore[arg-type]
    launcher.join(20)
    assert sorted(outcome[0].trained) == [A, C]
    assert "its job was deleted" in outcome[0].failed[B]
    assert members.read_failure(world.store, B) is None
    assert world.operator.created == [PACK, rest]


def test_the_others_of_a_cancelled_member_go_on_though_a_job_of_just_them_failed_before(world: World) -> None:
    rest = names.members_job_name([A, C])
    world.operator.act[rest] = lambda name: world.operator.condition(name, "Failed")
    world.run([A, C], per_job=2)
    before = world.cluster.get("PyTorchJob", rest)
    assert before is not None, "it failed, and stays for its log"
    world.cluster.delete("Pod", f"{rest}-master-0")
    world.operator.act = {PACK: lambda name: None, rest: lambda name: None}
    world.cluster.create(build(world.store)(MEMBERS))
    world.wait_for_pod(PACK)
    world.cluster.delete("Pod", POD)
    assert cancel_member(world.cluster, B) == [f"PyTorchJob {PACK}"]  # type: ignore[arg-type]
    now = world.cluster.get("PyTorchJob", rest)
    assert now is not None and now["metadata"]["uid"] != before["metadata"]["uid"]
    assert names.members_of(now) == [A, C]


def owned(cluster: FakeCluster, store: FolderStore, pack: list[str], owners: list[str]) -> str:
    """A pack's job that these owners want; its name."""
    job = build(store)(pack)
    references = [{"apiVersion": "batch/v1", "kind": "Job", "name": uid, "uid": uid} for uid in owners]
    for uid in owners:
        cluster.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": uid}, "spec": {}})
    made = {o["metadata"]["name"]: o["metadata"]["uid"] for o in cluster.list("Job")}
    job["metadata"]["ownerReferences"] = [{**r, "uid": made[r["uid"]]} for r in references]
    return cluster.create(job)["metadata"]["name"]


@pytest.mark.parametrize(("owners", "goes"), [(["me"], True), (["me", "other"], False)])
def test_a_launcher_that_is_stopped_ends_the_packs_that_it_alone_wants(
        tmp_path: Path, owners: list[str], goes: bool) -> None:
    cluster, store = FakeCluster(), FolderStore(tmp_path)
    name = owned(cluster, store, MEMBERS, owners)
    mine = {"uid": next(o["metadata"]["uid"] for o in cluster.list("Job") if o["metadata"]["name"] == "me")}
    for wanted in ([OTHER], [B, OTHER]):
        released = release(cluster, wanted, mine)  # type: ignore[arg-type]
        assert released is (goes and B in wanted)
    assert (cluster.get("PyTorchJob", name) is None) == goes
