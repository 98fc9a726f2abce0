"""The program of several networks gives what numpy computes from their predictions one by one."""

import io
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.export.passes import move_to_device_pass

from consort.errors import InputError
from consort.export.combination import Combination, answers
from consort.export.torch_program import Half, Joined, Member, plain, program_bytes, with_weights
from consort.export.views import Axis, View
from unsure_networks import CLASSES, IMAGES, INFINITE, SIZE, VIEW, cascade, log_probs_of, sureness


@pytest.fixture(scope="module")
def members(networks) -> list[Member]:
    first = plain(networks[0], "wrn-10-1", SIZE)
    return [Member(with_weights(first, network), VIEW) for network in networks]


def loaded(content: bytes) -> torch.export.ExportedProgram:
    return torch.export.load(io.BytesIO(content))


def answered(module: nn.Module, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    probabilities, asked = module(torch.from_numpy(images))
    return probabilities.numpy(), asked.numpy()


@pytest.mark.parametrize("combine", ["geometric", "arithmetic"])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_an_ensemble_asks_everybody_once(members, log_probs, combine, temperature):
    combination = Combination((3,), combine, (temperature,))
    probabilities, asked = answered(Joined(members, combination), IMAGES)
    np.testing.assert_allclose(probabilities, np.exp(answers(log_probs, combination)[0]), atol=1e-6)
    assert (asked == 3).all() and asked.dtype == np.int32


@settings(deadline=None, max_examples=40)
@given(confidence=st.sampled_from(["probability", "margin", "entropy", "agreement"]),
       combine=st.sampled_from(["geometric", "arithmetic"]), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_cascade_asks_whom_numpy_asks_and_answers_the_same(members, log_probs, confidence, combine, shares):
    thresholds = tuple(float(np.quantile(sureness(log_probs, confidence, combine, stage), share) + 1e-5)
                       for stage, share in enumerate(shares, start=1))
    combination = cascade(confidence, thresholds, combine)
    expected, expected_asked = answers(log_probs, combination)
    probabilities, asked = answered(Joined(members, combination), IMAGES)
    np.testing.assert_array_equal(asked, expected_asked)
    np.testing.assert_allclose(probabilities, np.exp(expected), atol=1e-6)


@pytest.mark.parametrize(("confidence", "second"), [("margin", 0.5), ("agreement", 0.5), ("entropy", INFINITE)])
def test_a_written_program_asks_as_many_members_about_any_number_of_images(members, log_probs, confidence, second):
    """Also where no image of a batch is asked about further, where all are, and of one image."""
    first = float(np.median(sureness(log_probs, confidence, "geometric", 1))) + 1e-5
    combination = cascade(confidence, (INFINITE if confidence == "agreement" else first, second))
    program = loaded(program_bytes(Joined(members, combination), "three", SIZE)).module()
    expected, expected_asked = answers(log_probs, combination)
    counts = np.unique(expected_asked)
    assert len(counts) > 1, "or this says nothing"
    of_one_count = [expected_asked == count for count in counts]
    for rows in (slice(0, 40), slice(3, 10), *(slice(i, i + 1) for i in range(8)), *of_one_count):
        probabilities, asked = answered(program, IMAGES[rows])
        np.testing.assert_array_equal(asked, expected_asked[rows])
        np.testing.assert_allclose(probabilities, np.exp(expected[rows]), atol=1e-6)


def test_members_that_are_not_asked_are_not_computed(members):
    """A later network is given the images alone that an earlier one is not sure of."""
    seen: list[int] = []

    class Counting(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.mean((2, 3)) @ torch.ones(3, CLASSES)

    combination = Combination((1, 1), "geometric", (1.0, 1.0), "probability", (0.5,))
    _, asked = answered(Joined([members[0], Member(Counting(), VIEW)], combination), IMAGES)
    assert seen == [int((asked == 2).sum())] and 0 < seen[0] < 40


def test_a_file_has_nothing_pickled_and_no_paths_and_is_the_same_each_time(members, networks):
    combination = cascade("margin", (0.5, 0.5))
    content = program_bytes(Joined(members, combination), "three", SIZE)
    again = [Member(plain(network, "wrn-10-1", SIZE), VIEW) for network in networks]
    assert program_bytes(Joined(again, combination), "three", SIZE) == content
    assert b".py" not in content and b"/home" not in content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert [name for name, data in files.items() if data.startswith((b"\x80", b"PK")) and name.endswith((".pt", ".pkl"))
            ] == []
    configurations = [data for name, data in files.items() if name.endswith("_config.json")]
    assert configurations and not any(b'"use_pickle": true' in data for data in configurations)


def test_no_device_is_written_into_a_program(members):
    program = loaded(program_bytes(Joined(members, cascade("margin", (0.5, 0.5))), "three", SIZE))
    assert [node.name for node in program.graph.nodes if "device" in node.kwargs] == []
    assert [node.name for node in program.graph.nodes
            if any(isinstance(one, torch.device) for one in (*node.args, *node.kwargs.values()))] == []


@pytest.mark.cuda
def test_a_program_runs_on_a_gpu(members, log_probs):
    combination = cascade("margin", (0.5, 0.5))
    content = program_bytes(Joined(members, combination), "three", SIZE)
    expected, expected_asked = answers(log_probs, combination)
    for module in (move_to_device_pass(loaded(content), "cuda").module(), loaded(content).module().to("cuda")):
        probabilities, asked = module(torch.from_numpy(IMAGES).to("cuda"))
        assert probabilities.is_cuda and asked.is_cuda
        np.testing.assert_array_equal(asked.cpu().numpy(), expected_asked)
        np.testing.assert_allclose(probabilities.cpu().numpy(), np.exp(expected), atol=1e-3)


def test_half_stores_half_the_bytes_and_answers_nearly_the_same(networks):
    def content(network: nn.Module) -> bytes:
        return program_bytes(Joined([Member(network, VIEW)], Combination((1,), "geometric", (1.0,))), "one", SIZE)

    whole, half = content(plain(networks[0], "wrn-10-1", SIZE)), content(Half(plain(networks[0], "wrn-10-1", SIZE)))
    assert weight_bytes(half) < 0.6 * weight_bytes(whole)
    probabilities = [answered(loaded(one).module(), IMAGES)[0] for one in (whole, half)]
    assert 0 < np.abs(probabilities[0] - probabilities[1]).max() < 0.01


def weight_bytes(content: bytes) -> int:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return sum(one.file_size for one in archive.infolist() if "/data/weights/weight_" in one.filename)


class Attending(nn.Module):
    """As a vision transformer: each row of pixels attends to the others."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(24, 4, batch_first=True)

    def forward(self, x):
        rows = x.permute(0, 2, 1, 3).flatten(2)
        return self.attention(rows, rows, rows, need_weights=False)[0].mean(1)[:, :CLASSES]


def test_attention_can_be_asked_about_a_part_of_a_batch_on_any_device(members, networks):
    torch.manual_seed(1)
    attending = Attending().eval()
    combination = Combination((1, 1), "geometric", (1.0, 1.0), "probability", (INFINITE,))
    both = Joined([members[0], Member(plain(attending, "attending", SIZE), VIEW)], combination)
    program = loaded(program_bytes(both, "both", SIZE))
    assert not [node for node in program.graph.nodes if "_for_cpu" in str(node.target)]
    probabilities, asked = answered(program.module(), IMAGES)
    each = log_probs_of([networks[0], attending])
    np.testing.assert_allclose(probabilities, np.exp(answers(each, combination)[0]), atol=1e-5)
    assert (asked == 2).all()


def test_an_operator_that_must_know_the_number_of_images_is_named():
    class Rolled(nn.Module):
        def forward(self, x):
            return torch.roll(x, 1, 2).mean((2, 3))

    members = [Member(plain(Rolled(), "rolled", SIZE), VIEW) for _ in range(2)]
    combination = Combination((1, 1), "geometric", (1.0, 1.0), "probability", (0.5,))
    with pytest.raises(InputError, match=r"odd cannot be written .*: aten\.roll.* needs to know the number of images"):
        program_bytes(Joined(members, combination), "odd", SIZE)


def test_what_cannot_be_traced_is_said():
    class Looks(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)) if float(x.mean()) > 0 else x.amax((2, 3))

    with pytest.raises(InputError, match=r"odd cannot be written as a program of torch\.export: .*--format onnx"):
        plain(Looks(), "odd", SIZE)


def test_stages_that_do_not_fit_the_members_are_a_defect(members):
    with pytest.raises(ValueError, match="another number"):
        Joined(members, Combination((2,), "geometric", (1.0,)))


def test_each_network_of_a_program_sees_its_own_images(members, log_probs):
    """Here images are twice as high and wide as the networks', and one takes every other pixel, the next the mean of
    four, which are all the same."""
    large = np.repeat(np.repeat(IMAGES, 2, axis=1), 2, axis=2)
    rows, columns = (Axis(2 * side, (0, 2 * side), side, 0, side) for side in SIZE)
    views = [View(rows, columns, how, (0, 0, 0), VIEW.mean, VIEW.std) for how in ("nearest", "box", "nearest")]
    own = [Member(member.network, view) for member, view in zip(members, views, strict=True)]
    combination = cascade("margin", (0.5, 0.5))
    expected, expected_asked = answers(log_probs, combination)
    program = loaded(program_bytes(Joined(own, combination), "three", (16, 16)))
    probabilities, asked = answered(program.module(), large)
    np.testing.assert_allclose(probabilities, np.exp(expected), atol=1e-6)
    np.testing.assert_array_equal(asked, expected_asked)
    assert len(set(asked.tolist())) > 1
