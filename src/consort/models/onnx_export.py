"""A network as a plain ONNX graph: one input, one output, weights as initialisers under their names in torch."""

import logging
import re
import warnings
from typing import Any

import torch
from torch import nn

from consort.errors import InputError

OPSET = 18
"""The newest that ONNX Runtime, Triton and OpenVINO of the last years all read."""

_NO_OPERATOR = re.compile(r"No ONNX function found for <OpOverload\(op='([^']+)'")


def to_onnx(network: nn.Module, name: str, size: tuple[int, int]) -> Any:
    """The ModelProto of a network in float32: images float [batch, 3, height, width] -> logits [batch, classes].

    The batch is dynamic. Raises InputError that names the operator where ONNX has none for it. The network is left in
    evaluation mode.
    """
    example = torch.zeros(2, 3, *size)  # of one image, the exporter would take the batch for a constant
    try:
        with warnings.catch_warnings(), torch.no_grad(), _quiet():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(network.eval().float().cpu(), (example,), dynamo=True, opset_version=OPSET,
                                        input_names=["images"], output_names=["logits"], verbose=False, optimize=False,
                                        dynamic_shapes=({0: torch.export.Dim("batch")},))
    except ModuleNotFoundError as e:
        raise InputError(f"ONNX files need {e.name}: pip install 'consort[export]'.") from e
    except (torch.onnx.OnnxExporterError, RuntimeError, NotImplementedError) as e:
        raise InputError(f"{name} cannot be written as ONNX: {_reason(e)}. Choose a candidate without "
                         "it.") from e
    assert program is not None
    return _without_traces(program.model_proto)


def with_weights(model: Any, network: nn.Module) -> Any | None:
    """The graph of another network of the same architecture with this one's weights, which takes no time; None where
    the graph does not have all of them under their names."""
    from onnx import numpy_helper

    state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()
             if tensor.is_floating_point()}
    copy = type(model)()
    copy.CopyFrom(model)
    places = {initializer.name: initializer for initializer in copy.graph.initializer}
    if not state.keys() <= places.keys():
        return None
    for name, tensor in state.items():
        places[name].CopyFrom(numpy_helper.from_array(tensor.float().numpy(), name))
    return copy


def _reason(error: BaseException) -> str:
    """What cannot be expressed: the operator, where the exporter names one in its error or in what caused it."""
    texts, cause = [], error
    while cause is not None:
        texts.append(str(cause))
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    for text in texts:
        if found := _NO_OPERATOR.search(text):
            return f"ONNX has no operator for {found[1]}"
    return texts[-1].strip().splitlines()[0] if texts[-1].strip() else type(error).__name__


def _without_traces(model: Any) -> Any:
    """Without what the exporter notes about the program that called it, such as paths on this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    del graph.value_info[:]
    return model


class _quiet:
    """The exporter's own log lines, which say what its errors say again."""

    def __enter__(self) -> None:
        self.logger = logging.getLogger("torch.onnx")
        self.level = self.logger.level
        self.logger.setLevel(logging.CRITICAL)

    def __exit__(self, *args: object) -> None:
        self.logger.setLevel(self.level)
