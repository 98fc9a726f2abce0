"""member.json: what the store says of a finished member. Units are in the names."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class MemberRecord:
    """members/<id>/member.json, written last: its presence means that the member is done."""

    id: str
    architecture: str
    data: str
    """Fingerprint of the prepared data."""
    recipe: dict
    """All values, defaults included."""
    seed: int
    files: dict[str, dict]
    """File name -> {sha256, bytes}."""
    macs: int
    """Multiply-adds of one forward pass of one image."""
    params: int
    input: str
    """Height x width that the network sees, such as "32x32"."""
    val_accuracy: float | None
    """None for an imported member until `predict` has written its logits."""
    precision: str
    imported: bool = False
    train_images: int = 0
    """Images seen in training, epochs counted."""
    train_macs: int = 0
    """3 x macs x train_images: forward, and twice that for backward."""
    train_seconds: float = 0.0
    train_cpu_seconds: float = 0.0
    train_loss: float | None = None
    images_per_second: list[float] = field(default_factory=list)
    """Of every epoch, in the order of history.parquet; one that was interrupted counts the time that it trained."""
    preprocessing: dict | None = None
    """How imported weights want images (`consort.data.preprocessing.Preprocessing`); None: as the data are prepared for
    members that are trained."""
    last_val_accuracy: float | None = None
    """Of the last step's weights, where the member is their average."""
    attempts: int = 1
    """Processes that it took: 1 when nothing interrupted the training."""
    processes: int = 1
    side_by_side: int = 1
    """Members that the process trained at the same time."""
    deterministic: bool = True
    """Whether an interruption would have left the bits as they are."""
    compiled: bool = False
    machines: list[dict] = field(default_factory=list)
    """Device, driver and versions that it was trained with, one entry after another where they changed."""
    hardware: dict = field(default_factory=dict)
    versions: dict = field(default_factory=dict)
    finished_at: str = ""
