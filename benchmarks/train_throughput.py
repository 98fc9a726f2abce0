"""Training throughput: images per CPU-second of one core, as ratios of loops that run in turn in this process.

    python benchmarks/train_throughput.py [--architectures wrn-16-1 wrn-16-2] [--rounds 5]

consort      the loop of `consort train`: batches augmented as tensors, channels-last, bfloat16 where it is native
plain        what a user would write: DataLoader, torchvision transforms on PIL images, float32, torch's default layout
timm         the settings of timm's training script on a CPU: its transforms, its loader's collation, its optimiser
convolutions the convolutions of one step alone, forward and backward, same shapes, layout and precision as consort's
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Generator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from compared import Pictures, Step, convolutions_step, forever, plain_step
from consort import hardware
from consort.data.prepare import prepare
from consort.events import unheard
from consort.members.spec import MemberSpec
from consort.models import compute
from consort.models.compute import Compute
from consort.models.families import build
from consort.store import open_store
from consort.study.data import Data
from consort.study.recipe import Recipe, named_recipe
from consort.train.member import Member
from consort.train.settings import Settings

BATCH = 128
IMAGES = 1280
STEPS = 4
"""Steps per round and loop: a few seconds each, so that the loops share what the machine does meanwhile."""


def consort_step(architecture: str, folder: Path) -> Step:
    store = open_store(str(folder / "store"))
    data = prepare(store, Data(source=str(folder), val_images=10), folder, folder / "cache")
    recipe = Recipe.model_validate(named_recipe("fast") | {"batch_size": BATCH, "epochs": 1000})
    member = Member(store, MemberSpec(architecture, data.fingerprint, recipe, 0), data, Settings(),
                    unheard)
    member.state.network.train()
    batches = member.batches.from_step(0, member.steps)

    def step() -> None:
        member.seed_step(member.step)
        member.state.set_pace(*member.pace_of(member.step))
        member.note([member.state.update(*next(batches)).item()])
    return step


def pictures(images: np.ndarray, labels: np.ndarray, transform: Callable | None = None) -> Generator:
    return forever(DataLoader(Pictures(images, labels, transform), BATCH, shuffle=True, drop_last=True))


def timm_step(architecture: str, images: np.ndarray, labels: np.ndarray) -> Step:
    import timm.data
    import timm.loss
    import timm.optim
    batches = pictures(images, labels, timm.data.create_transform((3, 32, 32), is_training=True))
    network = build(architecture, 10).train()
    optimiser = timm.optim.create_optimizer_v2(network, "sgd", lr=0.1, weight_decay=2e-5, momentum=0.9)
    loss = timm.loss.LabelSmoothingCrossEntropy(0.1)

    def step() -> None:
        x, y = next(batches)
        optimiser.zero_grad()
        loss(network(x), y).backward()
        optimiser.step()
    return step


def cpu_seconds(step: Step) -> float:
    started = time.process_time()
    for _ in range(STEPS):
        step()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architectures", nargs="+", default=["wrn-16-1", "wrn-16-2"])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (IMAGES, 32, 32, 3), dtype=np.uint8), random.integers(0, 10, IMAGES)
    described = hardware.describe()
    print(f"{described['cpu']}, {', '.join(described['instructions'])}; torch {torch.__version__}, 1 thread, batch "
          f"{BATCH}, {compute.choose('auto').precision}; median [min, max] of {arguments.rounds} rounds")
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder), images, labels)
        for architecture in arguments.architectures:
            steps = {"consort": consort_step(architecture, Path(folder)),
                     "plain": plain_step(architecture, pictures(images, labels),
                                         Compute(torch.device("cpu"), "float32")),
                     "timm": timm_step(architecture, images, labels),
                     "convolutions": convolutions_step(architecture, BATCH, compute.choose("auto"))}
            compare(architecture, steps, arguments.rounds)


def write_pictures(folder: Path, images: np.ndarray, labels: np.ndarray) -> None:
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        for split in ("train", "test") if index < 40 else ("train",):
            path = folder / split / str(label) / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path, compress_level=0)


def compare(architecture: str, steps: dict[str, Step], rounds: int) -> None:
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(cpu_seconds(step))
    for name, times in seconds.items():
        rates = [STEPS * BATCH / t for t in times]
        ratios = [t / mine for t, mine in zip(times, seconds["consort"], strict=True)]
        print(f"{architecture:10} {name:13} {median(rates):8.1f} images/CPU-s [{min(rates):.1f}, {max(rates):.1f}]   "
              f"consort is {median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}] times as fast")


if __name__ == "__main__":
    main()
