"""A program of torch.export, run as a session of ONNX Runtime is.

This file is part of every bundle, beside what uses it, and needs torch and numpy alone.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


def open_program(path: Path, threads: int = 1, device: str = "cpu") -> "TorchSession":
    """A session of a .pt2 file; loading it may run what whoever wrote it put there. Raises ModuleNotFoundError without
    torch, and what torch raises, whose errors have no common class, where it cannot load the program or has no such
    device."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what else torch may have been built with
        with _reasons_raised():
            program = torch.export.load(path)
        if device != "cpu":
            from torch.export.passes import move_to_device_pass

            program = move_to_device_pass(program, device)
        return TorchSession(program.module(), threads, device)


@contextmanager
def _reasons_raised() -> Iterator[None]:
    """torch logs why it could not load a program, with a traceback, and raises only that it could not: raise why."""
    reasons: list[BaseException | None] = []

    def kept(record: logging.LogRecord) -> bool:
        reasons.append(record.exc_info[1] if record.exc_info else None)
        return False

    logger = logging.getLogger("torch.export")
    logger.addFilter(kept)
    try:
        yield
    except Exception as e:
        raise next((reason for reason in reasons if reason is not None), e) from e
    finally:
        logger.removeFilter(kept)


class TorchSession:
    def __init__(self, module: Any, threads: int, device: str) -> None:
        self.module, self.threads, self.device = module, threads, device

    def run(self, outputs: Sequence[str] | None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        """`probabilities` and `members_asked` of `images`, or those of them that `outputs` names, on as many threads as
        were asked for, of which torch has one number for all that a process does."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with torch.inference_mode():
                images = torch.from_numpy(np.require(feed["images"], requirements=("C", "W"))).to(self.device)
                probabilities, asked = self.module(images)
                found = {"probabilities": probabilities.cpu().numpy(), "members_asked": asked.cpu().numpy()}
        finally:
            torch.set_num_threads(before)
        return [found[name] for name in outputs or found]
