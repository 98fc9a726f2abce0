"""One ONNX graph of several networks: images in, probabilities and how many members were asked out.

A cascade is nested: each stage answers for the images that it is given, gathers those that it is not sure of, lets the
next stage answer for them inside an If, and scatters those answers back over its own. What nobody is unsure of is not
computed, and no network ever sees an empty batch, which runtimes had faults with.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from consort import __version__
from consort.ensembles.cascades import LEAST
from consort.export.combination import Combination
from consort.export.graph_part import Part, seen
from consort.export.views import View
from consort.models.onnx_export import OPSET

IR_VERSION = 9
"""Of opset 18's time: runtimes refuse a file whose IR is newer than theirs."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Network:
    """A plain graph of `models.onnx_export.to_onnx`, and what it sees of the bundle's images."""

    model: Any
    view: View


def joined(networks: Sequence[Network], combination: Combination, size: Size, classes: int, half: bool = False) -> Any:
    """The ModelProto: uint8 [N, height, width, 3] -> probabilities float32 [N, classes], members_asked int32 [N].

    half: weights are stored in float16 and computed with in float32.
    """
    if sum(combination.stages) != len(networks):
        raise ValueError(f"the stages {combination.stages} ask another number than the {len(networks)} networks")
    part = Part("")
    probabilities, asked = _Builder(networks, combination, half).stage(part, 0, "images", None)
    part.add("Identity", [probabilities], "probabilities")
    part.add("Identity", [asked], "members_asked")
    graph = helper.make_graph(
        part.nodes, "consort",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", *size, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes]),
         helper.make_tensor_value_info("members_asked", TensorProto.INT32, ["N"])], part.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="consort",
                              producer_version=__version__, ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


class _Builder:
    def __init__(self, networks: Sequence[Network], combination: Combination, half: bool) -> None:
        self.networks, self.combination, self.half = networks, combination, half

    def stage(self, part: Part, number: int, images: str, earlier: str | None) -> tuple[str, str]:
        """Names of probabilities [n, classes] and members_asked [n] for the n images that come to this stage.

        images: uint8. earlier: log-probabilities [n, members asked before, classes].
        """
        first = sum(self.combination.stages[:number])
        last = first + self.combination.stages[number]
        new = self._log_probs(part, range(first, last), images)
        every = [*([] if earlier is None else [earlier]), *new]
        log_probs = part.add("Concat", every, "log_probs", axis=1)
        combined = self._combined(part, log_probs, last)
        tempered = self._tempered(part, combined, self.combination.temperatures[number])
        probabilities = part.add("Exp", [tempered], "answer")
        length = part.add("Shape", [probabilities], "length", start=0, end=1)
        asked = part.add("ConstantOfShape", [length], "asked", value=numpy_helper.from_array(
            np.array([last], dtype=np.int32)))
        if number + 1 == len(self.combination.stages):
            return probabilities, asked
        confidence = self._confidence(part, log_probs, tempered, probabilities)
        return self._further(part, number, confidence, images, log_probs, probabilities, asked)

    def _log_probs(self, part: Part, members: range, images: str) -> list[str]:
        """The members' nodes, fed with the images; those that see the same share it. Of each [n, 1, classes]."""
        axis, rows = part.constant("row_of_member", [1], np.int64), []
        inputs: dict[View, str] = {}
        for member in members:
            network = self.networks[member]
            if network.view not in inputs:
                inputs[network.view] = seen(part, images, network.view, f"member{member}_images")
            logits = _inlined(part, network.model, f"member{member}/", inputs[network.view], self.half)
            log_probs = part.add("LogSoftmax", [logits], f"member{member}_log_probs", axis=1)
            rows.append(part.add("Unsqueeze", [log_probs, axis], f"member{member}_row"))
        return rows

    def _combined(self, part: Part, log_probs: str, count: int) -> str:
        """As `ensembles.composition.combine`: log-probabilities [n, classes] of `count` members."""
        axis = part.constant("members_axis", [1], np.int64)
        if count == 1:
            return part.add("Squeeze", [log_probs, axis], "combined")
        if self.combination.combine == "geometric":
            mean = part.add("ReduceMean", [log_probs, axis], "mean", keepdims=0)
            return part.add("LogSoftmax", [mean], "combined", axis=1)
        total = part.add("ReduceLogSumExp", [log_probs, axis], "total", keepdims=0)
        return part.add("Sub", [total, part.constant("log_count", np.log(count), np.float32)], "combined")

    def _tempered(self, part: Part, combined: str, temperature: float) -> str:
        if temperature == 1:
            return combined
        divisor = part.constant("temperature", temperature, np.float32)
        return part.add("LogSoftmax", [part.add("Div", [combined, divisor], "divided")], "tempered", axis=1)

    def _confidence(self, part: Part, log_probs: str, tempered: str, probabilities: str) -> str:
        """float [n], larger where the answer is surer; as `ensembles.cascades` defines it."""
        kind = self.combination.confidence
        if kind == "margin":
            two = part.add("TopK", [probabilities, part.constant("two", [2], np.int64)], "highest", axis=1)
            part.nodes[-1].output.append(part.prefix + "highest_classes")
            ends = [part.constant(f"rank{i}", i, np.int64) for i in (0, 1)]
            first, second = (part.add("Gather", [two, end], f"highest{i}", axis=1) for i, end in enumerate(ends))
            return part.add("Sub", [first, second], "confidence")
        axis = part.constant("class_axis", [1], np.int64)
        if kind == "probability":
            return part.add("ReduceMax", [probabilities, axis], "confidence", keepdims=0)
        if kind == "entropy":
            least = part.constant("least", LEAST, np.float32)  # 0 x -inf is no number
            terms = part.add("Mul", [probabilities, part.add("Max", [tempered, least], "finite")], "entropy_terms")
            return part.add("ReduceSum", [terms, axis], "confidence", keepdims=0)
        if kind == "agreement":
            votes = part.add("ArgMax", [log_probs], "votes", axis=2, keepdims=0)
            winner = part.add("ArgMax", [tempered], "winner", axis=1, keepdims=1)
            same = part.add("Cast", [part.add("Equal", [votes, winner], "same")], "for_winner", to=TensorProto.FLOAT)
            return part.add("ReduceSum", [same, axis], "confidence", keepdims=0)
        raise ValueError(f"confidence is probability, margin, entropy or agreement, got {kind!r}")

    def _further(self, part: Part, number: int, confidence: str, images: str, log_probs: str, probabilities: str,
                 asked: str) -> tuple[str, str]:
        """Ask the next stage about the images below the threshold, if there are any."""
        threshold = part.constant("threshold", self.combination.float32_threshold(number), np.float32)
        enough = part.add("GreaterOrEqual", [confidence, threshold], "enough")
        places = part.add("NonZero", [part.add("Not", [enough], "unsure")], "places")
        row = part.add("Squeeze", [places, part.constant("row_axis", [0], np.int64)], "unsure_rows")
        count = part.add("Size", [row], "unsure_count")
        some = part.add("Greater", [count, part.constant("none", 0, np.int64)], "some")
        inner = Part(f"{part.prefix}stage{number + 1}/")
        theirs = inner.add("Gather", [images, row], "images", axis=0)
        before = inner.add("Gather", [log_probs, row], "earlier", axis=0)
        answers, counts = self.stage(inner, number + 1, theirs, before)
        place = inner.add("Unsqueeze", [row, inner.constant("place_axis", [1], np.int64)], "scatter_rows")
        outputs = [inner.add("ScatterND", [probabilities, place, answers], "all_answers"),
                   inner.add("ScatterND", [asked, place, counts], "all_asked")]
        stay = Part(f"{part.prefix}sure{number}/")
        kept = [stay.add("Identity", [probabilities], "answers"), stay.add("Identity", [asked], "asked")]
        name = part.prefix + "further"
        final = [part.prefix + "final_answers", part.prefix + "final_asked"]
        part.nodes.append(helper.make_node("If", [some], final, name=name, then_branch=_branch(inner, outputs),
                                           else_branch=_branch(stay, kept)))
        return final[0], final[1]


def _branch(part: Part, outputs: Sequence[str]) -> Any:
    types = (TensorProto.FLOAT, TensorProto.INT32)
    infos = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(outputs, types, strict=True)]
    return helper.make_graph(part.nodes, part.prefix.rstrip("/"), [], infos, part.initializers)


def _inlined(part: Part, model: Any, prefix: str, images: str, half: bool) -> str:
    """Copy a plain graph's nodes and weights; the name of its output."""
    prefix = part.prefix + prefix
    graph = onnx.compose.add_prefix(model, prefix).graph
    own = graph.input[0].name
    for node in graph.node:
        node.input[:] = [images if name == own else name for name in node.input]
        part.nodes.append(node)
    for weights in graph.initializer:
        if half and weights.data_type == TensorProto.FLOAT and len(weights.dims) > 1:
            with np.errstate(over="ignore"):  # what float16 has no room for becomes infinite, which running it shows
                stored = numpy_helper.to_array(weights).astype(np.float16)
            part.initializers.append(numpy_helper.from_array(stored, weights.name + ".half"))
            part.nodes.insert(0, helper.make_node("Cast", [weights.name + ".half"], [weights.name],
                                                  name=weights.name, to=TensorProto.FLOAT))
        else:
            part.initializers.append(weights)
    return graph.output[0].name
