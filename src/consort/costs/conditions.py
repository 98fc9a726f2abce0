"""Under which conditions a forward pass is timed; and sizes of images, which are written "32x32". No torch here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consort.ensembles.composition import Composition
from consort.errors import InputError
from consort.study.evaluation import Latency

Size = tuple[int, int]
"""Height and width in pixels."""


def size_text(size: Size) -> str:
    """Such as "32x32": height, then width."""
    return f"{size[0]}x{size[1]}"


def parse_size(text: str, what: str = "the size of an image") -> Size:
    """Height and width from "HxW", or from one number for both; raises InputError that says `what` is neither."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise InputError(f"{what} is HxW in pixels, such as 32x32, got {text!r}.")
    return int(parts[0]), int(parts[-1])


@dataclass(frozen=True)
class Conditions:
    """All that a latency depends on beside the network and the hardware. Latencies of equal conditions compare."""

    input: Size
    classes: int
    batch_size: int = 1
    threads: int = 1
    """Of the processor."""
    device: str = "auto"
    """cpu or cuda; auto: the GPU where the hardware has one."""
    precision: str = "auto"
    """bfloat16 or float32; auto: bfloat16 where the hardware has it."""
    runtime: str = "torch"
    """What runs the network. torch: as it is written, operator by operator; graph: the replay of a CUDA graph;
    onnxruntime: as a bundle does, in float32 on the CPU."""

    @property
    def further(self) -> list[str]:
        """What is not as in the first version, whose keys named neither device, precision nor runtime."""
        return [value for value, default in ((self.device, "auto"), (self.precision, "auto"), (self.runtime, "torch"))
                if value != default]

    @property
    def text(self) -> str:
        """As keys of the store have it, such as `32x32-c10-b1-t1`."""
        return "-".join([size_text(self.input), f"c{self.classes}", f"b{self.batch_size}", f"t{self.threads}",
                         *self.further])


Part = tuple[str, Conditions]
"""A network, by the name of its architecture, and how it is timed."""


@dataclass(frozen=True)
class Network:
    """A network that is timed for a study."""

    input: Size
    precision: str
    """That of its recipe."""


@dataclass(frozen=True)
class Asked:
    """The latencies that a study asks for."""

    settings: Latency
    classes: int
    networks: Mapping[str, Network]
    """Under the names of their architectures."""
    ensembles: Sequence[Composition] = ()
    """Whose members are timed at the same time, where that is possible."""

    def conditions(self, gpu: bool) -> list[dict[str, Conditions]]:
        """Architecture -> conditions, for each batch size; the first is what answers are about. gpu: whether there is
        one."""
        runtime = self.settings.runtime_on(gpu)
        return [{name: Conditions(network.input, self.classes, batch, self.settings.threads, runtime=runtime,
                                  precision="auto" if runtime == "onnxruntime" else network.precision)
                 for name, network in self.networks.items()} for batch in self.settings.batches(gpu)]

    def together(self, gpu: bool) -> dict[str, list[Part]]:
        """The label of an ensemble -> its members, at the first batch size; none but in the runtime graph."""
        if self.settings.runtime_on(gpu) != "graph":
            return {}
        first = self.conditions(gpu)[0]
        return {one.label: [(name, first[name]) for name, count in one.parts for _ in range(count)]
                for one in self.ensembles}


def text_of(parts: Sequence[Part]) -> str:
    """The conditions of members that are timed together, as keys of the store have them."""
    return "+".join(dict.fromkeys(conditions.text for _, conditions in parts))
