"""Conditions of a latency, and sizes of images as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.costs.conditions import Conditions, conditions_of, parse_size, size_text
from consort.errors import InputError
from consort.store import keys
from consort.study.evaluation import Latency

sides = st.integers(1, 10_000)


@given(sides, sides)
def test_a_size_is_read_back_as_it_was_written(height, width):
    assert parse_size(size_text((height, width))) == (height, width)
    assert parse_size(f"{height}X{width}") == (height, width)
    assert parse_size(str(height)) == (height, height)


@given(st.text(alphabet="0123456789x -.²٣", max_size=8))
def test_other_text_is_a_size_or_an_input_error(text):
    try:
        height, width = parse_size(text, "--input")
    except InputError as e:
        assert str(e) == f"--input is HxW in pixels, such as 32x32, got {text!r}."
    else:
        assert min(height, width) > 0 and text.count("x") < 2


@pytest.mark.parametrize("text", ["", "x", "0x8", "8x", "8x8x8", "-8x8", "8.5", "²", "٣"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="the size of an image is HxW in pixels"):
        parse_size(text)


def test_keys_of_the_store_are_what_they_were():
    asked = conditions_of(Latency(batch_size=8, threads=2), (32, 24), 10)
    key = keys.latency_record("0123456789", "timm:resnet18.A", asked.text)
    assert key == "latency/0123456789/timm-resnet18.a-32x24-c10-b8-t2.json"


def test_other_devices_formats_and_runtimes_have_keys_of_their_own():
    asked = Conditions((32, 32), 10, device="cpu", precision="float32", runtime="onnx")
    assert asked.text == "32x32-c10-b1-t1-cpu-float32-onnx"
    assert Conditions((32, 32), 10, runtime="onnx").text == "32x32-c10-b1-t1-onnx"
