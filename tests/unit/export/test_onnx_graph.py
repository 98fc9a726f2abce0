"""The graph of several networks gives what numpy computes from their predictions one by one."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from consort.errors import InputError
from consort.export.combination import Combination, answers
from consort.export.onnx_graph import Network, joined
from consort.export.views import Axis, View
from consort.models.families import build
from consort.models.onnx_export import to_onnx, with_weights
from unsure_networks import CLASSES, IMAGES, INFINITE, SIZE, VIEW, cascade, sureness


@pytest.fixture(scope="module")
def plain(networks) -> list[Network]:
    first = to_onnx(networks[0], "wrn-10-1", SIZE)
    return [Network(first, VIEW), *(Network(with_weights(first, network), VIEW) for network in networks[1:])]


def answered(model: onnx.ModelProto, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["probabilities", "members_asked"], {"images": images})


@pytest.mark.parametrize("combine", ["geometric", "arithmetic"])
@pytest.mark.parametrize("temperature", [1.0, 1.7])
def test_an_ensemble_asks_everybody_once(plain, log_probs, combine, temperature):
    combination = Combination((3,), combine, (temperature,))
    probabilities, asked = answered(joined(plain, combination, SIZE, CLASSES), IMAGES)
    np.testing.assert_allclose(probabilities, np.exp(answers(log_probs, combination)[0]), atol=1e-6)
    assert (asked == 3).all() and asked.dtype == np.int32


@settings(deadline=None, max_examples=25)
@given(confidence=st.sampled_from(["probability", "margin", "entropy", "agreement"]),
       combine=st.sampled_from(["geometric", "arithmetic"]), shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_a_cascade_asks_whom_numpy_asks_and_answers_the_same(plain, log_probs, confidence, combine, shares):
    thresholds = tuple(float(np.quantile(sureness(log_probs, confidence, combine, stage), share) + 1e-5)
                       for stage, share in enumerate(shares, start=1))
    combination = cascade(confidence, thresholds, combine)
    expected, expected_asked = answers(log_probs, combination)
    probabilities, asked = answered(joined(plain, combination, SIZE, CLASSES), IMAGES)
    np.testing.assert_array_equal(asked, expected_asked)
    np.testing.assert_allclose(probabilities, np.exp(expected), atol=1e-6)


@pytest.mark.parametrize(("thresholds", "everybody"), [((-1.0, -1.0), 1), ((INFINITE, -1.0), 2),
                                                       ((INFINITE, INFINITE), 3)])
@pytest.mark.parametrize("count", [1, 2, 40])
def test_no_image_and_every_image_may_go_on(plain, log_probs, thresholds, everybody, count):
    combination = cascade("probability", thresholds)
    probabilities, asked = answered(joined(plain, combination, SIZE, CLASSES), IMAGES[:count])
    assert (asked == everybody).all()
    np.testing.assert_allclose(probabilities, np.exp(answers(log_probs, combination)[0][:count]), atol=1e-6)


@pytest.mark.parametrize("threshold", [0.5, 2 / 3, 1.0])
def test_agreement_counts_votes_exactly(plain, log_probs, threshold):
    combination = cascade("agreement", (INFINITE, threshold))
    expected = answers(log_probs, combination)[1]
    _, asked = answered(joined(plain, combination, SIZE, CLASSES), IMAGES)
    np.testing.assert_array_equal(asked, expected)
    assert set(expected) == ({2, 3} if threshold == 0.5 else {3}), "no two of these networks agree on a class"


def test_a_threshold_between_two_float32_is_not_rounded_down(plain, log_probs):
    """An image exactly as sure as a float32 just below the threshold goes on, as numpy in float64 decides."""
    sure = sureness(log_probs, "probability", "geometric", 1)
    threshold = float(np.sort(sure)[20]) + 1e-9
    model = joined(plain, cascade("probability", (threshold, -1.0)), SIZE, CLASSES)
    constant = next(c for c in model.graph.initializer if c.name == "threshold")
    assert onnx.numpy_helper.to_array(constant) >= threshold


def test_half_stores_half_the_bytes_and_answers_nearly_the_same(plain):
    combination = Combination((3,), "geometric", (1.0,))
    whole, half = (joined(plain, combination, SIZE, CLASSES, half) for half in (False, True))
    assert len(half.SerializeToString()) < 0.6 * len(whole.SerializeToString())
    difference = np.abs(answered(whole, IMAGES)[0] - answered(half, IMAGES)[0]).max()
    assert 0 < difference < 0.01


def test_each_network_of_a_cascade_sees_its_own_images(plain, log_probs):
    """Here images are twice as high and wide as the networks', and one takes every other pixel, the next the mean of
    four, which are all the same."""
    large = np.repeat(np.repeat(IMAGES, 2, axis=1), 2, axis=2)
    rows, columns = (Axis(2 * side, (0, 2 * side), side, 0, side) for side in SIZE)
    seen = [View(rows, columns, how, (0, 0, 0), VIEW.mean, VIEW.std) for how in ("nearest", "box", "nearest")]
    networks = [Network(network.model, view) for network, view in zip(plain, seen, strict=True)]
    combination = cascade("margin", (0.5, 0.5))
    expected, expected_asked = answers(log_probs, combination)
    probabilities, asked = answered(joined(networks, combination, (16, 16), CLASSES), large)
    np.testing.assert_allclose(probabilities, np.exp(expected), atol=1e-6)
    np.testing.assert_array_equal(asked, expected_asked)
    assert len(set(asked)) > 1


def test_the_same_networks_give_the_same_bytes_without_paths_of_this_machine(networks, plain):
    again = to_onnx(networks[1], "wrn-10-1", SIZE).SerializeToString(deterministic=True)
    assert plain[1].model.SerializeToString(deterministic=True) == again
    assert b".py" not in again and b"/home" not in again


def test_weights_of_another_architecture_are_not_put_into_a_graph(plain):
    assert with_weights(plain[0].model, build("wrn-16-1", CLASSES)) is None


def test_an_operator_that_onnx_lacks_is_named():
    class Eigenvalues(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvalsh(x.mean(1) @ x.mean(1).mT)

    with pytest.raises(InputError, match=r"odd-net cannot be written as ONNX: ONNX has no operator for .*eigh"):
        to_onnx(Eigenvalues(), "odd-net", SIZE)


def test_stages_that_do_not_fit_the_networks_are_a_defect(plain):
    with pytest.raises(ValueError, match="another number"):
        joined(plain, Combination((2,), "geometric", (1.0,)), SIZE, CLASSES)
