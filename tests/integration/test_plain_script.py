"""A script of a user's own, without `if __name__ == "__main__"`, as a notebook is."""

import json
import os
import subprocess
import sys
from pathlib import Path

from image_files import image_set, write_folder

SCRIPT = """
from pathlib import Path
from consort.data import decode
from consort.data.prepare import prepare
from consort.store import open_store
from consort.study.data import Data

decode.CHUNK = 10
here = Path(__file__).parent
prepared = prepare(open_store(str(here / "store")), Data(source="images", image_size=8), here, here / "cache")
print("prepared", sum(prepared.counts.values()))
"""


def test_an_image_folder_is_prepared_without_a_main_guard(tmp_path: Path):
    write_folder(tmp_path / "images", image_set(train=40))
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("prepared 86\n", "")


STUDY_SCRIPT = """
import consort

study = consort.Study.of({
    "name": "scripted", "data": {"source": "digits", "train_images": 160, "val_images": 100},
    "recipe": {"epochs": 1, "batch_size": 32}, "architectures": {"wrn-10-1": 1}, "latency": {"repeats": 3}})
told = []
results = consort.execute(consort.plan(study), listen=told.append)
assert type(told[0]).__name__ == "Said" and type(told[-1]).__name__ == "MembersEnded", told
print(results.answer)
"""


def test_a_study_is_answered_without_a_main_guard(tmp_path: Path):
    (tmp_path / "script.py").write_text(STUDY_SCRIPT)
    done = subprocess.run([sys.executable, "-W", "error::ResourceWarning", "script.py"], capture_output=True, text=True,
                          timeout=240, cwd=tmp_path,
                          env=os.environ | {"CONSORT_STORE": "here", "CONSORT_CACHE": str(tmp_path / "cache")})
    assert (done.returncode, done.stderr) == (0, "") and "wrn-10-1" in done.stdout
    (answer,) = done.stdout.splitlines()
    (summary,) = (tmp_path / "here/studies/scripted").glob("*/summary.json")
    assert json.loads(summary.read_text())["answer"] == answer
