"""The history of a training: what is kept of each epoch, through a checkpoint and into the file."""

import io
import json

import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from consort.members.history import Epoch, History


def trained(losses: list[float], restart: bool) -> History:
    """Epochs of three steps; with `restart`, through a checkpoint's JSON after every step."""
    history = History()
    for step, loss in enumerate(losses, 1):
        history.add(loss)
        if step % 3 == 0:
            history.end_epoch(step // 3, step, 0.5 / step, seconds=2.0 * step, batch_size=8)
        if restart:
            history = History(json.loads(json.dumps(history.state())))
    return history


@given(st.lists(st.floats(0, 1e6), max_size=12))
def test_an_interrupted_history_is_the_same_bytes(losses: list[float]) -> None:
    whole, parts = trained(losses, False), trained(losses, True)
    assert parts.parquet() == whole.parquet()
    assert parts.images_per_second == [4.0] * (len(losses) // 3)


def test_a_row_per_epoch() -> None:
    history = trained([3.0, 2.0, 1.0, 0.5, 0.5, 0.5, 9.0], False)
    history.judge(0.75)
    rows = [Epoch(**row) for row in pq.read_table(io.BytesIO(history.parquet())).to_pylist()]
    assert rows == [Epoch(1, 3, 2.0, 0.5 / 3, None), Epoch(2, 6, 0.5, 0.5 / 6, 0.75)]


def test_a_training_that_began_before_histories_were_kept_has_the_epochs_since() -> None:
    history = History(None)
    history.judge(0.5)  # its last step was done
    assert pq.read_table(io.BytesIO(history.parquet())).num_rows == 0
