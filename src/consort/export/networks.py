"""The networks of a bundle, from the store, and the images that they take."""

from collections.abc import Sequence
from typing import Any

import safetensors.torch
from torch import nn

from consort import members
from consort.data.batches import EVAL_CROP
from consort.data.prepared import Prepared
from consort.errors import InputError
from consort.members.records import MemberRecord
from consort.models.families import build
from consort.models.input_size import network_input
from consort.store import Store

WEIGHTS = "weights.safetensors"

Size = tuple[int, int]


def exportable(store: Store, ids: Sequence[str], data: Prepared) -> list[MemberRecord]:
    """The records of members, all of which have weights for this data; InputError naming those that have none."""
    present = members.files(store, ids)
    records, lacking = [], []
    for member_id in ids:
        record = members.read_record(store, member_id)
        if record is None:
            lacking.append(f"{member_id} is not finished")
        elif record.data != data.fingerprint:
            lacking.append(f"{member_id} was trained on other data ({record.data})")
        elif WEIGHTS not in record.files:
            lacking.append(f"{member_id} is predictions alone: it has no weights that could run")
        elif WEIGHTS not in present[member_id]:
            lacking.append(f"{member_id} has lost its weights: {WEIGHTS} is gone from the store")
        elif record.preprocessing is not None:
            lacking.append(f"{member_id} wants images as its weights were published with ("
                           f"{record.preprocessing['source']}), and a bundle prepares images in one way for all")
        else:
            records.append(record)
    if lacking:
        raise InputError("these members cannot be exported:\n  " + "\n  ".join(lacking) + "\nName others with "
                         "--members, or another candidate.")
    return records


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
