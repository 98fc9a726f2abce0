"""A run on a cluster in memory: what the target does, and what a person is told of it."""

import dataclasses
import io
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from consort.cluster import silence, target
from consort.cluster.target import ClusterTarget
from consort.errors import InputError, StepFailed
from consort.events import Event, MembersBegun, MembersEnded, Quiet, Warned, line
from consort.kube import names
from consort.run.plan import plan
from consort.run.run import Run
from consort.run.stages import execute
from consort.screen.live import Screen
from consort.store.folder import FolderStore
from consort.study.file import parse_study
from fake_cluster import FakeCluster
from fake_operator import FakeOperator, progress_line

STUDY = """
name = "two"
[data]
source = "digits"
train_images = 300
val_images = 300
[recipe]
name = "fast"
[architectures]
wrn-10-1 = { seeds = 2 }
"""


class World:
    def __init__(self, folder: Path, more: str = "") -> None:
        store, cache, text = FolderStore(folder / "store"), folder / "cache", STUDY + more
        self.run = Run(plan(store, parse_study(text, "study.toml"), folder, cache, study_text=text), store, cache)
        self.cluster = FakeCluster()
        self.operator = FakeOperator(self.cluster, store)
        self.told: list[Event] = []
        self.out = io.StringIO()
        self.screen = Screen(Console(file=self.out, width=200))
        self.target = ClusterTarget(self.cluster, self.listen)  # type: ignore[arg-type]

    def listen(self, event: Event) -> None:
        self.told.append(event)
        self.screen.listen(event)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_members_are_trained_and_told_of_on_the_console(world: World) -> None:
    with world.operator.served():
        assert sorted(world.target.train(world.run).trained) == sorted(world.run.ids)
    assert [type(event) for event in (world.told[1], world.told[-1])] == [MembersBegun, MembersEnded]
    lines = world.out.getvalue().splitlines()
    assert lines[0] == "training 2 of 2 members in namespace default, 2 at a time"
    assert lines[-1].endswith("done (2 of 2)") and world.screen.shown is None
    assert world.target.train(world.run).trained == [], "nothing is lacking any more"


def printed(world: World, text: str) -> None:
    """Wait until the console has it."""
    deadline = time.monotonic() + 20
    while text not in world.out.getvalue():
        assert time.monotonic() < deadline, world.out.getvalue()
        time.sleep(0.02)


def test_the_whole_run_says_how_long_it_takes(world: World) -> None:
    """One at a time: half of the first has a second left, and the second waits."""
    def train(name: str) -> None:
        world.cluster.print_line(f"{name}-master-0", "pytorch", progress_line(name))
        printed(world, "all members: ")
        world.operator.succeed(name)

    world.operator.act = dict.fromkeys(world.run.ids, train)
    with world.operator.served():
        dataclasses.replace(world.target, at_a_time=1).train(world.run)
    begun = next(event for event in world.told if isinstance(event, MembersBegun))
    assert begun.packs == tuple((member,) for member in world.run.ids) and {*begun.work} == {*world.run.ids}
    first = next(line for line in world.out.getvalue().splitlines() if line.startswith("all members: "))
    assert first == "all members: 100 images/s, about 3 s left"


def test_without_what_counts_networks_no_time_is_promised(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> dict[str, float]:
        raise InputError("torch is not here")

    monkeypatch.setattr(target, "work_of", refuse)
    with world.operator.served():
        assert sorted(world.target.train(world.run).trained) == sorted(world.run.ids)
    assert "all members" not in world.out.getvalue()


def test_a_pack_that_a_gpu_has_no_room_for_says_so_to_whoever_follows_the_run(tmp_path: Path) -> None:
    world = World(tmp_path, "[cluster]\nmembers_per_job = 2\ngpus = 1\n")
    text = "2 members do not fit into the GPU's memory together: 1 at a time"

    def train(name: str) -> None:
        for member in world.run.ids:
            world.cluster.print_line(f"{name}-master-0", "pytorch", line(Warned(member, text)))
            printed(world, f"{member}  warning: {text}")
        world.operator.succeed(name)

    world.operator.act[names.members_job_name(world.run.ids)] = train
    with world.operator.served():
        assert sorted(world.target.train(world.run).trained) == sorted(world.run.ids)
    assert world.out.getvalue().splitlines()[0].endswith("2 at a time, up to 2 in a job")


@pytest.mark.parametrize(("more", "words"), [
    ("[cluster]\nmembers_per_job = 2\n", "up to 2 in a job, one after another\n"),
    ('[cluster]\ngpu_resource = "nvidia.com/mig-1g.10gb"\n', "but gpus is 0: pods ask for none, and train on the "
                                                             "processor. Set gpus to 1."),
    ("[run]\nmembers_per_gpu = 4\n[cluster]\ngpus = 1\n", "Set members_per_job to 4 or a multiple of it."),
    ("[run]\nmembers_per_gpu = 4\n", ""),
    ("[run]\nmembers_per_gpu = 4\n[cluster]\ngpus = 1\nmembers_per_job = 8\n", "")])
def test_what_is_doubtful_of_how_members_share_gpus_is_said(tmp_path: Path, more: str, words: str) -> None:
    world = World(tmp_path, more)
    with world.operator.served():
        world.target.train(world.run)
    assert words in world.out.getvalue() and ("warning: [" in world.out.getvalue()) == words.endswith(".")


def test_one_member_can_be_launched_and_followed_by_another_process(world: World) -> None:
    first, _ = world.run.ids
    with world.operator.served():
        assert world.target.launch(world.run, [first]).trained == [first]
        assert world.target.follow(world.run).trained == [], "the other one has no job"
    assert world.operator.created == [first]


def test_silence_is_told_with_what_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(silence, "FIRST_SECONDS", 0.02)
    quiet = threading.Event()

    def listen(event: Event) -> None:
        if isinstance(event, Quiet) and "whose pod says nothing" in event.what:
            quiet.set()

    world.operator.act[world.run.ids[0]] = lambda name: (quiet.wait(20), world.operator.succeed(name))[1]
    with world.operator.served():
        ClusterTarget(world.cluster, listen).train(world.run)  # type: ignore[arg-type]
    assert quiet.is_set()


def test_a_deleted_answer_job_says_that_the_same_command_goes_on(world: World) -> None:
    def delete(stopped: threading.Event) -> None:
        for event in world.cluster.follow("Job", "", stopped.is_set):
            if event.type == "ADDED":
                world.cluster.vanish("Job", event.object["metadata"]["name"])

    stopped = threading.Event()
    with world.operator.served():
        thread = threading.Thread(target=delete, args=(stopped,))
        thread.start()
        try:
            with pytest.raises(StepFailed, match="The same command creates it again") as raised:
                execute(world.run, world.target)
        finally:
            stopped.set()
            thread.join()
    assert raised.value.exit_code == 4


def test_an_export_is_one_job_that_is_gone_when_it_succeeded(world: World) -> None:
    found: list[list[str]] = []

    def succeed(stopped: threading.Event) -> None:
        for event in world.cluster.follow("Job", "", stopped.is_set):
            if event.type == "ADDED":
                found.append(event.object["spec"]["template"]["spec"]["containers"][0]["args"])
                world.cluster.set_status("Job", event.object["metadata"]["name"],
                                         {"conditions": [{"type": "Complete", "status": "True"}]})

    stopped = threading.Event()
    thread = threading.Thread(target=succeed, args=(stopped,))
    thread.start()
    try:
        world.target.export(world.run, ["c7", "--half"])
    finally:
        stopped.set()
        thread.join()
    [arguments] = found
    assert arguments[:4] == ["export", world.run.ref, "c7", "--half"] and world.run.store.uri in arguments
    assert world.cluster.list("Job") == []
    assert "exporting in namespace default" in world.out.getvalue()
