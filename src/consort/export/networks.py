"""The networks of a bundle, from the store, and the images that they take."""

from collections.abc import Sequence
from typing import Any

import safetensors.torch
from torch import nn

from consort import members
from consort.data.batches import EVAL_CROP
from consort.data.prepared import Prepared
from consort.export.chosen import WEIGHTS
from consort.members.records import MemberRecord
from consort.models.families import build
from consort.models.input_size import network_input
from consort.store import Store

Size = tuple[int, int]


def open_network(store: Store, record: MemberRecord, classes: int) -> nn.Module:
    """The trained network on the CPU, in float32, in evaluation mode."""
    network = build(record.architecture, classes)
    network.load_state_dict(safetensors.torch.load(members.read_file(store, record, WEIGHTS)))
    return network.eval()


def sizes(store: Store, records: Sequence[MemberRecord], data: Prepared) -> list[Size]:
    """Height and width that each network takes."""
    return [network_input(members.read_spec(store, record.id), data) for record in records]


def input_rule(data: Prepared, size: Size) -> dict[str, Any]:
    """The manifest's `input`: how an image becomes what the bundle takes, as it was for the study's predictions."""
    height, width = size
    covered = [height, width] if data.manifest.layout == "arrays" else [round(side / EVAL_CROP) for side in size]
    return {"height": height, "width": width, "resize": covered, "interpolation": "bilinear", "crop": "centre",
            "colour": "RGB", "layout": "NHWC", "type": "uint8",
            "rule": "Scale the image until it covers `resize` (height, width), unless it has that size; cut out the "
                    "centre of `resize`, and of it the centre of height x width."}
