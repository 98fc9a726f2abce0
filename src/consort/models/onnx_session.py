"""A graph in ONNX Runtime, on the CPU.

This file is part of every bundle, beside what uses it, and needs onnxruntime alone.
"""

from typing import Any


def open_graph(model: bytes | str, threads: int) -> Any:
    """A session of an ONNX file, or of its bytes. Raises ModuleNotFoundError without onnxruntime, and what onnxruntime
    raises, whose errors have no common class, where it cannot run the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
