"""`consort answer` on a store that has choices: what it prints within every kind of bound, and how it refuses."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_cli import Done, refused

from consort import cli
from consort.answer import stored
from consort.answer.decision import choices
from consort.store import open_store
from hand_candidates import about, candidate, costs, evidence, right


@pytest.fixture
def answer(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run `consort answer owls/r1` in this process on a store with three candidates."""
    monkeypatch.setenv("COLUMNS", "120")
    candidates = [candidate(0, "1 x a", 0.8, 0.8, costs(10e6, ms=1.0)),
                  candidate(1, "3 x a", 0.9, 0.9, costs(30e6, ms=3.0)),
                  candidate(2, "2 x a", 0.88, 0.88, costs(12e6, worst=20e6, ms=1.2), thresholds=[0.9])]
    seen = evidence([right(1000, one.val.accuracy) for one in candidates],
                    [right(1000, one.test.accuracy) for one in candidates])
    stored.write(open_store(str(tmp_path)), choices(about(), candidates, seen), seen)

    def run(*arguments: object, ref: str = "owls/r1") -> Done:
        capfd.readouterr()
        monkeypatch.setattr("sys.argv", ["consort", "answer", ref, "--store", str(tmp_path), *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return Done(int(end.value.code or 0), *capfd.readouterr())

    return run


@pytest.mark.parametrize("bounds,begins", [
    ("", "Without a bound on cost: three a (90.0 %)."),
    ("--macs 15M", "Within 15 M MACs: run a, ask another a only below 0.90 confidence: 88.0 % at 12 M MACs"),
    ("--macs 15M --worst", "Within 15 M MACs for every image: one a (80.0 %). No ensemble or cascade that fits is "
                           "better."),
    ("--ms 1.5", "Within 1.5 ms: run a, ask another a"), ("--ms 1.5 --worst", "Within 1.5 ms for every image: one a"),
    ("--ms 1 --parallel", "Within 1 ms with one device per member: one a"),
    ("--params 150k --macs 1G", "Within 1 G MACs and 150 k parameters: one a"),
    ("--mb 0.9", "Within 900 kB: run a, ask")])
def test_any_bounds(answer, bounds, begins):
    done = answer(*bounds.split())
    assert (done.code, done.err) == (0, "")
    assert done.out.replace("12.0 M", "12 M").startswith(begins), done.out
    assert "members: a-s0-0123456789" in done.out and "costs: " in done.out


def test_for_programs(answer):
    found = json.loads(answer("--macs", "15M", "--json").out)
    assert found["budget"] == {"macs": 15e6}
    assert (found["candidate"]["id"], found["partner"]["id"], found["alternative"]["id"]) == ("c2", "c0", "c0")
    assert found["candidate"]["members"] == ["a-s0-0123456789", "a-s1-0123456789"]
    assert found["gain"]["value"] == pytest.approx(0.08) and found["gain"]["resolved"]
    assert found["text"].startswith("Within 15 M MACs: ") and found["notes"] == []


def test_refusals_say_the_rule_and_the_remedy(answer):
    refused(answer("--macs", "1M"), "Within 1 M MACs nothing fits", "takes 10 M MACs", "Allow more")
    refused(answer("--macs", "lots"), "--macs: an amount is a number above 0", "'lots'")
    refused(answer("--parallel"), "--parallel goes with --ms")
    refused(answer(ref="owls/r2"), "unknown run 'owls/r2'")
