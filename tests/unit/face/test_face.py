"""What `import consort` gives: its names, their docstrings, and that it takes no time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import consort

ROOT = Path(__file__).parents[3]


def test_the_face_is_these_ten_names():
    assert consort.__all__ == ["Budget", "ConsortError", "IncompleteRun", "InputError", "Results", "Run", "Study",
                               "execute", "open_run", "plan"]
    assert set(consort.__all__) <= set(dir(consort))


@pytest.mark.parametrize("name", consort.__all__)
def test_every_name_is_there_documented_and_explained(name: str):
    found = getattr(consort, name)
    assert name == "Budget" or found.__doc__
    assert name in (ROOT / "docs/python.md").read_text()


@pytest.mark.parametrize("name", ["Results", "Run", "Study"])
def test_what_a_class_offers_is_documented(name: str):
    own = {key: value for key, value in vars(getattr(consort, name)).items()
           if not key.startswith(("_", "model_")) and (callable(value) or isinstance(value, property | classmethod))}
    assert own and not [key for key, value in own.items() if not value.__doc__]


def test_importing_it_imports_nothing_else():
    script = ("import consort, sys; print(*{'torch', 'pydantic', 'numpy', 'pyarrow', 'rich', 'typer'}.intersection("
              "sys.modules), *(name for name in sys.modules if name.startswith('consort')))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["consort"]


def test_planning_and_reading_need_no_torch(tmp_path: Path):
    script = ("import consort, sys; study = consort.Study.of({'name': 'a', 'data': {'source': 'digits'}, "
              "'architectures': {'wrn-10-1': 1}}); print(consort.plan(study).ref, consort.Results.__name__, "
              "'torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, check=True,
                          env=os.environ | {"CONSORT_STORE": "here", "CONSORT_CACHE": str(tmp_path / "cache")})
    ref, *rest = done.stdout.split()
    assert rest == ["Results", "False"] and done.stderr == ""
    assert (tmp_path / "here/studies" / ref / "plan.json").is_file()


@pytest.mark.parametrize("workers", [0, -1, "2", True])
def test_a_number_of_workers_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: object):
    monkeypatch.setenv("CONSORT_CACHE", str(tmp_path / "cache"))
    study = consort.Study.of({"name": "a", "data": {"source": "digits"}, "architectures": {"wrn-10-1": 1}})
    run = consort.plan(study, store=tmp_path / "store")
    with pytest.raises(consort.InputError, match=f"workers is how many .* 1 or more, got {workers!r}"):
        consort.execute(run, workers=workers)  # type: ignore[arg-type]


def test_a_name_that_it_has_not():
    with pytest.raises(AttributeError, match=r"no attribute 'Plan'; it has Budget, .*plan"):
        _ = consort.Plan


def test_a_study_that_is_wrong(tmp_path: Path):
    with pytest.raises(consort.InputError, match=r"the study: unknown key 'dta': did you mean data"):
        consort.Study.of({"name": "a", "dta": {"source": "digits"}, "architectures": {"wrn-10-1": 1}})
    with pytest.raises(consort.InputError, match=r"study file .*none\.toml cannot be read"):
        consort.plan(tmp_path / "none.toml", store=tmp_path)


def test_a_run_that_was_not_planned_or_not_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONSORT_CACHE", str(tmp_path / "cache"))
    study = consort.Study.of({"name": "a", "data": {"source": "digits"}, "architectures": {"wrn-10-1": 1}})
    run = consort.plan(study, store=tmp_path / "store")
    with pytest.raises(consort.InputError, match=rf"unknown run 'a/0': known: {run.ref}"):
        consort.open_run("a/0", store=str(tmp_path / "store"))
    with pytest.raises(consort.InputError, match=rf"{run.ref} was not evaluated: .* consort\.execute"):
        consort.Results(consort.open_run(run.ref, store=run.store))
