"""The two images that pods run."""

from dataclasses import dataclass

from consort import __version__
from consort.study.execution import Cluster

PUBLISHED = "docker.io/consort"


@dataclass(frozen=True)
class Images:
    plain: str
    """Plans, launches, evaluates and reports; it has no torch."""
    torch: str
    """Trains, predicts and measures."""

    @classmethod
    def of(cls, cluster: Cluster, plain: str | None = None, torch: str | None = None) -> "Images":
        """The study's own images, else those given (from the environment), else the published ones of this version."""
        return cls(cluster.image or plain or f"{PUBLISHED}/consort:{__version__}",
                   cluster.torch_image or torch or f"{PUBLISHED}/consort-torch:{__version__}")
