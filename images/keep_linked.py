"""Delete the CUDA libraries that torch does not open when it works on a CPU.

torch from PyPI is linked against CUDA's libraries and cannot be imported without them, but opens the others (most of
cuDNN, for example) only on a GPU. This runs a training step and deletes what the process has not mapped by then.
The image is then for CPUs only.
"""

from pathlib import Path

import torch
import torch.distributed
import torchvision.transforms.v2


def train_step() -> None:
    """One step through convolution, normalisation, pooling, a linear layer and an optimiser, and one over Gloo."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.AdaptiveAvgPool2d(1),
                              torch.nn.Flatten(), torch.nn.Linear(8, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    images = torchvision.transforms.v2.RandomHorizontalFlip()(torch.randn(4, 3, 8, 8))
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    logits = torch.nn.parallel.DistributedDataParallel(net)(images)
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()
    torch.distributed.destroy_process_group()


def main() -> None:
    train_step()
    mapped = {Path(line.split(maxsplit=5)[5].strip()).resolve()
              for line in Path("/proc/self/maps").read_text().splitlines() if "/nvidia/" in line}
    libraries = [path for path in Path(torch.__file__).parents[1].glob("nvidia/**/*.so*") if not path.is_symlink()]
    unused = [path for path in libraries if path.resolve() not in mapped]
    freed = sum(path.stat().st_size for path in unused)
    for path in unused:
        path.unlink()
    print(f"kept {len(libraries) - len(unused)} CUDA libraries, deleted {len(unused)} ({freed / 2**20:.0f} MiB)")


if __name__ == "__main__":
    main()
