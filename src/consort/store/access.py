"""How an S3 server is reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class S3Access:
    """How to reach the S3 server; it is read from the environment, never from arguments."""

    endpoint: str | None = field(default=None, repr=False)  # people write credentials into addresses
    """URL of the server, such as http://minio:9000."""
    access_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    region: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables, of which those about certificates and proxies count (`store.network`)."""
