"""`consort search` on one machine as a process: to its answer, interrupted, with failures, with a wrong target."""

import json
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from small_members import DATA, World, consort, events_of, lines_until, read_json, start, study_files

KINDS = ("single", "uniform", "joint")
EVERY_FILE = {"plan.json", "study.toml", "arms", "search.json", "search.html", "search.md", "search.png",
              "search-trials.csv", "search-trials.parquet"}


def write_study(folder: Path, kinds: tuple[str, ...] = KINDS, trials: int = 2, target_ms: float = 100, epochs: int = 1,
                learning_rate: float = 0.1, final: str = "seeds = 2, singles = 1",
                **search: object) -> Path:
    """A search on the digits that the tests' stores hold."""
    given = {"members": 2, "sampler": "evolution", "settings": {"population": 2, "sample": 1, "initial": 1},
             "trials": trials, "control": False, "parallel": 1, **search}
    file = folder / "study.toml"
    file.write_text(f"""
name = "looking"
question = "Two together or copies?"
data = {{ source = "digits", train_images = {DATA.train_images}, val_images = {DATA.val_images} }}
recipe = {{ epochs = 2, batch_size = 32, learning_rate = {learning_rate}, flip = false, crop_padding = 1 }}
latency = {{ repeats = 3 }}
run = {{ checkpoint_steps = 5 }}
[search]
kinds = {json.dumps(kinds)}
{"".join(f"{key} = {toml(value)}{chr(10)}" for key, value in given.items())}
recipe = {{ epochs = {epochs} }}
objective = {{ target_latency_ms = {target_ms}, source = "measured" }}
space = {{ block = ["wide"], width = [4, 8], depth = [1, 2] }}
final = {{ {final} }}
""")
    return file


def toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {item}" for key, item in value.items()) + " }"
    return json.dumps(value)


def proposals(store: Path) -> dict[str, list[list[str]]]:
    """Arm -> the networks that it tried, in order."""
    (run,) = (store / "studies" / "looking").iterdir()
    return {arm.name: [read_json(file)["networks"] for file in sorted(arm.iterdir())]
            for arm in sorted((run / "arms").iterdir())}


def records(store: Path) -> list[dict]:
    return [read_json(file) for file in sorted((store / "trials").iterdir())]


def times(store: Path) -> dict[str, int]:
    return {str(file): file.stat().st_mtime_ns
            for pattern in ("members/*/member.json", "trials/*.json") for file in store.glob(pattern)}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, new_world: Callable[..., World]
          ) -> tuple[Path, Path, subprocess.CompletedProcess[str]]:
    """A search that ran to its end: its study file, its store, what it printed."""
    study, store = write_study(tmp_path_factory.mktemp("search")), new_world().store.root
    return study, store, consort("search", str(study), "--store", str(store))


def test_a_search_ends_with_the_answer_and_its_files(first) -> None:
    _, store, done = first
    assert (done.returncode, done.stderr) == (0, "")
    files = study_files(store, "looking")
    assert set(files) == EVERY_FILE
    results = read_json(files["search.json"])
    assert [(arm["kind"], arm["sampler"], len(arm["trials"])) for arm in results["arms"]] == [
        (kind, "evolution", 2) for kind in KINDS]
    assert all(trial["state"] == "done" for arm in results["arms"] for trial in arm["trials"])
    assert f"report: {files['search.html']}" in done.stdout.splitlines()
    assert {row["kind"] for row in results["final"]["ensembles"]} >= set(KINDS)
    for gain in (one for row in results["final"]["ensembles"] for one in row["differences"]):
        low, high = gain["anew"] or (-1, 1)
        assert (gain["anew"] is None) == (gain["anew_unknown"] is not None)
        assert (gain["resolved"], gain["resolved_anew"]) == (not gain["low"] <= 0 <= gain["high"], not low <= 0 <= high)
    assert results["train_macs"].keys() == set(KINDS)
    of_arms = {arm["kind"]: arm["train_macs"] for arm in results["arms"]}
    assert 0 < of_arms["single"] < of_arms["uniform"] and results["train_macs"] == of_arms, "no second trainings"
    assert "No candidate was trained a second time" in done.stdout


def test_the_best_single_of_all_trials_is_trained_with_the_winners(first) -> None:
    _, store, _ = first
    alone: dict[str, dict[str, float]] = {}
    for trial in records(store):
        for name, member, accuracy in zip(trial["networks"], trial["members"], trial["member_accuracies"], strict=True):
            alone.setdefault(name, {})[member] = accuracy
    best = min(alone, key=lambda name: (-sum(alone[name].values()) / len(alone[name]), name))
    (final,) = (store / "studies" / "looking-final").iterdir()
    assert best in read_json(final / "plan.json")["study"]["architectures"]


def test_no_network_is_trained_twice_with_one_seed_and_winners_have_new_ones(first) -> None:
    _, store, _ = first
    trained = [read_json(file) for file in store.glob("members/*/member.json")]
    assert {member["attempts"] for member in trained} == {1}
    tried = {member for trial in records(store) for member in trial["members"]}
    assert {member["seed"] for member in trained if member["id"] in tried} == {0, 1}
    assert {member["seed"] for member in trained if member["id"] not in tried} == {1000, 1001}
    uniform = [trial for trial in records(store) if trial["kind"] == "uniform"]
    assert sum(trial["reused"] for trial in records(store)) > 0
    assert all(len(set(trial["networks"])) == 1 and len(trial["networks"]) == 2 for trial in uniform)


def test_the_reward_and_latencies_of_a_trial_follow_from_its_members(first) -> None:
    for trial in records(first[1]):
        each = [trial["network_latencies_ms"][name] for name in trial["networks"]]
        assert trial["parallel_latency_ms"] == max(each) and trial["serial_latency_ms"] == pytest.approx(sum(each))
        assert trial["latency_ms"] == trial["parallel_latency_ms"]
        assert trial["reward"] == pytest.approx(trial["accuracy"] * (max(each) / 100) ** -0.07)


def test_the_same_search_again_trains_nothing(first) -> None:
    study, store, before = first[0], first[1], times(first[1])
    done = consort("search", str(study), "--store", str(store))
    assert (done.returncode, done.stderr) == (0, "") and times(store) == before
    assert consort("search", str(study), "--store", str(store), "--only", "report").returncode == 0


def test_winners_lists_what_was_found(first) -> None:
    study, store, _ = first
    found = json.loads(consort("winners", str(study), "--store", str(store), "--json").stdout)
    assert [winner["kind"] for winner in found["winners"]] == list(KINDS)
    assert {member["state"] for member in found["members"]} == {"done"} and found["study"] == "looking-final"


def test_an_interrupted_search_goes_on_with_the_same_trials(first, world: World, tmp_path: Path) -> None:
    """Its arms see what those of the whole search saw, which had a third kind beside them."""
    store, study = world.store.root, str(write_study(tmp_path, kinds=("single", "uniform")))
    process = start("search", study, "--store", str(store), "--only", "search")
    lines_until(process, lambda line: re.match(r"t-\w+  uniform-evolution 1/2", line) is not None)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130 and "The same command goes on" in out
    before = times(store)
    assert sum(name.endswith(".json") and "/trials/" in name for name in before) < 4
    assert consort("search", study, "--store", str(store), "--only", "search").returncode == 0
    assert before.items() <= times(store).items()
    whole = proposals(first[1])
    assert proposals(store) == {arm: whole[arm] for arm in ("single-evolution", "uniform-evolution")}


def test_trials_that_fail_are_recorded_and_end_the_search_when_they_are_too_many(world: World, tmp_path: Path) -> None:
    study = write_study(tmp_path, kinds=("single",), trials=8, learning_rate=1e12, max_failures=2)
    for _ in range(2):  # the second time nothing is tried again
        done = consort("search", str(study), "--store", world.store.uri)
        assert done.returncode == 4 and "2 trials failed" in done.stderr and "max_failures = 2" in done.stderr
        found = records(world.store.root)
        assert [trial["state"] for trial in found] == ["failed"] * 2
        assert ["the loss became" in trial["reason"] for trial in found] == [True] * 2, found
    assert "Nothing is claimed yet" in study_files(world.store.root, "looking")["search.md"].read_text()


def test_the_best_are_trained_a_second_time_with_new_seeds_and_only_once(world: World, tmp_path: Path) -> None:
    study = str(write_study(tmp_path, kinds=("single",), final="seeds = 1, retrain = 2"))
    asked = ("search", study, "--store", world.store.uri, "--only", "search")
    done = consort(*asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert "training the best 2 candidates of single a second time" in done.stdout
    assert "single-second 2/2" in done.stdout
    by_second = {second: [trial for trial in records(world.store.root) if trial["second"] == second]
                 for second in (False, True)}
    firsts, seconds = by_second[False], by_second[True]
    assert {tuple(t["networks"]) for t in firsts} == {tuple(t["networks"]) for t in seconds} and len(seconds) == 2
    seeds = {read_json(file)["id"]: read_json(file)["seed"] for file in world.store.root.glob("members/*/member.json")}
    assert {seeds[member] for trial in seconds for member in trial["members"]} == {500}
    rows = read_json(study_files(world.store.root, "looking")["search.json"])["retraining"]["rows"]
    assert rows[0]["reward"] >= rows[1]["reward"]
    assert all(row["reward_mean"] == pytest.approx((row["reward"] + row["reward_second"]) / 2) for row in rows)
    (winner,) = json.loads(consort("winners", study, "--store", world.store.uri, "--json").stdout)["winners"]
    best = max(rows, key=lambda row: row["reward_mean"])
    assert [row["winner"] for row in rows] == [row is best for row in rows]
    assert winner["networks"] == best["networks"]
    before = times(world.store.root)
    again = consort(*asked)
    assert again.returncode == 0 and times(world.store.root) == before and "training the best" not in again.stdout


def test_a_target_that_nothing_meets_is_refused_with_the_fastest_network(world: World, tmp_path: Path) -> None:
    study = write_study(tmp_path, target_ms=0.001)
    done = consort("search", str(study), "--store", world.store.uri)
    assert done.returncode == 2 and not list(world.store.root.glob("trials/*"))
    assert "no candidate of the space meets" in done.stderr and "net-s-w4d1k3-w4d1k3-w4d1k3" in done.stderr


@pytest.mark.parametrize(("change", "words"), [
    ({"sampler": "evolutoin", "settings": {}}, "did you mean evolution"),
    ({"settings": {"population": 0}}, "population"), ({"trials": 0}, "trials"),
    ({"kinds": ("single", "single")}, "kinds")])
def test_wrong_settings_are_refused_before_anything_trains(world: World, tmp_path: Path, change, words: str) -> None:
    done = consort("search", str(write_study(tmp_path, **change)), "--store", world.store.uri)
    assert done.returncode == 2 and words in done.stderr.lower() and "Traceback" not in done.stderr
    assert not list(world.store.root.glob("trials/*"))


def test_the_report_of_a_search_that_has_not_begun_says_what_to_do(world: World, tmp_path: Path) -> None:
    done = consort("search", str(write_study(tmp_path)), "--store", world.store.uri, "--only", "report")
    assert done.returncode == 2 and "comes first" in done.stderr


def test_a_trial_tells_which_of_its_members_it_trains(world: World, tmp_path: Path) -> None:
    study = write_study(tmp_path, kinds=("joint",))
    ref = json.loads(consort("plan", str(study), "--store", world.store.uri, "--json").stdout)["ref"]
    networks = "net-s-w4d1k3-w4d1k3-w4d1k3,net-s-w8d1k3-w8d1k3-w8d1k3"
    done = consort("trial", ref, "--networks", networks, "--store", world.store.uri, "--log", "json")
    assert (done.returncode, done.stderr) == (0, "")
    told = events_of(done.stdout)
    progress = [event for event in told if event["event"] == "progress"]
    # The first of one member is what a reader expects who knows nothing of numbers, and is left out.
    assert {(event.get("number", 1), event["members"]) for event in progress} == {(1, 2), (2, 2)}
    assert {event["trial"] for event in told} == {told[-1]["trial"]} and told[-1]["event"] == "trial"
