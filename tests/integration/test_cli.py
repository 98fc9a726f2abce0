"""The command line: what every command prints and how it exits. Most run in this process, through the real `main`."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_members import BASE, DATA, World, after_steps, consort, train_quietly

from consort import cli, hardware, members
from consort.errors import Terminated
from consort.members.spec import MemberSpec
from consort.store import keys
from scripted_api import Answer, scripted_api

COMMANDS = ["run", "plan", "init", "answer", "export", "verify", "serve", "register", "status", "list", "attach",
            "logs", "cancel", "gc", "launch", "render", "submit", "schedule", "train", "predict", "evaluate", "report",
            "flops", "latency", "members", "members import", "show", "rm", "data", "data fetch", "data import",
            "data info", "doctor", "search", "trial", "winners", "suggest-serve", "latency-table", "architectures"]
STUDY = """
name = "tiny"
data = { source = "digits" }
architectures = { "wrn-10-1" = 2 }
"""


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, cache: Path) -> Callable[..., Done]:
    """Run `consort` in this process: its exit code and what it printed."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments: object) -> Done:
        capfd.readouterr()
        monkeypatch.setattr(sys, "argv", ["consort", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return Done(int(end.value.code or 0), *capfd.readouterr())

    return run


def refused(done: Done, *words: str) -> None:
    """Exit code 2, nothing on standard output, one error that has these words."""
    assert (done.code, done.out) == (2, ""), done
    assert done.err.startswith("error: ") and "Traceback" not in done.err
    for word in words:
        assert word in done.err


def test_help_needs_none_of_the_slow_packages() -> None:
    program = ("import sys, consort.cli\n"
               "try: consort.cli.main()\n"
               "except SystemExit as e: print(e.code)\n"
               "print([m for m in ('torch', 'numpy', 'pydantic', 'PIL', 'pyarrow', 'minio') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["0", "[]"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Callable[..., Done], command: str) -> None:
    done = run(*command.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert f"Usage: consort {command}" in done.out


def test_help_lists_every_command_under_a_heading_with_a_sentence(run: Callable[..., Done]) -> None:
    out = run("--help").out
    sections = re.findall(r"^(\S[^\n]*):\n((?:  .*\n)+)", out.partition("--help ")[2], re.M)
    assert [heading for heading, _ in sections][:3] == ["Start", "Studies", "Members and data"]
    told = {name: " ".join(text.split()) for _, block in sections
            for name, text in re.findall(r"^  ([a-z-]+)  +((?:.*)(?:\n   .*)*)", block, re.M)}
    assert {command.split()[0] for command in COMMANDS} == told.keys()
    assert all(re.fullmatch(r"[A-Z].*[.]", text) and "..." not in text for text in told.values()), told
    for code in (0, 1, 2, 3, 4, 5, 130, 143, 175):
        assert f" {code} " in out.replace("\n", " ")


def test_version(run: Callable[..., Done]) -> None:
    import consort as package

    assert run("--version") == Done(0, package.__version__ + "\n", "")


def test_flops_json(run: Callable[..., Done]) -> None:
    done = run("flops", "wrn-16-1", "wrn-16-2", "--input", "32x32", "--classes", "10", "--json")
    assert done.code == 0
    one, two = json.loads(done.out)
    assert (one["name"], one["input"], one["classes"]) == ("wrn-16-1", "32x32", 10)
    assert one["flops"] == 2 * one["macs"] and 3 < two["macs"] / one["macs"] < 4.2
    assert one["params"] == pytest.approx(175e3, rel=0.01)
    assert {"name", "input", "macs", "flops", "params"} <= one.keys()
    (small,) = json.loads(run("flops", "wrn-16-1", "--input", "16", "--json").out)
    assert small["input"] == "16x16" and small["macs"] < one["macs"] / 3.9


def test_flops_of_layers_add_up(run: Callable[..., Done]) -> None:
    (cost,) = json.loads(run("flops", "wrn-10-1", "--layers", "--json").out)
    assert sum(cost["layers"].values()) == cost["macs"]
    text = run("flops", "wrn-10-1", "--layers").out
    assert "blocks.0.conv1" in text and "not counted" in text


def test_flops_of_an_unknown_network_names_near_ones(run: Callable[..., Done]) -> None:
    refused(run("flops", "efficientnet_b9"), "unknown architecture 'efficientnet_b9'", "efficientnet_b7")
    refused(run("flops", "wrn-17-1"), "wrn-17-1", "6n+4")
    refused(run("flops", "wrn-16-1", "--input", "32by32"), "--input", "'32by32'")
    refused(run("flops", "wrn-16-1", "--input", "0x32"), "--input", "'0x32'")


def test_latency_is_measured_once(run: Callable[..., Done], tmp_path: Path) -> None:
    command = ("latency", "wrn-10-1", "--input", "8x8", "--batch-size", "1", "--repeats", "5", "--store", tmp_path,
               "--json")
    first, second = run(*command), run(*command)
    assert first.code == 0 and second == first
    (record,) = json.loads(first.out)
    assert 0 < record["p10_ms"] <= record["median_ms"] <= record["p90_ms"]
    assert (record["batch_size"], record["threads"], record["input"]) == (1, 1, "8x8")
    again = json.loads(run(*command, "--again").out)[0]
    assert again["median_ms"] != record["median_ms"]
    assert "wrn-10-1" in run(*command[:-1]).out
    refused(run("latency", "wrn-10-x", "--store", tmp_path), "unknown architecture 'wrn-10-x'")


def test_latency_is_measured_at_each_batch_size_that_is_named(run: Callable[..., Done], tmp_path: Path) -> None:
    command = ("latency", "wrn-10-1", "wrn-10-1", "--input", "8x8", "--repeats", "3", "--store", tmp_path)
    sizes = ("--batch-size", "1", "--batch-size", "4")
    records = json.loads(run(*command, *sizes, "--precision", "float32", "--json").out)
    assert [(r["batch_size"], r["precision"]) for r in records] == [(1, "float32"), (4, "float32")]
    assert records[1]["images_per_second"] == pytest.approx(4000 / records[1]["median_ms"], abs=0.1)
    lines = run(*command, *sizes, "--precision", "float32").out.splitlines()
    assert lines[0].split()[-1] == "images/s" and len(lines) == 3
    refused(run(*command, *sizes, "--batch-size", "4"), "--batch-size 4 stands more than once")
    refused(run(*command, "--runtime", "graphs"), "did you mean graph")
    refused(run(*command, "--precision", "float16"), "unknown precision 'float16'")
    refused(run(*command[:2], *command[3:], "--together"), "--together takes two networks or more")
    if not hardware.gpus():
        refused(run(*command, "--runtime", "graph"), "no GPU here")
        refused(run(*command, "--together"), "at the same time in one CUDA graph, not in the runtime torch")


def test_members_are_listed_shown_and_deleted(run: Callable[..., Done], new_world: Callable[..., World],
                                              trained: tuple[World, MemberSpec]) -> None:
    world, spec = new_world(trained[0]), trained[1]
    begun, waiting = world.spec(BASE, seed=1), world.spec(BASE, seed=2)
    with pytest.raises(Terminated):
        train_quietly(world, begun, stop=after_steps(1))
    store = ("--store", world.store.uri)
    out = run("members", *store).out.splitlines()
    assert [line.split()[0] for line in out] == [spec.id, "data", begun.id, "data"]
    assert " done " in out[0] and "% val" in out[0] and " not done" in out[2]
    assert spec.data in out[1] and f"epochs {spec.recipe.epochs}" in out[1] and "no run that is planned" in out[1]
    listed = json.loads(run("members", *store, "--json").out)
    assert listed[0] == {**listed[0], "id": spec.id, "seed": 0}
    assert listed[1] == {"id": begun.id, "state": "not done"}
    shown = json.loads(run("show", spec.id[:12], *store).out)
    assert shown == listed[0]
    for member in (begun, waiting):
        assert json.loads(run("show", member.id, *store).out) == {"id": member.id, "state": "not done", "reason": None,
                                                                  **member.to_dict()}
    refused(run("show", "wrn-10-1", *store), "could be", spec.id, begun.id)
    refused(run("show", waiting.id[:-1], *store), "unknown member", "consort plan")
    refused(run("rm", "wrn-99", *store, "-y"), "unknown member 'wrn-99'")
    assert run("rm", spec.id, *store, "-y") == Done(0, f"deleted {spec.id}\n", "")
    assert list(world.store.list(keys.member_folder(spec.id))) == []
    assert [m["id"] for m in json.loads(run("members", *store, "--json").out)] == [begun.id]


def test_a_damaged_member_is_named_and_the_others_are_listed(run: Callable[..., Done], new_world: Callable[..., World],
                                                            trained: tuple[World, MemberSpec]) -> None:
    """Of a planned study of two members one record is cut off: nothing is hidden, and the exit code says so."""
    world, spec = new_world(trained[0]), trained[1]
    other = world.spec(BASE, seed=1)
    world.store.write(keys.member_record(other.id), b'{"id": "')
    store = ("--store", world.store.uri)
    listed = run("members", *store)
    assert [line.split()[:2] for line in listed.out.splitlines()[::2]] == [[spec.id, "done"], [other.id, "damaged"]]
    assert (listed.code, f"error: members/{other.id}/member.json" in listed.err) == (5, True)
    assert f"`consort rm {other.id}`" in listed.err and "Traceback" not in listed.err
    as_json = run("members", *store, "--json")
    assert (as_json.code, json.loads(as_json.out)[1]) == (5, {"id": other.id, "state": "damaged"})


def test_why_a_member_failed_is_said_after_its_name_once(run: Callable[..., Done], new_world: Callable[..., World],
                                                         trained: tuple[World, MemberSpec]) -> None:
    world = new_world(trained[0])
    failed = world.spec(BASE, seed=1)
    members.write_failure(world.store, failed.id, f"member {failed.id}: the loss became nan")
    assert run("logs", failed.id, "--store", world.store.uri).out == f"{failed.id}: the loss became nan\n"


def test_members_import(run: Callable[..., Done], world: World, trained: tuple[World, MemberSpec],
                        tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(trained[0].files(trained[1])["weights.safetensors"])
    command = ("members", "import", "wrn-10-1", "--weights", file, "--store", world.store.uri)
    refused(run(*command), "--data")
    done = run(*command, "--data", "digits")
    assert (done.code, done.err) == (0, "")
    shown = json.loads(run("show", done.out.strip(), "--store", world.store.uri).out)
    assert shown["imported"] and {"logits-val.npy", "logits-test.npy"} < shown["files"].keys()
    assert run(*command, "--data", "digits").out == done.out
    refused(run("members", "import", "wrn-10-1", "--weights", "no.safetensors", "--data", "digits", "--store",
                world.store.uri), "no.safetensors")
    refused(run("members", "import", "wrn-10-0", "--weights", file, "--data", "digits", "--store", world.store.uri),
            "wrn-10-0")


def test_data_is_imported_and_described(run: Callable[..., Done], tmp_path: Path) -> None:
    store = ("--store", tmp_path / "store")
    assert run("data", "info", *store) == Done(0, "", "")
    options = ("--train-images", 50, "--val-images", 20)
    done = run("data", "import", "digits", *options, *store)
    assert done.code == 0
    fingerprint = done.out.split()[0]
    assert run("data", "import", "digits", *options, *store).out == done.out
    line = run("data", "info", *store).out
    assert line.split()[:3] == [fingerprint, "digits", "8x8"]
    (info,) = json.loads(run("data", "info", "--json", *store).out)
    assert info["fingerprint"] == fingerprint and info["counts"] == {"train": 50, "val": 20, "test": 1197}
    assert json.loads(run("data", "info", fingerprint, *store).out) == [info]
    assert done.out.splitlines()[1] == f'elsewhere: source = "store:{fingerprint}"'
    refused(run("data", "info", "0123456789ab", *store), "0123456789ab", "consort data import")
    refused(run("data", "import", tmp_path / "nowhere", *store), f"{tmp_path / 'nowhere'} does not exist")
    refused(run("data", "import", "digits", "--train-images", 5000, *store), "5000")
    refused(run("data", "fetch", "cifar11"), "unknown data set 'cifar11'", "cifar10")


def test_init_writes_a_study_that_can_be_planned(run: Callable[..., Done], tmp_path: Path) -> None:
    file, store = tmp_path / "study.toml", ("--store", tmp_path / "store")
    assert run("init", file).code == 0
    refused(run("init", file), f"{file} exists already")
    done = run("plan", file, *store)
    assert done.code == 0, done.err
    seeds = tomllib.loads(file.read_text())["architectures"]
    listed, facts = done.out.split("\n\n", 1)
    assert [line.split()[1:] for line in listed.splitlines()] == [["to", "train"]] * sum(seeds.values())
    assert "images of digits" in facts and "training takes about" in facts
    planned = json.loads(run("plan", file, *store, "--json").out)
    assert {m["state"] for m in planned["members"]} == {"to train"}
    refused(run("init", tmp_path / "no" / "folder.toml"), "folder.toml")


def test_objects_for_a_cluster_are_printed_apart_from_what_is_doubtful_of_its_settings(
        run: Callable[..., Done], tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text(STUDY + '[cluster]\ngpu_resource = "nvidia.com/mig-1g.10gb"\n')
    done = run("render", file, "--store", tmp_path / "store")
    assert done.code == 0 and done.out.count("kind: PyTorchJob") == 2 and "warning" not in done.out
    assert "warning: [cluster] gpu_resource is 'nvidia.com/mig-1g.10gb', but gpus is 0" in done.err


def test_architectures_are_listed_with_what_they_cost(run: Callable[..., Done]) -> None:
    listed = [json.loads(line) for line in run("architectures", "wrn-1[06]-1", "--json").out.splitlines()]
    assert [(n["name"], n["params"]) for n in listed] == [("wrn-10-1", 77_850), ("wrn-16-1", 175_066)]
    assert run("architectures", "wrn-16-", "--classes", "100").out.splitlines()[1].split()[:2] == ["wrn-16-1", "32x32"]
    none = run("architectures", "no-such-network")
    assert none.code == 2 and "unknown architecture" in none.err


def test_doctor(run: Callable[..., Done], tmp_path: Path) -> None:
    done = run("doctor", "--store", tmp_path / "store")
    assert done.code == 0, done.out
    checks = json.loads(run("doctor", "--store", tmp_path / "store", "--json").out)
    assert [c["check"] for c in checks] == ["python", "torch", "processor", "memory", "disk", "store",
                                            "export", "serve", "timm", "cluster", "search", "kfp"]
    assert {c["state"] for c in checks} <= {"ok", "note"}
    assert list((tmp_path / "store").iterdir()) == []
    (tmp_path / "file").touch()
    bad = run("doctor", "--store", tmp_path / "file", "--json")
    assert bad.code == 2
    assert {c["check"]: c["state"] for c in json.loads(bad.out)}["store"] == "MISSING"


@pytest.mark.parametrize(("text", "words"), [
    (STUDY + "epoch = 3", ["unknown key 'epoch'"]),
    (STUDY + "recipe = { epoch = 3 }", ["unknown key 'epoch'", "did you mean epochs", "[recipe]"]),
    (STUDY + 'recipe = { epochs = "many" }', ["[recipe] epochs", "'many'"]),
    (STUDY.replace("= 2", "= [1, 1]"), ["[architectures] wrn-10-1", "seeds must differ"]),
    (STUDY.replace("wrn-10-1", "wrn-11-1"), ["wrn-11-1", "6n+4"]),
    (STUDY.replace("name", "nam ="), ["not valid TOML"]),
])
def test_a_wrong_study_names_file_and_key(run: Callable[..., Done], tmp_path: Path, text: str,
                                          words: list[str]) -> None:
    file = tmp_path / "study.toml"
    file.write_text(text)
    for command in ("plan", "run"):
        named = () if "wrn-11-1" in text else (str(file),)
        refused(run(command, file, "--store", tmp_path / "store"), *named, *words)


def test_wrong_arguments_exit_with_2(run: Callable[..., Done], tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    refused(run("run", file), str(file), "consort init")
    file.write_text(STUDY)
    refused(run("run", file, "--only", "train", "--store", tmp_path / "store"), "unknown stage 'train'", "members")
    refused(run("report", file, "--store", tmp_path / "store"), "consort evaluate")
    refused(run("predict", "--store", tmp_path / "store"), "NAME/RUN", "--member")
    refused(run("plan", "tiny/0123456789", "--store", tmp_path / "store"), "unknown run 'tiny/0123456789'")
    refused(run("predict", "--member", "a", "--also", "b", "--store", tmp_path / "store"), "NAME=FINGERPRINT", "'b'")
    assert run("flops").code == 2
    assert run("run", file, "--workers", "0").code == 2
    assert run("no-such-command").code == 2


def test_a_bad_store_exits_with_2(run: Callable[..., Done], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(run("members", "--store", tmp_path / "file"), str(tmp_path / "file"), "folder that you may write to")
    refused(run("members", "--store", "gs://bucket"), "'gs://bucket'", "s3://bucket/prefix")


def test_a_folder_of_images_or_a_runs_name_in_place_of_a_study(
        run: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("photos/birds").mkdir(parents=True)
    for folder in ("photos", "photos/birds"):
        refused(run("plan", folder), "it is a folder", f"`consort init my-study.toml --data {folder}` writes")
    Path("study.toml").write_text(STUDY)
    ref = json.loads(run("plan", "study.toml", "--json").out)["ref"]
    refused(run("answer", "tiny"), f"the store has runs of this name: {ref}. Name one of them.")
    Path(ref).mkdir(parents=True)
    assert run("status", ref).code == 0, "a report may have been copied into a folder of the run's name"


def test_cancel_selects_all_runs_of_a_study_file_and_one_run_of_a_ref(
        run: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, store = tmp_path / "study.toml", ("--store", tmp_path / "store")
    file.write_text(STUDY)
    ref = json.loads(run("plan", file, *store, "--json").out)["ref"]
    managed, of_study = "app.kubernetes.io/managed-by=consort", "consort.dev/study=tiny"
    with scripted_api() as api:
        api.answers.append(Answer(body={"apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}))
        monkeypatch.setenv("KUBECONFIG", api.kubeconfig(tmp_path / "kubeconfig"))
        for what, selector in ((file, f"{managed},{of_study}"),
                               (ref, f"{managed},{of_study},consort.dev/run={ref.split('/')[1]}")):
            api.asked.clear()
            assert run("cancel", what, *store) == Done(0, "nothing of it runs here\n", "")
            assert {asked.query["labelSelector"] for asked in api.asked} == {selector}
        refused(run("cancel", "tiny/0123456789", *store), "unknown run 'tiny/0123456789'")


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    quiet = consort("members", "--store", "gs://bucket")
    loud = consort("--debug", "members", "--store", "gs://bucket")
    assert quiet.returncode == 2 and "Traceback" not in quiet.stderr
    assert loud.returncode != 0 and "Traceback" in loud.stderr and "InputError" in loud.stderr


def test_shell_completion() -> None:
    script = consort("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert script.returncode == 0 and "_CONSORT_COMPLETE=complete_bash" in script.stdout
    words = consort(_CONSORT_COMPLETE="complete_bash", COMP_WORDS="consort mem", COMP_CWORD="1")
    assert words.stdout.split() == ["members"]


def test_data_of_the_tests_is_what_the_command_prepares(run: Callable[..., Done], world: World) -> None:
    """The store of these tests is one that the command line would make."""
    done = run("data", "import", "digits", "--train-images", DATA.train_images, "--val-images", DATA.val_images,
               "--store", world.store.uri)
    assert done.out.split()[0] == world.data.fingerprint


def test_a_study_that_only_searches_is_planned_and_not_run(run: Callable[..., Done], tmp_path: Path) -> None:
    file, store = tmp_path / "study.toml", ("--store", tmp_path / "store")
    file.write_text('name = "tiny"\ndata = { source = "digits" }\n[search]\nmembers = 2\ntrials = 7\n'
                    '[search.objective]\ntarget_latency_ms = 1\n[search.space]\nblock = ["wide"]\n'
                    'width = [4, 8]\ndepth = [1]\n')
    listed = run("plan", file, *store).out
    assert "by evolution and as many by random" in listed
    assert re.findall(r"7 of (\d+) candidates", listed) == ["8", "8", "36"]
    done = run("run", file, *store)
    assert done.code == 2 and "`consort search tiny/" in done.err


def test_latency_table_measures_once_and_then_reads(run: Callable[..., Done], tmp_path: Path) -> None:
    file, store = tmp_path / "study.toml", ("--store", tmp_path / "store")
    file.write_text(STUDY)
    refused(run("latency-table", file, *store), "tiny has no [search]")
    file.write_text(STUDY + '[search.objective]\ntarget_latency_ms = 1\n[search.space]\nblock = ["wide"]\n'
                            'width = [4, 8]\ndepth = [1]\n')
    first, same, again = (json.loads(run("latency-table", file, *store, "--json", *more).out)
                          for more in ([], [], ["--again"]))
    assert first == same and first["measured_at"] <= again["measured_at"] and first != again
    assert len(first["pieces_ms"]) == 13 and first["error"]["n"] == 4
    assert "off by" in run("latency-table", file, *store).out
