"""Whatever lies in a folder or a zip, preparing it ends with data or with an error that is said."""

import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from consort.data.findings import lines
from consort.data.prepare import prepare, prepare_test_set
from consort.data.prepared import Prepared
from consort.errors import ConsortError
from consort.run.first_study import first_study
from consort.store import open_store
from consort.study.data import Data
from image_files import image_set, picture, write_folder
from prepared_images import prepared

MODES = {"PNG": ("RGB", "L", "1", "P", "LA", "RGBA", "I;16"), "JPEG": ("RGB", "L", "CMYK"),
         "TIFF": ("RGB", "F", "I;16"), "GIF": ("P",), "BMP": ("RGB", "1"), "WEBP": ("RGBA",),
         "PPM": ("RGB", "L")}
SMALL = image_set(train=3, test=1)
GOOD = list(SMALL.values())


def saved(form: str, mode: str, height: int, width: int) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(picture(0, height, width))
    image = Image.fromarray(np.full((height, width), 4000, np.uint16)) if mode == "I;16" else image.convert(mode)
    image.save(file, form)
    return file.getvalue()


@st.composite
def contents(draw) -> bytes:
    """An image of some kind, whole, cut off or altered; or no image."""
    form = draw(st.sampled_from(sorted(MODES)))
    data = bytearray(saved(form, draw(st.sampled_from(MODES[form])), draw(st.sampled_from([1, 7, 8, 230])),
                           draw(st.sampled_from([1, 8, 9, 230]))))
    for place, value in draw(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=4)):
        data[place % len(data)] = value
    kind = draw(st.sampled_from(["altered", "cut", "text"]))
    return {"altered": bytes(data), "cut": bytes(data[:draw(st.integers(0, 200))]),
            "text": draw(st.binary(max_size=40))}[kind]


TOPS = ["train/cat", "train/dog", "test/cat", "val/dog", "train", "test", "val", "Train", "testing", "validation",
        "pets/train", "pets/test", "old/train", "raw", ".git", "__MACOSX/train"]
NAMES = st.one_of(st.sampled_from(["cat", "dog", "cow", "0", "..", ".", "Thumbs.db", "CON", "a\\b", "é", "e\u0301"]),
                  st.text(st.characters(codec=None, exclude_characters="/\0"), min_size=1, max_size=6))
ENDINGS = st.sampled_from([".png", ".jpg", ".JPEG", ".tif", ".heic", ".txt", "", ".png.part"])


@st.composite
def paths(draw) -> str:
    folders = draw(st.lists(NAMES, max_size=3))
    return "/".join([draw(st.sampled_from(TOPS)), *folders, draw(NAMES) + draw(ENDINGS)])


TREES = st.builds(lambda base, more: base | more, st.sampled_from([SMALL, {}]),
                  st.dictionaries(paths(), st.one_of(contents(), st.sampled_from(GOOD)), max_size=8))
SETTINGS = st.fixed_dictionaries({}, optional={
    "image_size": st.sampled_from([8, 224]), "skip_unreadable": st.just(True), "val_images": st.sampled_from([1, 2, 9]),
    "train_images": st.sampled_from([1, 4]), "duplicates": st.sampled_from(["drop", "stop"])})


@pytest.fixture(scope="module")
def like(tmp_path_factory) -> Prepared:
    """Training images for which what is drawn may be a further test set."""
    folder = tmp_path_factory.mktemp("like")
    return prepared(open_store(str(folder / "store")), write_folder(folder / "images", SMALL))


def try_all(source: Path, place: Path, values: dict, like: Prepared) -> None:
    """Prepare it, use it as a further test set, and write a study for it; whatever is said can be printed."""
    store, data = like.store, Data(source=str(source), **values)

    def prepare_it() -> None:
        found = prepare(store, data, place, place / "cache")
        "\n".join(lines(found.manifest.found)).encode()
        for split in ("train", "val", "test"):
            assert len(found.labels(split)) == found.counts[split] > 0
            assert len(found.images(split) if found.manifest.layout == "arrays" else found.paths(split))

    for attempt in (prepare_it,
                    lambda: prepare_test_set(store, "more", str(source), like, data, place, place / "cache"),
                    lambda: first_study(str(source), place / "study.toml", gpu=True)):
        try:
            attempt()
        except ConsortError as e:
            str(e).encode()


def write_what_can_be(root: Path, files: dict[str, bytes], links: list[tuple[str, str]]) -> None:
    """Files and links below a folder, but for those whose names the file system does not take."""
    root.mkdir()
    for path, data in files.items():
        target = root / path
        if ".." in path.split("/"):
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        except (OSError, ValueError):  # one name for a file and a folder; a surrogate that stands for no byte
            continue
    for path, aim in links:
        try:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).symlink_to(aim)
        except (OSError, ValueError):
            continue


@settings(deadline=None, max_examples=30)
@given(TREES, st.lists(st.tuples(paths(), st.sampled_from(["..", "../..", ".", "absent", "train", "/etc/hosts"])),
                       max_size=2), SETTINGS)
def test_any_folder_is_data_or_an_error_that_is_said(like, files, links, values):
    with tempfile.TemporaryDirectory() as place:
        write_what_can_be(Path(place) / "images", files, links)
        try_all(Path(place) / "images", Path(place), values, like)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(deadline=None, max_examples=30)
@given(TREES, st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), max_size=6),
       st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]), SETTINGS)
def test_any_zip_is_data_or_an_error_that_is_said(like, files, changes, compression, values):
    with tempfile.TemporaryDirectory() as place:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            for path, data in files.items():
                archive.writestr(path.encode("utf-8", "replace").decode(), data)
        raw = bytearray(file.getvalue())
        for where, value in changes:
            raw[-1 - where % len(raw)] = value
        (Path(place) / "images.zip").write_bytes(raw)
        try_all(Path(place) / "images.zip", Path(place), values, like)
