"""What a network sees inside a bundle's graph is what it saw in the study."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from PIL import Image

from consort.data.preprocessing import AS_PREPARED, Preprocessing
from consort.errors import InputError
from consort.export.graph_part import Part, seen
from consort.export.running import fitted
from consort.export.torch_program import Seen
from consort.export.views import View, Views, views_of
from consort.members.records import MemberRecord
from consort.models.onnx_export import OPSET
from image_files import picture

MEAN, STD = (0.25, 0.5, 0.75), (0.5, 0.25, 0.125)


class Data:
    """Of prepared data, what views are made of."""

    def __init__(self, layout: str, size: tuple[int, int] | None = None) -> None:
        self.manifest = type("Manifest", (), {"layout": layout, "image_size": size, "mean": MEAN, "std": STD})


def member(id: str, own: Preprocessing | None = None) -> MemberRecord:
    return MemberRecord(id, "resnet18", "d", {}, 0, {}, 1, 1, "", None, "float32",
                        preprocessing=own.to_dict() if own else None)


def views(data: Data, *wanted: Preprocessing | tuple[int, int]) -> Views:
    """A size: of a member that was trained on prepared images."""
    records = [member(f"m{i}", w if isinstance(w, Preprocessing) else None) for i, w in enumerate(wanted)]
    sizes = [w.crop if isinstance(w, Preprocessing) else w for w in wanted]
    return views_of(records, sizes, data)  # type: ignore[arg-type]


def levels(view: View, images: np.ndarray) -> np.ndarray:
    """What the graph makes of uint8 [n, H, W, 3], as levels [n, h, w, 3] again."""
    part = Part("")
    name = seen(part, "images", view, "seen")
    graph = helper.make_graph(
        part.nodes, "test", [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", *images.shape[1:]])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3, *view.size])], part.initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": images})
    in_torch = Seen(view)(torch.tensor(images)).numpy()
    np.testing.assert_allclose(found, in_torch, atol=1e-5)  # a level of 255 is 0.008 and more
    return 255 * (found.transpose(0, 2, 3, 1) * np.float32(view.std) + np.float32(view.mean))


def assert_same_pixels(found: np.ndarray, wanted: np.ndarray) -> None:
    np.testing.assert_allclose(found, wanted, atol=1e-3)


hows = st.builds(
    Preprocessing, st.tuples(st.integers(5, 40), st.integers(5, 40)), st.tuples(st.integers(3, 44), st.integers(3, 44)),
    st.sampled_from(["shorter", "cover", "exact", "inside"]),
    st.sampled_from(["bilinear", "bicubic", "nearest", "box", "hamming", "lanczos"]),
    fill=st.tuples(*[st.integers(0, 255)] * 3))


@settings(deadline=None, max_examples=60)
@example(Preprocessing((5, 5), (3, 3), "exact"), (6, 4))  # less high and wider: Pillow 13 begins with the height
@given(hows, st.tuples(st.integers(4, 30), st.integers(4, 30)))
def test_images_in_arrays_are_resized_inside_the_graph_as_pillow_resizes(how, size):
    found = views(Data("arrays", size), how)
    assert found.size == size and found.exact and found.networks[0].size == how.crop
    images = np.stack([picture(seed, *size) for seed in range(3)])
    assert_same_pixels(levels(found.networks[0], images), np.stack([how.pixels(image) for image in images]))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_small_images_become_those_of_published_weights(interpolation):
    """The usual case: 32 x 32 to the centre of 256 x 256."""
    how = Preprocessing((256, 256), (224, 224), "shorter", interpolation)
    images = np.stack([picture(seed, 32, 32) for seed in range(4)])
    found = levels(views(Data("arrays", (32, 32)), how).networks[0], images)
    assert_same_pixels(found, np.stack([how.pixels(image) for image in images]))


def test_members_that_differ_each_see_their_own_of_the_same_array():
    published = Preprocessing((40, 40), (36, 36), "shorter", mean=(0.1, 0.2, 0.3))
    framed = Preprocessing((20, 20), (24, 24), "inside", "bicubic", fill=(9, 8, 7))
    scaled = Preprocessing((40, 40), (16, 24), AS_PREPARED, mean=(0.4, 0.5, 0.6))
    found = views(Data("arrays", (16, 24)), published, framed, scaled, (16, 24))
    images = picture(1, 16, 24)[None]
    assert found.exact and [v.size for v in found.networks] == [(36, 36), (24, 24), (16, 24), (16, 24)]
    assert [v.mean for v in found.networks] == [(0.1, 0.2, 0.3), framed.mean, (0.4, 0.5, 0.6), MEAN]
    for view, how in zip(found.networks, (published, framed), strict=False):
        assert_same_pixels(levels(view, images), how.pixels(images[0])[None])
    for view in found.networks[2:]:
        np.testing.assert_allclose(levels(view, images), images, atol=1e-4)


@settings(deadline=None, max_examples=60)
@given(hows, st.tuples(st.integers(4, 60), st.integers(4, 60)))
def test_files_are_brought_to_what_all_members_want_by_the_rule_of_the_manifest(how, size):
    found = views(Data("files"), how, how)
    image = picture(0, *size)
    taken = fitted(Image.fromarray(image), found.rule)
    np.testing.assert_array_equal(taken, how.pixels(image))
    assert found.exact and found.size == how.crop == taken.shape[:2]
    np.testing.assert_allclose(levels(found.networks[1], taken[None]), taken[None], atol=1e-4)


@pytest.mark.parametrize("size", [(70, 90), (90, 71), (64, 64)])
def test_a_wider_view_holds_a_narrower_one_of_the_same_scale(size):
    wide, narrow = (Preprocessing((64, 64), (crop, crop), "shorter") for crop in (60, 41))
    found = views(Data("files"), narrow, wide)
    image = picture(3, *size)
    taken = fitted(Image.fromarray(image), found.rule)
    assert not found.exact and found.size == (60, 60)
    np.testing.assert_allclose(levels(found.networks[1], taken[None])[0], wide.pixels(image), atol=1e-4)
    seen_narrow = levels(found.networks[0], taken[None])[0]
    shifts = [np.abs(np.roll(seen_narrow, (y, x), (0, 1))[1:-1, 1:-1] - narrow.pixels(image)[1:-1, 1:-1]).max()
              for y in (-1, 0, 1) for x in (-1, 0, 1)]
    assert min(shifts) < 0.01, "an odd margin's pixel may be on the other side"


def smooth(height: int, width: int) -> np.ndarray:
    small = Image.fromarray(picture(5, 4, 5))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(("first", "second"), [
    (Preprocessing((232, 232), (224, 224)), Preprocessing((256, 256), (224, 224), interpolation="bicubic")),
    (Preprocessing((64, 64), (48, 48)), (96, 96)),
    (Preprocessing((60, 80), (60, 80), "exact"), Preprocessing((90, 90), (80, 70), "exact"))])
def test_another_scale_is_made_of_the_bundles_image_and_nearly_the_same(first, second):
    found = views(Data("files"), first, second)
    image = smooth(300, 401)
    taken = fitted(Image.fromarray(image), found.rule)
    assert not found.exact and taken.shape[:2] == found.size
    for view, how in zip(found.networks, (first, second), strict=True):
        if isinstance(how, Preprocessing):
            assert np.abs(levels(view, taken[None])[0] - how.pixels(image)).mean() < 1.5


def test_what_no_image_holds_is_refused():
    squashed, framed = Preprocessing((64, 64), (64, 64), "exact"), Preprocessing((64, 64), (64, 64), "inside")
    for one, other in ((squashed, framed), (squashed, (64, 64)), (framed, (64, 64)),
                       (Preprocessing((64, 80), (64, 64), "cover"), (64, 64))):
        with pytest.raises(InputError, match=r"m0 and m1 cannot be in one bundle: images are .* and none holds all of"):
            views(Data("files"), one, other)


@pytest.mark.parametrize("how", [Preprocessing((256, 256), (224, 224)), Preprocessing((256, 256), (224, 224), "cover"),
                                 (224, 224)])
def test_strips_are_cut_before_they_are_made_large(how):
    """They would have 6.5 billion pixels, of which a square of 256 is seen."""
    rule = views(Data("files"), how).rule
    for shape in ((2, 200_000, 3), (200_000, 2, 3)):
        strip = np.zeros(shape, np.uint8)
        middle = strip if shape[0] > shape[1] else strip.transpose(1, 0, 2)
        middle[99_980:100_020] = 100
        assert (fitted(Image.fromarray(strip), rule) == 100).all()
