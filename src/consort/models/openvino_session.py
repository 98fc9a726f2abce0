"""A graph in OpenVINO, on the CPU.

This file is part of every bundle, beside what uses it, and needs openvino alone.
"""

from typing import Any


class OpenVinoSession:
    """Answers as a session of ONNX Runtime does. Of one thread at a time."""

    def __init__(self, file: str, threads: int) -> None:
        """Raises ModuleNotFoundError without openvino, and RuntimeError where it cannot run the graph."""
        import openvino  # type: ignore[import-not-found,unused-ignore]

        core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": "f32",  # of itself it takes bfloat16 where the processor has it
                    "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
        self.compiled = core.compile_model(core.read_model(file), "CPU", settings)
        self.outputs = [output.get_any_name() for output in self.compiled.outputs]

    def run(self, outputs: list[str] | None, inputs: dict[str, Any]) -> list[Any]:
        """Arrays by the names of the outputs; of all of them in the graph's order where None is named."""
        found = self.compiled(inputs)
        return [found[name] for name in outputs or self.outputs]
