"""A whole study where the locale is not UTF-8, where there is no home, and where the user has no name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from image_files import image_set, write_folder

STUDY = """
name = "odd"
question = "Où?"
[data]
source = "bilder-ä"
[recipe]
epochs = 1
batch_size = 8
crop_padding = 1
[architectures]
"wrn-10-1" = 1
[evaluate]
bootstrap = 100
[latency]
repeats = 3
"""
AS_NOBODY = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps", "+dac_read_search",
             "--ambient-caps", "+dac_read_search")
"""Runs a command as a user without a name, who may read everything (Python may lie in root's home) and write little."""


def consort(folder: Path, *arguments: str, before: tuple[str, ...] = (), **environment: str) -> str:
    """What a command prints, run in a folder with nothing in the environment but this."""
    done = subprocess.run([*before, sys.executable, "-m", "consort", *arguments], cwd=folder, capture_output=True,
                          env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **environment}, timeout=200)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode()


def states(planned: str) -> list[str]:
    return [member["state"] for member in json.loads(planned)["members"]]


def test_a_study_where_the_locale_is_not_utf8(tmp_path):
    write_folder(tmp_path / "bilder-ä", image_set(classes=("müde", "日本")))
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    printed = consort(tmp_path, "run", "study.toml", "--store", "läden", LC_ALL="C", PYTHONUTF8="0")
    report, = (tmp_path / "läden").glob("studies/odd/*/report.html")
    assert f"report: {report}" in printed
    assert all(name in report.read_text(encoding="utf-8") for name in ("müde", "日本", "Où?"))
    planned = consort(tmp_path, "plan", "study.toml", "--store", "läden", "--json", LC_ALL="C.UTF-8")
    assert states(planned) == ["done"], "the same data and members in another locale"
    written = consort(tmp_path, "init", "first.toml", "--data", "bilder-ä", LC_ALL="C", PYTHONUTF8="0")
    assert "first.toml" in written
    assert 'source = "bilder-ä"' in (tmp_path / "first.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("home", [None, "/", "/absent"])
def test_plan_without_a_home_for_a_user_without_a_name(tmp_path, home):
    write_folder(tmp_path / "bilder-ä", image_set())
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    (tmp_path / "out").mkdir()
    before = AS_NOBODY if os.getuid() == 0 and shutil.which("setpriv") else ()
    for folder, mode in ((tmp_path, 0o755), (tmp_path / "out", 0o777)):
        folder.chmod(mode)
    printed = consort(tmp_path, "plan", "study.toml", "--store", "out/store", "--json", before=before,
                      **({} if home is None else {"HOME": home}))
    assert states(printed) == ["to train"]
