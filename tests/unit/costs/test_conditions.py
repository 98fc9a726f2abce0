"""Conditions of a latency, and sizes of images as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consort.costs.conditions import Asked, Conditions, Network, parse_size, size_text, text_of
from consort.ensembles.composition import Composition
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


def asked(settings: Latency, precision: str = "auto") -> Asked:
    return Asked(settings, 10, {"timm:resnet18.A": Network((32, 24), precision)})


def texts(settings: Latency, gpu: bool, precision: str = "auto") -> list[str]:
    return [conditions.text for wanted in asked(settings, precision).conditions(gpu) for conditions in wanted.values()]


def test_keys_of_the_store_are_what_they_were():
    ((conditions,),) = (wanted.values() for wanted in asked(Latency(batch_size=8, threads=2)).conditions(gpu=False))
    key = keys.latency_record("0123456789", "timm:resnet18.A", conditions.text)
    assert key == "latency/0123456789/timm-resnet18.a-32x24-c10-b8-t2.json"


def test_other_devices_formats_and_runtimes_have_keys_of_their_own():
    asked = Conditions((32, 32), 10, device="cpu", precision="float32", runtime="onnx")
    assert asked.text == "32x32-c10-b1-t1-cpu-float32-onnx"
    assert Conditions((32, 32), 10, runtime="onnx").text == "32x32-c10-b1-t1-onnx"


def test_a_gpu_is_asked_for_more_batch_sizes_and_for_a_graph_unless_the_study_says_otherwise():
    assert texts(Latency(), gpu=False) == ["32x24-c10-b1-t1"]
    assert texts(Latency(), gpu=True) == [f"32x24-c10-b{batch}-t1-graph" for batch in (1, 8, 64)]
    named = Latency(batch_sizes=(4, 2), runtime="torch")
    assert texts(named, gpu=True) == texts(named, gpu=False) == ["32x24-c10-b4-t1", "32x24-c10-b2-t1"]


def test_members_are_timed_together_in_a_graph_alone_and_at_the_first_batch_size():
    networks = {"a": Network((8, 8), "auto"), "b": Network((8, 8), "float32")}
    pair, mixed = Composition((("a", 2),)), Composition((("a", 1), ("b", 1)))
    found = Asked(Latency(batch_sizes=(4, 8)), 10, networks, [pair, mixed]).together(gpu=True)
    assert {label: [name for name, _ in parts] for label, parts in found.items()} == {
        "2 x a": ["a", "a"], "1 x a + 1 x b": ["a", "b"]}
    assert text_of(found["2 x a"]) == "8x8-c10-b4-t1-graph"
    assert text_of(found["1 x a + 1 x b"]) == "8x8-c10-b4-t1-graph+8x8-c10-b4-t1-float32-graph"
    assert Asked(Latency(), 10, networks, [pair]).together(gpu=False) == {}
    assert Asked(Latency(runtime="torch"), 10, networks, [pair]).together(gpu=True) == {}


def test_the_number_format_is_that_of_the_recipe_and_onnxruntime_has_but_one():
    assert texts(Latency(), gpu=False, precision="float32") == ["32x24-c10-b1-t1-float32"]
    assert texts(Latency(), gpu=True, precision="bfloat16")[0] == "32x24-c10-b1-t1-bfloat16-graph"
    assert texts(Latency(runtime="onnxruntime"), False, "bfloat16") == ["32x24-c10-b1-t1-onnxruntime"]
