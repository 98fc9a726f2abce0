"""What training each member of a run takes beside the others, before any of them trains."""

from collections.abc import Iterable, Mapping, Sequence

from consort.errors import InputError
from consort.members.spec import MemberSpec
from consort.models.names import wide_resnet
from consort.run.checks import count_of
from consort.run.run import Run
from consort.train.packs import image_work

WIDE_RESNET_MACS = 2.1e6 / (32 * 32)
"""For a pixel, of a wide residual network of width 1, times its depth less 4: within 10 % for depth 16."""
PIXELS = 32 * 32
"""Of an image whose size is not known."""


def work_of(run: Run, specs: Sequence[MemberSpec], on_gpu: bool) -> dict[str, float]:
    """Member -> what training it takes, in a unit of their own. Raises InputError where a network has to be counted and
    cannot be here."""
    one_each = {spec.architecture: spec for spec in specs}
    macs = macs_by_name(one_each, run.plan.data.manifest.image_size) or {
        name: _counted(run, spec) for name, spec in one_each.items()}
    return member_work(specs, macs, on_gpu)


def member_work(specs: Sequence[MemberSpec], macs: Mapping[str, float], on_gpu: bool) -> dict[str, float]:
    """The same, from the multiply-adds of each architecture for an image."""
    images = {name: image_work(one) if on_gpu else one for name, one in macs.items()}
    return {spec.id: images[spec.architecture] * spec.recipe.epochs for spec in specs}


def macs_by_name(architectures: Iterable[str], size: Sequence[int] | None) -> dict[str, float]:
    """Multiply-adds of each architecture for an image, about, where their names tell them; empty where they do not.

    A single architecture has nothing to be compared with, and any number. size: of images, (height, width).
    """
    pixels = size[0] * size[1] if size else PIXELS
    sizes = {name: wide_resnet(name) for name in architectures}
    known = {name: WIDE_RESNET_MACS * pixels * (size[0] - 4) * size[1] ** 2
             for name, size in sizes.items() if size is not None}
    return {name: known.get(name, 1.0) for name in sizes} if len(sizes) == 1 or known.keys() == sizes.keys() else {}


def _counted(run: Run, spec: MemberSpec) -> float:
    """Those of a member's network, which planning has counted where torch is installed."""
    found = count_of(spec, run.plan.data, run.cache)
    if found is None:
        raise InputError(f"the multiply-adds of {spec.architecture} are counted with torch, which is not installed "
                         "here (pip install torch torchvision).")
    return found.macs
