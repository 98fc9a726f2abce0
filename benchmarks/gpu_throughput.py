"""Training throughput on one GPU: images per second of all members together, and ratios of loops of one run.

    python benchmarks/gpu_throughput.py [--architectures wrn-16-1 ...] [--seconds 1.5] [--output table.md]

plain          what a user would write: DataLoader with 12 workers, torchvision transforms on PIL images, float32
plain bf16     the same in bfloat16 and channels-last
loop           Consort's loop of one member, batches put together on the processor
resident eager images and augmentation on the GPU, one member, every step launched from Python
convolutions   the convolutions of a step alone, forward and backward, as one graph: what the chip allows
pack           Consort's packs as `consort train` runs them: one captured step of all members, a stream each

Plain loops and Consort's own are measured at the first batch size; rows of the others are held against them too. Ends
with 1 where a row failed, or --limit left one out: those are named at the end. --smoke runs every row for an instant,
without a GPU too, to see that it works.
"""

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from compared import Pictures, as_graph, convolutions_step, forever, plain_step
from consort.costs.macs import count
from consort.data.prepared import DataManifest, Prepared
from consort.data.resident import bring
from consort.documents import sha256
from consort.errors import ConsortError, Terminated
from consort.events import Event, Progressed, Warned, unheard
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.compute import Compute
from consort.store import keys, open_store
from consort.study.recipe import Recipe, named_recipe
from consort.train import loop
from consort.train.lane import Lane
from consort.train.member import Member
from consort.train.packs import members_that_fill_a_gpu
from consort.train.settings import Settings
from consort.train.step import train_together

IMAGES = 50_000
LOADER_WORKERS = 12
ARCHITECTURES = ("wrn-16-1", "wrn-16-2", "wrn-16-4", "wrn-16-8")
BATCHES = (128, 512)
DETERMINISTIC = ("wrn-16-1", "wrn-16-4")
"""Of which `deterministic = true` is measured."""
COMPILED = ("wrn-16-4",)
"""Of which `compile = true` is measured, where a compiler is at hand."""
SMOKE = {"architectures": ["wrn-10-1"], "batches": [4, 8], "seconds": 0.2, "images": 64, "workers": 1}
BLOCK = 64
"""Steps that are drawn ahead where each is launched from Python."""


def random_data(folder: Path, images: int) -> Prepared:
    """Random images of CIFAR-10's size, in a store of their own."""
    store, random = open_store(str(folder / "store")), np.random.default_rng(0)
    files, contents = {}, {}
    numbers = {"train": images, "val": min(images, 250), "test": min(images, 250)}
    for split, number in numbers.items():
        for name, array in (("images", random.integers(0, 256, (number, 32, 32, 3), dtype=np.uint8)),
                            ("labels", random.integers(0, 10, number))):
            raw = io.BytesIO()
            np.save(raw, array)
            contents[f"{split}-{name}.npy"] = raw.getvalue()
            files[f"{split}-{name}.npy"] = {"sha256": sha256(raw.getvalue()), "bytes": len(raw.getvalue())}
    manifest = DataManifest("random", "arrays", [str(i) for i in range(10)], numbers, [32, 32], [0.5] * 3, [0.25] * 3,
                            files)
    for name, content in contents.items():
        store.write(keys.data_file(manifest.fingerprint, name), content)
    return Prepared(store, manifest.fingerprint, manifest, folder / "cache")


@dataclass
class Watch:
    """Ends a training after some seconds of progress; the steps per second between its first and last report."""

    seconds: float
    first: dict[str, tuple[int, float]] = field(default_factory=dict)
    last: dict[str, tuple[int, float]] = field(default_factory=dict)

    def listen(self, event: Event) -> None:
        if isinstance(event, Progressed):
            now = event.step, time.perf_counter()
            self.first.setdefault(event.member, now)
            self.last[event.member] = now
        elif isinstance(event, Warned):
            print(f"  {event.text}", flush=True)

    def stop(self) -> bool:
        """Once every member that was heard of was heard of again, so many seconds later."""
        return bool(self.first) and all(self.last[m][1] - since >= self.seconds for m, (_, since) in self.first.items())

    def steps_per_second(self) -> float:
        """Of all members together."""
        return sum((self.last[m][0] - step) / (self.last[m][1] - since) for m, (step, since) in self.first.items())


def spec_of(data: Prepared, architecture: str, batch: int, seed: int = 0) -> MemberSpec:
    recipe = named_recipe("gpu-fast") | {"batch_size": batch, "epochs": 100_000}
    return MemberSpec(architecture, data.fingerprint, Recipe.model_validate(recipe), seed)


@dataclass(frozen=True)
class Bench:
    """What all rows share."""

    data: Prepared
    seconds: float
    workers: int
    place: Compute

    def plain(self, architecture: str, batch: int, precision: str) -> float:
        pictures = Pictures(np.array(self.data.images("train")), self.data.labels("train"))
        # Closed with the row: its thread that pins memory would disturb a capture.
        batches = forever(DataLoader(pictures, batch, shuffle=True, drop_last=True, num_workers=self.workers,
                                     pin_memory=self.place.device.type == "cuda"))
        try:
            return self._timed(plain_step(architecture, batches, Compute(self.place.device, precision))) * batch
        finally:
            batches.close()

    def loop(self, architecture: str, batch: int) -> float:
        watch, spec = Watch(self.seconds), spec_of(self.data, architecture, batch)
        member = Member(self.data.store, spec, self.data, Settings(stop=watch.stop), watch.listen)
        with suppress(Terminated):
            loop.run(member)
        self.data.store.delete(keys.member_folder(spec.id))
        return watch.steps_per_second() * batch

    def resident_eager(self, architecture: str, batch: int) -> float:
        member = Member(self.data.store, spec_of(self.data, architecture, batch), self.data, Settings(), unheard)
        member.state.network.train()
        lane, done = Lane(member, bring(self.data, member.compute.device)), 0

        def step() -> None:
            nonlocal done
            if done % BLOCK == 0:
                for place in range(BLOCK):
                    lane.draw(place, done + place)
                lane.send(BLOCK)
            lane.eager_step(done)
            done += 1
        return self._timed(step) * batch

    def convolutions(self, architecture: str, batch: int) -> float:
        step, device = convolutions_step(architecture, batch, self.place), self.place.device
        return self._timed(as_graph(step, device) if device.type == "cuda" else step) * batch

    def pack(self, architecture: str, batch: int, members: int, **settings: bool) -> float:
        if lacking := settings.get("compile") and compute.lacks_compiler(self.place):
            raise RuntimeError(lacking)
        watch, ends = Watch(self.seconds), list[MemberRecord | ConsortError]()
        specs = [spec_of(self.data, architecture, batch, seed) for seed in range(members)]
        train_together(self.data.store, specs, self.data, Settings(stop=watch.stop, **settings), watch.listen,
                       lambda spec, outcome: ends.append(outcome))
        for spec in specs:
            self.data.store.delete(keys.member_folder(spec.id))
        if others := [end for end in ends if not isinstance(end, Terminated)]:
            raise RuntimeError(f"a member ended otherwise: {others[0]}")
        return watch.steps_per_second() * batch

    def _timed(self, step: Callable[[], None]) -> float:
        """Steps per second, with all work done at both ends."""
        for _ in range(3):
            step()
        self._wait()
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < self.seconds:
            for _ in range(5):
                step()
            self._wait()
            steps += 5
        return steps / (time.perf_counter() - started)

    def _wait(self) -> None:
        if self.place.device.type == "cuda":
            torch.cuda.synchronize()


Row = tuple[str, Callable[[], float]]


def rows_of(bench: Bench, architecture: str, batch: int, arguments: argparse.Namespace) -> Iterator[Row]:
    """What is measured of an architecture at a batch size."""
    full = members_that_fill_a_gpu(count(architecture, 32, 10).macs, batch)
    first = batch == arguments.batches[0]
    if first:
        yield "plain", lambda: bench.plain(architecture, batch, "float32")
        yield "plain bf16", lambda: bench.plain(architecture, batch, "bfloat16")
        yield "loop", lambda: bench.loop(architecture, batch)
        yield "resident eager", lambda: bench.resident_eager(architecture, batch)
    yield "convolutions", lambda: bench.convolutions(architecture, batch)
    for members in sorted({1, full}):
        yield f"pack of {members}", lambda members=members: bench.pack(architecture, batch, members)  # type: ignore[misc]
    if first and (architecture in DETERMINISTIC or arguments.smoke):
        yield f"pack of {full}, deterministic", lambda: bench.pack(architecture, batch, full, deterministic=True)
    if architecture in arguments.compile and batch == max(arguments.batches):
        yield f"pack of {full}, compiled", lambda: bench.pack(architecture, batch, full, compile=True)


def table(bench: Bench, arguments: argparse.Namespace, missing: list[str]) -> Iterator[str]:
    """The lines of the table as they come; rows that have no figure are noted in `missing`."""
    began = time.monotonic()
    for architecture in arguments.architectures:
        at_first: dict[str, float] = {}
        for batch in arguments.batches:
            rates: dict[str, float] = {}
            at_first = at_first or rates
            for name, measure in rows_of(bench, architecture, batch, arguments):
                if not name.startswith(tuple(arguments.what)):
                    continue
                found = rate_of(measure) if time.monotonic() - began < arguments.limit else "no time"
                if isinstance(found, str):
                    missing.append(f"{architecture}, batch {batch}, {name}: {found}")
                    yield f"| {architecture} | {batch} | {name} | - | | | | |"
                    continue
                rates[name] = found
                ratios = [f"{found / known[other]:.2f}" if other in known and other != name else ""
                          for other, known in (("convolutions", rates), ("loop", at_first), ("plain", at_first),
                                               (name.split(",")[0], rates))]
                yield f"| {architecture} | {batch} | {name} | {found:,.0f} | {' | '.join(ratios)} |"


def rate_of(measure: Callable[[], float]) -> float | str:
    """Images per second, or why they could not be measured."""
    compute.use_determinism(None)
    try:
        return measure()
    except (RuntimeError, ArithmeticError, ConsortError) as e:
        return str(e).splitlines()[0][:120]
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--limit", type=float, default=280.0, help="begin nothing after so many seconds")
    parser.add_argument("--what", nargs="+", default=[""], help="only rows whose names begin so")
    parser.add_argument("--compile", nargs="*", metavar="ARCHITECTURE", help=(
        f"with torch.compile too, at the largest batch; by default {', '.join(COMPILED)} where a compiler is at hand"))
    parser.add_argument("--smoke", action="store_true", help="every row for an instant, on a processor too")
    parser.add_argument("--output", type=Path, help="write the table here too")
    parser.set_defaults(images=IMAGES, workers=LOADER_WORKERS)
    arguments = parser.parse_args()
    if arguments.smoke:
        vars(arguments).update(SMOKE)
    elif not torch.cuda.is_available():
        sys.exit("no GPU that CUDA sees: --smoke runs every row on the processor, to see that it works")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # of the deterministic rows, and for all alike
    place, missing = compute.choose("bfloat16"), list[str]()
    if arguments.compile is None:
        arguments.compile = [] if compute.lacks_compiler(place) else COMPILED
    device = torch.cuda.get_device_name() if place.device.type == "cuda" else "the processor, for an instant"
    lines = [f"{device}, torch {torch.__version__}, bfloat16; images/s of all members together", "",
             "| network | batch | what | images/s | of the convolutions | of the loop | of plain | of the same pack |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = random_data(Path(folder), arguments.images)
        for line in table(Bench(data, arguments.seconds, arguments.workers, place), arguments, missing):
            lines.append(line)
            print(line, flush=True)
    if missing:
        left_out = ["", f"{len(missing)} rows have no figure:", *(f"- {text}" for text in missing)]
        lines += left_out
        print("\n".join(left_out), flush=True)
    if arguments.output is not None:
        arguments.output.write_text("\n".join(lines) + "\n")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
