"""What the store says of a candidate of a search. Units are in the names."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrialRecord:
    """trials/<id>.json: how a candidate of a search did. Written once, when its members are trained or cannot be."""

    id: str
    kind: str
    """single, uniform or joint: what the search that wrote it was looking for."""
    networks: tuple[str, ...]
    """One per member."""
    members: tuple[str, ...]
    """Member ids, in the order of `networks`."""
    state: str
    """done, failed or stopped."""
    reason: str | None
    """Why it failed or was stopped."""
    accuracy: float | None
    """Of the ensemble on the validation images, 0..1."""
    member_accuracies: tuple[float, ...]
    reward: float | None
    latency_ms: float | None
    """What the reward saw."""
    parallel_latency_ms: float | None
    serial_latency_ms: float | None
    network_latencies_ms: dict[str, float]
    latency_spread_ms: dict[str, tuple[float, float]] | None
    """Network -> 10th and 90th percentile; None where latencies come from a table."""
    latency_source: str
    """table or measured."""
    hardware_id: str
    macs: int | None
    """Sum over the members; this and the next two are None where it did not come to a network of each."""
    largest_macs: int | None
    params: int | None
    train_seconds: float
    """Spent by this trial; members that were there already cost nothing."""
    reused: int
    """Members that were there already."""
    versions: dict
    finished_at: str
    second: bool = False
    """Whether it is a candidate's second training, with members of other seeds."""
    member_macs: tuple[int, ...] | None = None
    """In the order of `networks`; None of records that are older than this field."""
