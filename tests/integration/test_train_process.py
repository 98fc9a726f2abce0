"""`consort train` as a process: signals, exit codes, and what it prints."""

import signal
import subprocess

import pytest
from small_members import BASE, PATIENCE_SECONDS, World, consort, events_of, is_event, lines_until, start

from consort import members
from consort.members.spec import MemberSpec
from consort.store import keys
from consort.train import checkpoint

EVERY = 10


def start_training(world: World, spec: MemberSpec) -> tuple[subprocess.Popen[str], str]:
    """A process that has just written its second checkpoint, and what it printed until then."""
    process = start("train", "--member", spec.id, "--store", world.store.uri, "--log", "json", "--deterministic",
                    "--checkpoint-steps", str(EVERY), "--checkpoint-seconds", "1000")
    lines_until(process, is_event("checkpoint"))
    return process, lines_until(process, is_event("checkpoint"))[-1] + "\n"


def finish_training(world: World, spec: MemberSpec) -> int:
    """Go on in another process, to the end; the step that it went on from."""
    done = consort("train", "--member", spec.id, "--store", world.store.uri, "--log", "json",
                   "--deterministic")
    assert (done.returncode, done.stderr) == (0, "")
    events = events_of(done.stdout)
    assert events[-1]["event"] == "finished" and events[-1]["member"] == spec.id
    (resumed,) = (event["step"] for event in events if event["event"] == "resumed")
    return resumed


def test_sigterm_saves_and_the_rerun_is_bit_identical(world: World, trained_long: tuple[World, MemberSpec]) -> None:
    whole, spec = trained_long
    members.write_specs(world.store, [spec])
    process, out = start_training(world, spec)
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, errors) == (143, "")
    *_, saved, error = events_of(out + rest)
    assert saved["event"] == "checkpoint" and error["event"] == "error" and error["exit_code"] == 143
    assert f"step {saved['step']} is saved" in error["text"]
    assert finish_training(world, spec) == saved["step"]
    assert world.files(spec) == whole.files(spec)
    assert world.record(spec).attempts == 2


def test_sigkill_loses_no_more_than_the_interval(world: World, trained_long: tuple[World, MemberSpec]) -> None:
    whole, spec = trained_long
    members.write_specs(world.store, [spec])
    process, out = start_training(world, spec)
    process.kill()
    rest, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == -signal.SIGKILL
    announced = events_of(out + rest.rpartition("\n")[0])[-1]["step"]
    # A checkpoint may have been complete and not yet announced.
    assert finish_training(world, spec) in (announced, announced + EVERY)
    assert world.files(spec) == whole.files(spec)


def test_a_loss_that_is_not_finite_exits_with_3(world: World) -> None:
    spec = world.spec(BASE | {"learning_rate": 1e12})
    done = consort("train", "--member", spec.id, "--store", world.store.uri)
    assert done.returncode == 3
    assert done.stderr.startswith(f"error: member {spec.id}: the loss became ")
    assert done.stderr.count("\n") == 1
    assert world.store.exists(keys.member_failure(spec.id))


def test_an_unknown_member_exits_with_2(world: World) -> None:
    spec = world.spec(BASE)
    done = consort("train", "--member", "wrn-10-1-s1", "--store", world.store.uri)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown member 'wrn-10-1-s1': there is none yet.")
    members.write_failure(world.store, spec.id, "why")
    done = consort("train", "--member", "wrn-10-1-s1", "--store", world.store.uri)
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown member 'wrn-10-1-s1'") and spec.id in done.stderr
    assert done.stderr.count("\n") == 1
    done = consort("train", "--member", "wrn-10-1-s1", "--store", world.store.uri, "--log", "json")
    (event,) = events_of(done.stdout)
    assert (done.returncode, done.stderr, event["event"], event["exit_code"]) == (2, "", "error", 2)


@pytest.mark.parametrize("log", ["json", "text"])
def test_a_busy_member_exits_with_175(world: World, log: str) -> None:
    spec = world.spec(BASE)
    with world.store.lock(keys.member_lock(spec.id)):
        done = consort("train", "--member", spec.id, "--store", world.store.uri, "--log", log)
    assert done.returncode == 175
    if log == "json":
        error = events_of(done.stdout)[-1]
        assert (error["kind"], error["exit_code"], done.stderr) == ("Busy", 175, "")
        assert spec.id in error["text"]
    else:
        assert done.stderr.startswith("error: ") and spec.id in done.stderr and done.stderr.count("\n") == 1
    assert checkpoint.newest(world.store, spec.id, print) is None


def test_of_several_members_one_that_failed_before_is_left_alone(world: World) -> None:
    """A pod that is started again for the others of a pack does not train it until it fails again."""
    good, bad = world.spec(BASE), world.spec(BASE | {"learning_rate": 1e12})
    members.write_failure(world.store, bad.id, "the loss became nan at step 7")
    done = consort("train", "--member", bad.id, "--member", good.id, "--store", world.store.uri, "--log", "json")
    assert (done.returncode, done.stderr) == (3, "")
    events = events_of(done.stdout)
    assert [event["text"] for event in events if event["event"] == "error"] == ["the loss became nan at step 7"]
    assert {event["member"] for event in events if event["event"] in ("started", "finished")} == {good.id}
