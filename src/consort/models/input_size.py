"""The image size that a member's network sees."""

from consort.data.prepared import Prepared
from consort.members.spec import MemberSpec
from consort.models.families import published
from consort.models.published import preprocessing_of


def input_size(spec: MemberSpec, data: Prepared) -> int | None:
    """The side to which streamed images are brought; None for arrays, which keep their size."""
    if data.manifest.layout == "arrays":
        return None
    return spec.recipe.input_size or published(spec.architecture).input_size


def network_input(spec: MemberSpec, data: Prepared) -> tuple[int, int]:
    """Height and width of what the network sees."""
    if (own := preprocessing_of(spec)) is not None:
        return own.crop
    side = input_size(spec, data)
    if side is not None:
        return side, side
    assert data.manifest.image_size is not None
    height, width = data.manifest.image_size
    return height, width
