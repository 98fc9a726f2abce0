"""A GPU that is there, or asked for, and cannot be used is said before anything trains on the processor instead."""

import pytest
import torch

from consort.errors import InputError
from consort.models import compute
from consort.train.torchrun import _check_gpus


@pytest.fixture
def asked_for(monkeypatch) -> None:
    """One GPU, by a torch that is built for CUDA."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def cuda_says(monkeypatch, text: str) -> None:
    def init() -> None:
        raise RuntimeError(text)

    monkeypatch.setattr(torch.cuda, "init", init)


def test_where_no_gpu_is_asked_for_the_processor_trains(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    compute.check_gpu()


def test_a_torch_without_cuda(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(InputError, match=r"named in CUDA_VISIBLE_DEVICES \(3\).*built without CUDA.*"
                                         r"CUDA_VISIBLE_DEVICES= \(empty\) uses the processor"):
        compute.check_gpu()


@pytest.mark.parametrize(("said", "words"), [
    ("The NVIDIA driver on your system is too old (found version 11040). Please update",
     r"for CUDA 13\.0 cannot use it \(driver: .*too old \(found version 11040\).*Update the driver"),
    ("No CUDA GPUs are available", "No CUDA GPUs are available.*name a GPU that is there"),
    ("CUDA error: out of memory\nCUDA kernel errors might be ...", r"another process fills .*out of memory\)\. End"),
    ("CUDA error: CUDA-capable device(s) is/are busy or unavailable", "another process .*holds it.*nvidia-smi")])
def test_a_gpu_that_cuda_refuses(asked_for, monkeypatch, said, words) -> None:
    cuda_says(monkeypatch, said)
    with pytest.raises(InputError, match=words):
        compute.check_gpu()


@pytest.mark.parametrize(("said", "full"), [
    ("CUDA error: out of memory", True), ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling ...", True),
    ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", True), ("CUDA error: an illegal memory access", False)])
def test_what_says_that_the_memory_is_full(said: str, full: bool) -> None:
    assert compute.is_out_of_memory(RuntimeError(said)) == full
    assert compute.is_out_of_memory(torch.OutOfMemoryError("")) is True


def test_two_processes_of_a_member_need_two_gpus(monkeypatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(InputError, match="a GPU of its own, got 2 processes and 1 GPU on this machine"):
        _check_gpus(1)
    _check_gpus(2)
    _check_gpus(0)  # on processors they meet through gloo
