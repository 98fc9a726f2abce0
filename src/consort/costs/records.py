"""What is stored of measured latencies. Units are in the names."""

from dataclasses import dataclass

QUANTILES = 20
"""The stored quantiles of passes are at 0, 1/QUANTILES, ..., 1."""


@dataclass(frozen=True)
class LatencyRecord:
    """latency/<hardware id>/<architecture>-....json: how long one forward pass of a batch takes."""

    architecture: str
    input: str
    classes: int
    batch_size: int
    threads: int
    device: str
    precision: str
    repeats: int
    median_ms: float
    p10_ms: float
    p90_ms: float
    hardware: dict
    hardware_id: str
    versions: dict
    measured_at: str
    quantiles_ms: list[float] | None = None
    """Of the passes, QUANTILES + 1 of them, rising; None where an earlier version measured and kept three."""
    runtime: str = "torch"
    """What ran it: torch, graph or onnxruntime; torch too where CUDA cannot capture the network in the graph that was
    asked for."""
    together: list[str] | None = None
    """Architectures of the members of an ensemble that ran at the same time on one GPU; None: one network by itself."""

    @property
    def images_per_second(self) -> float:
        """The throughput of one pass after another."""
        return 1000 * self.batch_size / self.median_ms


@dataclass(frozen=True)
class LatencyTable:
    """latency/<hardware id>/table-....json: pieces of a space's networks, whose sum predicts a network's latency."""

    skeleton: str
    input: str
    classes: int
    batch_size: int
    threads: int
    device: str
    precision: str
    repeats: int
    pieces_ms: dict[str, float]
    """Piece -> median milliseconds of one forward pass of a batch."""
    networks: dict[str, dict]
    """Whole networks that were measured among the pieces: name -> {measured_ms, predicted_ms}."""
    error: dict
    """Of the predictions for those networks: n, mean_absolute_percent, bias_percent (positive: predicted too slow),
    worst_percent, worst, rank_correlation (Spearman; null for one network)."""
    seconds: float
    """That measuring all of it took."""
    hardware: dict
    hardware_id: str
    versions: dict
    measured_at: str
