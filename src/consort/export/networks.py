"""The networks of a bundle, from the store, and the size of the images that they take."""

from collections.abc import Sequence

import safetensors.torch
from torch import nn

from consort import members
from consort.data.prepared import Prepared
from consort.data.preprocessing import AS_PREPARED
from consort.export.chosen import WEIGHTS
from consort.members.records import MemberRecord
from consort.models.families import build
from consort.models.input_size import input_size, network_input
from consort.store import Store

Size = tuple[int, int]


def open_network(store: Store, record: MemberRecord, classes: int) -> nn.Module:
    """The trained network on the CPU, in float32, in evaluation mode."""
    network = build(record.architecture, classes)
    network.load_state_dict(safetensors.torch.load(members.read_file(store, record, WEIGHTS)))
    return network.eval()


def sizes(store: Store, records: Sequence[MemberRecord], data: Prepared) -> list[Size]:
    """Height and width that each network takes."""
    return [_size(store, record, data) for record in records]


def _size(store: Store, record: MemberRecord, data: Prepared) -> Size:
    spec = members.read_spec(store, record.id)
    side = input_size(spec, data)
    if side is not None and (record.preprocessing or {}).get("fit") == AS_PREPARED:
        return side, side  # as it predicted, whatever crop its weights were published with
    return network_input(spec, data)
