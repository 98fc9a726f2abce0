"""What runs a network that is timed: torch as it is written, a CUDA graph, ONNX Runtime."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial

import numpy as np
import torch
from torch import nn

from consort import hardware
from consort.costs.conditions import Conditions, Part
from consort.costs.timed import Ready, clock
from consort.errors import InputError, unknown_name
from consort.models import compute, cuda_graphs
from consort.models.compute import cast_weights
from consort.models.families import build
from consort.models.onnx_export import to_onnx
from consort.models.onnx_session import open_graph


def place_of(conditions: Conditions) -> compute.Compute:
    """Where networks are timed under these conditions, with torch's threads set; InputError where not here."""
    compute.check_gpu()
    place = compute.choose(conditions.precision)
    if conditions.device not in ("auto", place.device.type):
        raise InputError(f"latencies are measured on {place.device.type} here, not on {conditions.device}. Measure "
                         "them on a machine that has it.")
    torch.set_num_threads(conditions.threads)
    return place


def ready(parts: Sequence[Part]) -> Ready:
    """One pass of a network; or of several networks that run at the same time, which takes the runtime graph. Raises
    InputError for what this machine cannot run."""
    torch.manual_seed(0)
    runtimes = {"torch": _in_torch, "graph": _in_graph, "onnxruntime": _in_onnxruntime}
    (_, conditions), *others = parts
    if conditions.runtime not in runtimes:
        raise unknown_name("runtime", conditions.runtime, runtimes)
    if others and conditions.runtime != "graph":
        raise InputError(f"networks run at the same time in one CUDA graph, not in the runtime {conditions.runtime}: "
                         "measure on a machine with a GPU, and leave the runtime out.")
    return runtimes[conditions.runtime](parts)


def memory_for(parts: Sequence[Part]) -> AbstractContextManager:
    """Raises InputError where what is made and timed in it does not fit into the GPU's memory."""
    sizes = dict.fromkeys(str(conditions.batch_size) for _, conditions in parts)
    return compute.memory_for(f"batches of {' and '.join(sizes)} with {', '.join(name for name, _ in parts)}",
                              "Set smaller [latency] batch_sizes, or end the other process that fills it.")


def _in_torch(parts: Sequence[Part]) -> Ready:
    ((name, conditions),) = parts
    place = place_of(conditions)
    run = _pass(_network(name, conditions, place), conditions, place)
    return Ready(run, clock(place, conditions.threads), place.device.type, place.precision, "torch",
                 hardware.versions(), place.autocast)


def _in_graph(parts: Sequence[Part]) -> Ready:
    """One graph, a stream for each network; launched from Python where CUDA cannot capture it."""
    places = [place_of(conditions) for _, conditions in parts]
    device = places[0].device
    if device.type != "cuda":
        raise InputError("the runtime graph replays a CUDA graph, and torch finds no GPU here. Leave the runtime out "
                         "([latency] runtime, --runtime), or measure on a machine that has one.")
    work = [_under(place.autocast, _pass(_deployed(name, conditions, place), conditions, place))
            for (name, conditions), place in zip(parts, places, strict=True)]
    replay = _captured(work, device)
    run, runtime = (replay, "graph") if replay else (partial(cuda_graphs.side_by_side, work, device), "torch")
    formats = " and ".join(sorted({place.precision for place in places}))
    return Ready(run, clock(places[0], parts[0][1].threads), "cuda", formats, runtime, hardware.versions())


def _captured(work: Sequence[cuda_graphs.Work], device: torch.device) -> cuda_graphs.Work | None:
    """What replays a graph of these passes, or None."""
    with torch.inference_mode():
        for number, one in enumerate(work):
            cuda_graphs.warm_up(one, device, number)
        graph = cuda_graphs.captured(work, device)
    if graph is None:
        return None

    def replay() -> object:
        graph.replay()
        return work  # held, since the graph reads their weights and images where they are

    return replay


def _network(name: str, conditions: Conditions, place: compute.Compute) -> nn.Module:
    return place.place(build(name, conditions.classes)).eval()


def _deployed(name: str, conditions: Conditions, place: compute.Compute) -> nn.Module:
    """The network with its weights cast once, as they are deployed. Autocast casts those of each layer in every pass:
    a launch for each, as many as there are convolutions."""
    network = _network(name, conditions, place)
    if place.precision == "bfloat16":
        cast_weights(network)
    return network


def _pass(network: nn.Module, conditions: Conditions, place: compute.Compute) -> cuda_graphs.Work:
    """A forward pass over a batch of its own; under autocast where the caller says so."""
    images = torch.randn(conditions.batch_size, 3, *conditions.input, device=place.device)
    return partial(network, images.to(memory_format=torch.channels_last))


def _under(context: Callable[[], AbstractContextManager], work: cuda_graphs.Work) -> cuda_graphs.Work:
    """The same work, its context a part of it, so that a graph has what the context adds."""
    def run() -> object:
        with context():
            return work()

    return run


def _in_onnxruntime(parts: Sequence[Part]) -> Ready:
    """As a bundle runs it: in float32, on the CPU."""
    ((architecture, conditions),) = parts
    if conditions.device == "cuda":
        raise InputError("onnxruntime runs on the CPU, as in a bundle, not on cuda. For a GPU take the runtime graph "
                         "or torch.")
    model = to_onnx(build(architecture, conditions.classes), architecture, conditions.input)
    try:
        session = open_graph(model.SerializeToString(), conditions.threads)
    except ModuleNotFoundError as e:
        raise InputError(f"[latency] runtime = 'onnxruntime' needs {e.name}: pip install 'consort[export]'.") from e
    images = {"images": np.random.default_rng(0).standard_normal(
        (conditions.batch_size, 3, *conditions.input), dtype=np.float32)}
    now = time.thread_time if conditions.threads == 1 else time.perf_counter
    return Ready(lambda: session.run(None, images), now, "cpu", "float32", "onnxruntime",
                 hardware.versions() | hardware.versions(("onnxruntime",)))
