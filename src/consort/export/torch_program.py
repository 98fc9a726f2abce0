"""One program of torch.export of several networks: images in, probabilities and how many members were asked out.

A cascade's stage answers for the images that it is given; those that it is not sure of are gathered, the next stage is
asked about these alone, and its answers are put over the earlier ones. Where there are none, networks see an empty
batch, which costs next to nothing.
"""

import io
import re
import warnings
from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor, nn
from torch.torch_version import TorchVersion

from consort.ensembles.cascades import LEAST
from consort.errors import InputError
from consort.export.combination import Combination
from consort.export.views import WHOLE, View

Size = tuple[int, int]

PLAIN_SINCE = "2.9"
"""The first torch whose .pt2 files have weights as plain bytes: torch.save writes them before, that is pickle."""
_OPERATOR = re.compile(r"torch\.ops\.([\w.]+)\(")
NOTES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")
"""What is noted at a node about the program that was exported, such as paths on this machine."""


class Half(nn.Module):
    """A network whose weights are stored in float16, and computed with in float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = deepcopy(network)
        for weights in self.network.parameters():
            if weights.ndim > 1:
                weights.data = weights.data.half()

    def forward(self, x: Tensor) -> Tensor:
        weights = {name: stored.float() for name, stored in self.network.named_parameters()}
        return torch.func.functional_call(self.network, weights, (x,))


class Seen(nn.Module):
    """What a network sees of the bundle's images, to the bit as `graph_part.seen` makes it."""

    scale: Tensor
    shift: Tensor
    fill: Tensor

    def __init__(self, view: View) -> None:
        super().__init__()
        self.rows, self.columns, self.columns_first = view.rows, view.columns, view.columns_first
        means, stds, fill = (np.array(values, dtype=np.float32).reshape(3, 1, 1)
                             for values in (view.mean, view.std, view.fill))
        self.register_buffer("scale", torch.from_numpy(np.float32(1) / (np.float32(255) * stds)))
        self.register_buffer("shift", torch.from_numpy(-means / stds))
        self.register_buffer("fill", torch.from_numpy(fill))
        for name, side in (("wide", view.columns), ("high", view.rows)):
            weights = None if side.as_it_is else torch.from_numpy(side.weights(view.interpolation) / WHOLE)
            self.register_buffer(name, weights)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [n, height, width, 3] -> float32 [n, 3, height, width], normalised as by `data.augment.Normalise`."""
        x = images.permute(0, 3, 1, 2)
        if self.rows.as_it_is:
            x = x[:, :, slice(*self.rows.inner)]
        if self.columns.as_it_is:
            x = x[..., slice(*self.columns.inner)]
        for name in ("wide", "high") if self.columns_first else ("high", "wide"):
            weights = getattr(self, name)
            if weights is not None:  # in float64, which rounds none of Pillow's sums
                x = x.double()
                x = ((x @ weights if name == "wide" else weights.T @ x) + 0.5).floor().clamp(0, 255)
        border = (*self.columns.border, *self.rows.border)
        if any(border):
            x = nn.functional.pad(x.float() - self.fill, border) + self.fill
        return x.float() * self.scale + self.shift


class Member(nn.Module):
    """A network, and what it sees of the bundle's images."""

    def __init__(self, network: nn.Module, view: View) -> None:
        super().__init__()
        self.network, self.seen = network, Seen(view)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 [n, height, width, 3] -> logits [n, classes]."""
        return self.network(self.seen(images))


class Joined(nn.Module):
    """Members, in the order in which they are asked, as one answer."""

    asked_after: Tensor

    def __init__(self, members: Sequence[Member], combination: Combination) -> None:
        super().__init__()
        if sum(combination.stages) != len(members):
            raise ValueError(f"the stages {combination.stages} ask another number than the {len(members)} networks")
        self.members, self.combination = nn.ModuleList(members), combination
        self.requires_grad_(False)
        self.register_buffer("asked_after", torch.tensor(combination.asked_after, dtype=torch.int32))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [N, height, width, 3] -> probabilities float32 [N, classes], members_asked int32 [N]."""
        log_probs = self._log_probs(0, images)
        tempered, probabilities = self._answer(0, log_probs)
        asked, rows = self._asked(0, images).clone(), None
        for number in range(1, len(self.combination.stages)):
            confidence = self._confidence(number - 1, log_probs, tempered)
            unsure = (confidence >= self.combination.float32_threshold(number - 1)).logical_not().nonzero().squeeze(1)
            images, log_probs = images.index_select(0, unsure), log_probs.index_select(0, unsure)
            rows = unsure if rows is None else rows.index_select(0, unsure)
            log_probs = torch.cat([log_probs, self._log_probs(number, images)], dim=1)
            tempered, answers = self._answer(number, log_probs)
            probabilities = probabilities.index_copy(0, rows, answers)
            asked = asked.index_copy(0, rows, self._asked(number, images))
        return probabilities, asked

    def _log_probs(self, number: int, images: Tensor) -> Tensor:
        """Of a stage's own networks, [n, networks, classes]."""
        last = self.combination.asked_after[number]
        asked = list(self.members)[last - self.combination.stages[number]:last]
        return torch.stack([member(images).log_softmax(1) for member in asked], dim=1)

    def _asked(self, number: int, images: Tensor) -> Tensor:
        return self.asked_after[number].expand(images.shape[0])

    def _answer(self, number: int, log_probs: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities and probabilities [n, classes] of all that were asked, as `composition.combine` does."""
        count, temperature = self.combination.asked_after[number], self.combination.temperatures[number]
        if count == 1:
            combined = log_probs.squeeze(1)
        elif self.combination.combine == "geometric":
            combined = log_probs.mean(1).log_softmax(1)
        else:
            combined = log_probs.logsumexp(1) - float(np.log(count))
        tempered = combined if temperature == 1 else (combined / temperature).log_softmax(1)
        return tempered, tempered.exp()

    def _confidence(self, number: int, log_probs: Tensor, tempered: Tensor) -> Tensor:
        """[n], larger where the answer is surer; as `ensembles.cascades` defines it."""
        kind, probabilities = self.combination.confidence, tempered.exp()
        if kind == "probability":
            return probabilities.amax(1)
        if kind == "margin":
            highest = probabilities.topk(2, dim=1).values
            return highest[:, 0] - highest[:, 1]
        if kind == "entropy":
            return (probabilities * tempered.clamp(min=LEAST)).sum(1)  # 0 x -inf is no number
        if kind == "agreement":
            return (log_probs.argmax(2) == tempered.argmax(1, keepdim=True)).sum(1)
        raise ValueError(f"confidence is probability, margin, entropy or agreement, got {kind!r}")


def check_torch() -> None:
    """InputError where this torch would write a file with something pickled in it."""
    if TorchVersion(torch.__version__) < PLAIN_SINCE:
        raise InputError(f"a program of torch.export is written from torch {PLAIN_SINCE} on, as earlier ones pickle "
                         f"its weights, and this is torch {torch.__version__}: pip install 'torch>={PLAIN_SINCE}', or "
                         "--format onnx.")


def plain(network: nn.Module, name: str, size: Size) -> nn.Module:
    """A network as operators that change nothing in place, whose batch may be of any number of images, also none.

    Raises InputError where it cannot be written so.
    """
    program = _exported(network.eval().float().cpu(), torch.zeros(2, 3, *size), name).run_decompositions({})
    _copy_where_no_view_is_possible(program)
    return program.module()


def with_weights(like: nn.Module, network: nn.Module) -> nn.Module:
    """What `plain` gave for another network of the same architecture, with this one's weights."""
    copy = deepcopy(like)
    copy.load_state_dict(network.state_dict())
    return copy


def program_bytes(joined: Joined, name: str, size: Size) -> bytes:
    """The .pt2 file, in which nothing is pickled by a torch that `check_torch` lets pass; the same networks give the
    same bytes.

    Raises InputError that names the operator where one cannot be asked about a part of a batch.
    """
    program = _exported(joined, torch.zeros(2, *size, 3, dtype=torch.uint8), name)
    program._example_inputs = None  # they are pickled in all versions
    _copy_where_no_view_is_possible(program)
    for node in program.graph.nodes:
        for note in NOTES:
            node.meta.pop(note, None)
        if node.target is torch.ops.aten._assert_tensor_metadata.default:  # that it runs on the device of its export
            node.kwargs = {key: value for key, value in node.kwargs.items() if key != "device"}
    program.graph_module.recompile()
    written = io.BytesIO()
    torch.export.save(program, written)
    return written.getvalue()


def _copy_where_no_view_is_possible(program: torch.export.ExportedProgram) -> None:
    """On another device, or of another batch, an operator may lay its output out otherwise than where it was traced."""
    for node in program.graph.nodes:
        if node.target is torch.ops.aten.view.default:
            node.target = torch.ops.aten.reshape.default
    program.graph_module.recompile()


def _exported(module: nn.Module, example: Tensor, name: str) -> torch.export.ExportedProgram:
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except (RuntimeError, NotImplementedError, torch._dynamo.exc.TorchDynamoException) as e:
        raise InputError(f"{name} cannot be written as a program of torch.export: {_reason(e)}. Choose a candidate "
                         "without it, or --format onnx.") from e


def _reason(error: BaseException) -> str:
    """The operator that the exporter names, or the first line of its error."""
    text = str(error).strip()
    if found := _OPERATOR.findall(text):
        return f"{found[-1]} needs to know the number of images beforehand"
    return text.splitlines()[0] if text else type(error).__name__
