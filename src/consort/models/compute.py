"""Where and in which number format a network runs."""

import gc
import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from consort import hardware
from consort.errors import InputError
from consort.models.small_maps import small_maps_in_float32


@dataclass(frozen=True)
class Compute:
    """A device and the format of its convolutions and matrix products; weights stay float32."""

    device: torch.device
    precision: str
    """bfloat16 or float32."""

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def place(self, network: nn.Module) -> nn.Module:
        """Move to the device in channels-last layout, which convolutions on CPUs and tensor cores read fastest."""
        if self.device.type == "cpu" and self.precision == "bfloat16":
            small_maps_in_float32(network)
        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def cast_weights(network: nn.Module) -> None:
    """Bring the weights of convolutions and linear layers to bfloat16, in place.

    For a network that only predicts, under autocast: what it computes stays the same to the bit.
    """
    for module in network.modules():
        if type(module) in (nn.Conv2d, nn.Linear):
            module.to(torch.bfloat16)


def choose(precision: str, local_rank: int = 0) -> Compute:
    """The GPU where there is one, else the CPU; "auto" is bfloat16 where the hardware has it natively.

    Whether it is faster is not asked here: what trains and what is timed does (`train.number_format`, `costs.formats`).
    """
    if torch.cuda.is_available():
        device = torch.device("cuda", local_rank % torch.cuda.device_count())
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        device = torch.device("cpu")
        native = hardware.native_bfloat16()
    if precision == "auto":
        precision = "bfloat16" if native else "float32"
    return Compute(device, precision)


def is_deterministic(place: Compute, asked: bool | None) -> bool:
    """Whether bits are equal from run to run: on CPUs always, on GPUs if asked for, since it costs time there."""
    return place.device.type == "cpu" or bool(asked)


def use_determinism(asked: bool | None) -> None:
    """Let CUDA's libraries choose algorithms that give equal bits from run to run, or the fastest by trying them.

    Before the first work on the GPU: cuBLAS reads its variable once. An operator of torch that has no such algorithm
    warns, once.
    """
    if not torch.cuda.is_available():
        return
    exact = bool(asked)
    if exact:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = exact, not exact
    torch.use_deterministic_algorithms(exact, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # it costs time


_FULL = ("out of memory", "ALLOC_FAILED")
"""What CUDA and its libraries say where a GPU's memory is full, in errors that have no class of their own."""


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether this says that the device's memory is full."""
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in _FULL)


@contextmanager
def memory_for(what: str, remedy: str) -> Iterator[None]:
    """Raises InputError that says what does not fit into the GPU's memory, where what is done in it does not."""
    try:
        yield
    except RuntimeError as e:
        if not is_out_of_memory(e):
            raise
        reason = next(iter(str(e).splitlines()), type(e).__name__)
        raise InputError(f"the GPU's memory is too small or too full for {what}: {reason[:150].rstrip('.')}. {remedy}"
                         ) from e


def free_memory() -> None:
    """Give back what the GPU holds for nothing that is left."""
    gc.collect()
    if torch.cuda.is_available():
        torch._C._cuda_clearCublasWorkspaces()  # tens of megabytes for every stream that was ever worked on
        torch.cuda.empty_cache()


def check_gpu(local_rank: int = 0) -> None:
    """Raises InputError where a GPU is there, or asked for in CUDA_VISIBLE_DEVICES, and cannot be used: training on
    the processor instead would take days in silence, and its latencies would pass for the GPU's."""
    gpus = hardware.gpus()
    if not gpus or torch.version.hip:  # which has drivers and words of its own
        return
    found = f"a GPU is there or named in CUDA_VISIBLE_DEVICES ({', '.join(gpus)})"
    remedy = "CUDA_VISIBLE_DEVICES= (empty) uses the processor."
    if torch.version.cuda is None:
        raise InputError(f"{found}, but torch {torch.__version__} is built without CUDA. Install a build of torch with "
                         f"it (in a container image: TORCH_INDEX_URL); {remedy}")
    try:
        torch.cuda.init()
        torch.cuda.mem_get_info(choose("auto", local_rank).device)
    except RuntimeError as e:
        reason = str(e).splitlines()[0].rstrip(".")
        if is_out_of_memory(e) or "busy" in reason:
            raise InputError(f"the GPU cannot be used, another process fills or holds it ({reason}). End that process "
                             f"(nvidia-smi names it), or use another GPU; {remedy}") from e
        raise InputError(f"{found}, but torch {torch.__version__} for CUDA {torch.version.cuda} cannot use it (driver: "
                         f"{hardware.driver() or 'none found'}): {reason}. Update the driver, install a build of torch "
                         f"for an older CUDA, or name a GPU that is there; {remedy}") from e


def machine(place: Compute) -> dict[str, str]:
    """What has to be the same for two trainings to give the same bits."""
    found = {"torch": torch.__version__}
    if place.device.type == "cuda":
        return found | {"device": torch.cuda.get_device_name(place.device), "driver": hardware.driver() or "",
                        "cudnn": str(torch.backends.cudnn.version())}
    described = hardware.describe()
    return found | {"device": described["cpu"], "instructions": " ".join(described["instructions"])}


def lacks_compiler(place: Compute) -> str:
    """What torch.compile lacks here, in words; empty where nothing is."""
    if not any(shutil.which(name) for name in (os.environ.get("CC") or "cc", "gcc", "clang")):
        return "there is no C compiler here"
    if place.device.type == "cuda" and not importlib.util.find_spec("triton"):
        return "Triton is not installed here"
    return ""
