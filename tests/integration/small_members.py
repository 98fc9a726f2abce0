"""Members that train in seconds, the store that they live in, and `consort` as a process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from consort import members
from consort.data.prepared import Prepared, open_prepared
from consort.events import Listener, line, read_line
from consort.members.logits import read_logits
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.store.folder import FolderStore
from consort.study.data import Data
from consort.study.recipe import Recipe
from consort.train.settings import Settings
from consort.train.step import train

TRAIN_IMAGES, VAL_IMAGES, BATCH = 160, 100, 32
STEPS_PER_EPOCH = TRAIN_IMAGES // BATCH
DATA = Data(source="digits", train_images=TRAIN_IMAGES, val_images=VAL_IMAGES)
BASE = {"epochs": 3, "batch_size": BATCH, "schedule": "one-cycle", "learning_rate": 0.1, "flip": False,
        "crop_padding": 1}
LONG = {**BASE, "epochs": 30}
LONG_STEPS = 30 * STEPS_PER_EPOCH
"""150: a signal that is sent at the first checkpoint arrives long before the end."""
PATIENCE_SECONDS = 240.0
"""For a process on a machine that does other things too; one that hangs fails its test after it."""

Events = list[Mapping[str, Any]]


@dataclass(frozen=True)
class World:
    """A store with prepared digits."""

    store: FolderStore
    data: Prepared

    @classmethod
    def open(cls, folder: Path, cache: Path) -> "World":
        store = FolderStore(folder)
        fingerprint = next(iter(store.list("data"))).split("/")[1]
        return cls(store, open_prepared(store, fingerprint, cache))

    def spec(self, recipe: Mapping[str, Any], seed: int = 0, architecture: str = "wrn-10-1") -> MemberSpec:
        """A planned member."""
        spec = MemberSpec(architecture, self.data.fingerprint, Recipe(**recipe), seed)
        members.write_specs(self.store, [spec])
        return spec

    def record(self, spec: MemberSpec) -> MemberRecord:
        record = members.read_record(self.store, spec.id)
        assert record is not None, f"{spec.id} is not done"
        return record

    def files(self, spec: MemberSpec) -> dict[str, bytes]:
        """The bytes of what training made, verified against the record."""
        record = self.record(spec)
        assert sorted(record.files) == ["history.parquet", "logits-test.npy", "logits-val.npy", "weights.safetensors"]
        return {name: members.read_file(self.store, record, name) for name in record.files}

    def logits(self, spec: MemberSpec, split: str) -> np.ndarray:
        return read_logits(self.store, self.record(spec), self.data, split, None, self.data.cache)

    def path(self, key: str) -> Path:
        return self.store.root / key


def after_steps(count: int) -> Callable[[], bool]:
    """A Settings.stop that is true when it is asked for the count-th time, which is after that many steps."""
    asked = iter(range(1, count + 1))
    return lambda: next(asked) == count


def into(events: Events) -> Listener:
    """Notes what is told, as the lines of a step would say it."""
    return lambda event: events.append(json.loads(line(event)))


def train_quietly(world: World, spec: MemberSpec, **settings: Any) -> tuple[MemberRecord, Events]:
    """Train in this process, with equal bits on a GPU too; the record and the reported events."""
    events: Events = []
    record = train(world.store, spec, world.data, Settings(deterministic=True, **settings),
                   into(events))
    return record, events


def consort(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `consort` as a process to its end."""
    return subprocess.run([sys.executable, "-m", "consort", *arguments], cwd=cwd, capture_output=True, text=True,
                          env=os.environ | environment, timeout=PATIENCE_SECONDS)


def start(*arguments: str, module: str = "consort") -> subprocess.Popen[str]:
    """Start a module (`consort`) as a process, its output as it comes."""
    return subprocess.Popen([sys.executable, "-u", "-m", module, *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=dict(os.environ))


def lines_until(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> list[str]:
    """The lines of its standard output up to the first that is wanted; without one the process has ended."""
    assert process.stdout is not None
    lines = []
    for text in process.stdout:
        lines.append(text.rstrip("\n"))
        if wanted(lines[-1]):
            return lines
    raise AssertionError("\n".join(["the process ended without the awaited line:", *lines, *(process.stderr or ())]))


def wait_until(reached: Callable[[], bool]) -> None:
    """Look every 20 ms."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, "what is waited for did not come"
        time.sleep(0.02)


def events_of(text: str) -> Events:
    """The events of a step that runs with --log json: every line is one."""
    lines = text.splitlines()
    assert all(read_line(one) is not None for one in lines), text
    return [json.loads(one) for one in lines]


def is_event(name: str) -> Callable[[str], bool]:
    return lambda text: (event := read_line(text)) is not None and event.name == name


def processes_with(word: str) -> Iterator[tuple[int, list[str]]]:
    """Process id and command line of the running processes that have `word` as an argument."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                command = (folder / "cmdline").read_text().split("\0")
            except OSError:  # it ended meanwhile
                continue
            if word in command:
                yield int(folder.name), command


def study_files(store: Path, name: str) -> dict[str, Path]:
    """The files of the one run of a study."""
    (run,) = (store / "studies" / name).iterdir()
    return {file.name: file for file in run.iterdir()}


def read_json(path: Path) -> Any:
    return json.loads(path.read_text())
