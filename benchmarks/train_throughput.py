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
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from consort import hardware
from consort.data.prepare import prepare
from consort.events import unheard
from consort.members.spec import MemberSpec
from consort.models import compute
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

Step = Callable[[], None]


class Pictures(Dataset):
    """Random 32x32 pictures as PIL images, with a transform: what torchvision's CIFAR10 class does."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


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


def plain_step(architecture: str, images: np.ndarray, labels: np.ndarray) -> Step:
    transform = transforms.Compose([transforms.RandomCrop(32, 4, padding_mode="reflect"),
                                    transforms.RandomHorizontalFlip(), transforms.ToTensor(),
                                    transforms.Normalize((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))])
    loader: Iterator = _forever(DataLoader(Pictures(images, labels, transform), BATCH, shuffle=True, drop_last=True))
    network = build(architecture, 10)
    optimiser = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
    return _loop(network, optimiser, loader, nn.CrossEntropyLoss())


def timm_step(architecture: str, images: np.ndarray, labels: np.ndarray) -> Step:
    import timm.data
    import timm.loss
    import timm.optim
    transform = timm.data.create_transform((3, 32, 32), is_training=True)
    loader: Iterator = _forever(DataLoader(Pictures(images, labels, transform), BATCH, shuffle=True, drop_last=True))
    network = build(architecture, 10)
    optimiser = timm.optim.create_optimizer_v2(network, "sgd", lr=0.1, weight_decay=2e-5, momentum=0.9)
    return _loop(network, optimiser, loader, timm.loss.LabelSmoothingCrossEntropy(0.1))


def _forever(loader: DataLoader) -> Iterator:
    while True:
        yield from loader


def _loop(network: nn.Module, optimiser: torch.optim.Optimizer, loader: Iterator, loss: nn.Module) -> Step:
    network.train()

    def step() -> None:
        x, y = next(loader)
        optimiser.zero_grad()
        loss(network(x), y).backward()
        optimiser.step()
    return step


def convolutions_step(architecture: str) -> Step:
    """Every convolution of the network on inputs of its shape, forward and backward, and nothing else."""
    place = compute.choose("auto")
    dtype = torch.bfloat16 if place.precision == "bfloat16" else torch.float32
    calls: list[tuple] = []

    def note(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        x = torch.randn(BATCH, *inputs[0].shape[1:]).to(dtype).to(memory_format=torch.channels_last)
        weight = module.weight.detach().to(dtype).to(memory_format=torch.channels_last).requires_grad_()
        gradient = torch.randn(BATCH, *output.shape[1:]).to(dtype).to(memory_format=torch.channels_last)
        first = module.in_channels == 3  # the images themselves need no gradient
        calls.append((x.requires_grad_(not first), weight, module.stride, module.padding, gradient))

    network = build(architecture, 10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(note)
    network(torch.randn(2, 3, 32, 32))

    def step() -> None:
        for x, weight, stride, padding, gradient in calls:
            wanted = (x, weight) if x.requires_grad else (weight,)
            torch.autograd.grad(F.conv2d(x, weight, None, stride, padding), wanted, gradient)
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
                     "plain": plain_step(architecture, images, labels), "timm": timm_step(architecture, images, labels),
                     "convolutions": convolutions_step(architecture)}
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
