"""Training throughput on one GPU: images per second of all members together, and ratios of loops of one run.

    python benchmarks/gpu_throughput.py [--architectures wrn-16-1 ...] [--seconds 2] [--output table.md]

pack         Consort's packs as `consort train` runs them: one captured step of all members, a stream each
launched     the same one member, every step launched from Python (what cannot be captured trains so)
plain        what a user would write: DataLoader with 12 workers, torchvision transforms on PIL images, float32
plain bf16   the same in bfloat16 and channels-last
convolutions the convolutions of a step alone, forward and backward, as one graph: what the chip allows
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from consort.costs.macs import count
from consort.data.prepared import DataManifest, Prepared
from consort.documents import sha256
from consort.events import Event, Progressed, Warned
from consort.members.spec import MemberSpec
from consort.models.families import build
from consort.store import keys, open_store
from consort.study.recipe import Recipe, named_recipe
from consort.train import loop
from consort.train.member import Member
from consort.train.packs import members_that_fill_a_gpu
from consort.train.settings import Settings
from consort.train.step import train_together

IMAGES = 50_000
LOADER_WORKERS = 12
ARCHITECTURES = ("wrn-16-1", "wrn-16-2", "wrn-16-4", "wrn-16-8")
BATCHES = (128, 512)


def random_data(folder: Path) -> Prepared:
    """As many random images as CIFAR-10 has, in a store of their own."""
    store, random = open_store(str(folder / "store")), np.random.default_rng(0)
    files = {}
    contents = {}
    for split, number in (("train", IMAGES), ("val", 250), ("test", 250)):
        for name, array in (("images", random.integers(0, 256, (number, 32, 32, 3), dtype=np.uint8)),
                            ("labels", random.integers(0, 10, number))):
            raw = io.BytesIO()
            np.save(raw, array)
            contents[f"{split}-{name}.npy"] = raw.getvalue()
            files[f"{split}-{name}.npy"] = {"sha256": sha256(raw.getvalue()), "bytes": len(raw.getvalue())}
    manifest = DataManifest("random", "arrays", [str(i) for i in range(10)],
                            {"train": IMAGES, "val": 250, "test": 250}, [32, 32], [0.5] * 3, [0.25] * 3, files)
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
        return bool(self.first) and time.perf_counter() - next(iter(self.first.values()))[1] > self.seconds

    def steps_per_second(self) -> float:
        """Of all members together."""
        return sum((self.last[m][0] - step) / (self.last[m][1] - since) for m, (step, since) in self.first.items())


def recipe(batch: int) -> Recipe:
    return Recipe.model_validate(named_recipe("gpu-fast") | {"batch_size": batch, "epochs": 100_000})


def pack_rate(data: Prepared, architecture: str, batch: int, members: int, seconds: float, compiled: bool) -> float:
    watch = Watch(seconds)
    specs = [MemberSpec(architecture, data.fingerprint, recipe(batch), seed) for seed in range(members)]
    settings = Settings(stop=watch.stop, compile=compiled)
    train_together(data.store, specs, data, settings, watch.listen, lambda spec, outcome: None)
    for spec in specs:
        data.store.delete(keys.member_folder(spec.id))
    return watch.steps_per_second() * batch


def launched_rate(data: Prepared, architecture: str, batch: int, seconds: float) -> float:
    watch = Watch(seconds)
    spec = MemberSpec(architecture, data.fingerprint, recipe(batch), 0)
    member = Member(data.store, spec, data, Settings(stop=watch.stop), watch.listen)
    try:
        loop.run(member)
    finally:
        data.store.delete(keys.member_folder(spec.id))
        return watch.steps_per_second() * batch  # noqa: B012 - it always ends with Terminated


class Pictures(Dataset):
    """Random 32x32 pictures as PIL images, with a transform: what torchvision's CIFAR10 class does."""

    def __init__(self, data: Prepared) -> None:
        self.images, self.labels = np.array(data.images("train")), data.labels("train")
        self.transform = transforms.Compose([
            transforms.RandomCrop(32, 4, padding_mode="reflect"), transforms.RandomHorizontalFlip(),
            transforms.ToTensor(), transforms.Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


def plain_rate(data: Prepared, architecture: str, batch: int, seconds: float, bfloat16: bool) -> float:
    network = build(architecture, 10).cuda().train()
    if bfloat16:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    # Ended with the row: its thread that pins memory would disturb a capture.
    batches = forever(DataLoader(Pictures(data), batch, shuffle=True, drop_last=True, pin_memory=True,
                                 num_workers=LOADER_WORKERS))

    def step() -> None:
        x, y = next(batches)
        x, y = x.cuda(non_blocking=True), y.cuda(non_blocking=True)
        optimiser.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=bfloat16):
            scores = network(x)
        F.cross_entropy(scores.float(), y).backward()
        optimiser.step()
    try:
        return timed(step, seconds) * batch
    finally:
        batches.close()


def forever(loader: DataLoader) -> Generator:
    while True:
        yield from loader


def convolutions_rate(architecture: str, batch: int, seconds: float) -> float:
    calls: list[tuple] = []

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        x, gradient = (torch.randn(batch, *shape[1:], device="cuda", dtype=torch.bfloat16
                                   ).to(memory_format=torch.channels_last) for shape in (inputs[0].shape, output.shape))
        weight = module.weight.detach().to("cuda", torch.bfloat16).to(memory_format=torch.channels_last)
        first = module.in_channels == 3  # the images themselves need no gradient
        calls.append((x.requires_grad_(not first), weight.requires_grad_(), module.stride, module.padding, gradient))

    network = build(architecture, 10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    network(torch.randn(2, 3, 32, 32))

    def step() -> None:
        for x, weight, stride, padding, gradient in calls:
            wanted = (x, weight) if x.requires_grad else (weight,)
            torch.autograd.grad(F.conv2d(x, weight, None, stride, padding), wanted, gradient)

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return timed(graph.replay, seconds) * batch


def timed(step: Callable[[], None], seconds: float) -> float:
    """Steps per second, with all work done at both ends."""
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        for _ in range(5):
            step()
        torch.cuda.synchronize()
        steps += 5
    return steps / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES))
    parser.add_argument("--batches", nargs="+", type=int, default=list(BATCHES))
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--limit", type=float, default=280.0, help="begin nothing after so many seconds")
    parser.add_argument("--what", nargs="+", default=[""], help="only rows whose names begin so")
    parser.add_argument("--compile", nargs="*", default=[], metavar="ARCHITECTURE",
                        help="with torch.compile too, the largest pack at the largest batch")
    parser.add_argument("--output", type=Path, help="write the table here too")
    arguments = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    began = time.monotonic()
    lines = [f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bfloat16; images/s of all members together",
             "", "| network | batch | what | images/s | of the convolutions | of launched | of plain |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    print("\n".join(lines), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        data = random_data(Path(folder))
        for architecture in arguments.architectures:
            for batch in arguments.batches:
                for line in table(data, architecture, batch, arguments, began):
                    lines.append(line)
                    print(line, flush=True)
    if arguments.output is not None:
        arguments.output.write_text("\n".join(lines) + "\n")


def table(data: Prepared, architecture: str, batch: int, arguments: argparse.Namespace,
          began: float) -> Iterator[str]:
    seconds = arguments.seconds
    full = members_that_fill_a_gpu(count(architecture, 32, 10).macs, batch)
    wanted: dict[str, Callable[[], float]] = {}
    if batch == BATCHES[0]:
        wanted["plain"] = lambda: plain_rate(data, architecture, batch, seconds, False)
        if architecture == "wrn-16-4":
            wanted["plain bf16"] = lambda: plain_rate(data, architecture, batch, seconds, True)
        wanted["launched"] = lambda: launched_rate(data, architecture, batch, seconds)
    wanted["convolutions"] = lambda: convolutions_rate(architecture, batch, seconds / 2)
    compiling = architecture in arguments.compile and batch == max(arguments.batches)
    packs = sorted({1, full, 8} if architecture != "wrn-16-8" else {1, full})
    for members, compiled in [*((m, False) for m in packs), *([(packs[-1], True)] if compiling else [])]:
        name = f"pack of {members}{', compiled' if compiled else ''}"
        wanted[name] = lambda m=members, c=compiled: pack_rate(data, architecture, batch, m, seconds, c)
    rates: dict[str, float] = {}
    for name, measure in wanted.items():
        if not name.startswith(tuple(arguments.what)):
            continue
        if time.monotonic() - began > arguments.limit:
            yield f"| {architecture} | {batch} | {name} | no time | | | |"
            continue
        try:
            rates[name] = measure()
        except (RuntimeError, ArithmeticError) as e:
            yield f"| {architecture} | {batch} | {name} | failed: {str(e).splitlines()[0][:120]} | | | |"
            continue
        finally:
            torch.cuda.empty_cache()
        ratios = [f"{rates[name] / rates[other]:.2f}" if other in rates else ""
                  for other in ("convolutions", "launched", "plain")]
        yield f"| {architecture} | {batch} | {name} | {rates[name]:,.0f} | {' | '.join(ratios)} |"


if __name__ == "__main__":
    main()
