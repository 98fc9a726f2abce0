"""history.parquet: how a member's training went, epoch by epoch. No torch here.

The same training gives the same bytes, interrupted or not: how fast it went is in member.json.
"""

import io
from dataclasses import asdict, dataclass, fields, replace

import pyarrow as pa
import pyarrow.parquet as pq

from consort.members.records import MemberRecord
from consort.members.stored import read_file
from consort.store import Store

FILE = "history.parquet"
_TYPES = {int: pa.int64(), float: pa.float64(), float | None: pa.float64()}


@dataclass(frozen=True)
class Epoch:
    """A row of history.parquet."""

    epoch: int
    """From 1."""
    steps: int
    """Steps that the training had done at its end."""
    loss: float
    """Mean over the epoch's steps, as they were trained on: augmented, with label smoothing."""
    learning_rate: float
    """Of the epoch's last step."""
    val_accuracy: float | None
    """Where the validation images were predicted after it; always after the last."""


class History:
    """The epochs of a training so far."""

    def __init__(self, state: dict | None = None) -> None:
        """state: what `state` gave, to go on from there."""
        state = state or {}
        self.epochs = [Epoch(**row) for row in state.get("epochs", [])]
        self.images_per_second: list[float] = list(state.get("images_per_second", []))
        self.loss_sum, self.steps = float(state.get("loss_sum", 0.0)), int(state.get("steps", 0))
        self.seconds_before = float(state.get("seconds_before", 0.0))

    def state(self) -> dict:
        """All of it as plain JSON values, for a checkpoint."""
        return {"epochs": [asdict(row) for row in self.epochs], "images_per_second": self.images_per_second,
                "loss_sum": self.loss_sum, "steps": self.steps, "seconds_before": self.seconds_before}

    def add(self, loss: float) -> None:
        """One step of the epoch that goes on."""
        self.loss_sum += loss
        self.steps += 1

    def end_epoch(self, epoch: int, steps: int, learning_rate: float, seconds: float, batch_size: int) -> None:
        """seconds: of the training so far, all epochs together."""
        took = seconds - self.seconds_before
        self.epochs.append(Epoch(epoch, steps, self.loss_sum / self.steps, learning_rate, None))
        self.images_per_second.append(round(self.steps * batch_size / took, 1) if took > 0 else 0.0)
        self.loss_sum, self.steps, self.seconds_before = 0.0, 0, seconds

    def judge(self, val_accuracy: float) -> None:
        """The accuracy on validation after the epoch that ended last."""
        if self.epochs:
            self.epochs[-1] = replace(self.epochs[-1], val_accuracy=val_accuracy)

    def parquet(self) -> bytes:
        schema = pa.schema([pa.field(f.name, _TYPES[f.type]) for f in fields(Epoch)])  # type: ignore[index]
        buffer = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([asdict(row) for row in self.epochs], schema), buffer)
        return buffer.getvalue()


def read_history(store: Store, record: MemberRecord) -> list[Epoch]:
    """The epochs of a finished member, verified; none of one that was imported, or trained before they were kept."""
    if FILE not in record.files:
        return []
    return [Epoch(**row) for row in pq.read_table(io.BytesIO(read_file(store, record, FILE))).to_pylist()]
