"""What tests of bundles ask of them."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from consort.export.labelled_images import Images, study_answers
from consort.export.measured import split_images
from consort.export.running import read_manifest
from consort.export.verify import Check
from exported_members import ExportedMembers

ALONE = """\
import os, runpy, sys
sys.modules["torch"] = sys.modules["consort"] = None  # importing either is an error
sys.argv = sys.argv[1:]
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program of a bundle where there is neither torch nor Consort."""


def study_images(world: ExportedMembers, bundle: Path) -> Images:
    rule = read_manifest(bundle)["input"]
    return Images(world.data.labels("test"), split_images(world.data, "test", rule), study_answers(bundle))


def states(checks: Sequence[Check]) -> dict[str, bool | None]:
    return {check.name: check.ok for check in checks}


def alone(bundle: Path, program: str, *arguments: str, with_out: str = ALONE) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-IB", "-c", with_out, str(bundle / program), *arguments],
                          capture_output=True, text=True, timeout=240, check=False)
