"""An object that shall be there: created, or the one of its name adopted."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from consort.cluster.owner import share
from consort.errors import AlreadyExists, ClusterUnavailable

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

ATTEMPTS = 5
PAUSE_SECONDS = 1.0


def create_or_find(api: "KubernetesApi", wanted: dict, owner: Mapping[str, Any] | None) -> dict:
    """The new object, or the one of its name that somebody created before, whatever has become of that.

    owner: reference to what a new one shall not outlive.
    """
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    if owner:
        wanted = {**wanted, "metadata": {**wanted["metadata"], "ownerReferences": [dict(owner)]}}
    for _ in range(ATTEMPTS):
        try:
            return api.create(wanted)
        except AlreadyExists:
            if (known := api.get(kind, name)) is not None:
                return known  # else it is gone again
    raise ClusterUnavailable(f"the {kind} {name} comes and goes: does somebody else delete it?")


def create_or_adopt(api: "KubernetesApi", wanted: dict, owner: Mapping[str, Any] | None,
                    useless: Callable[[dict], bool], clear_seconds: float,
                    check: Callable[[dict], None] = lambda known: None) -> dict:
    """The new object, or the one of its name that is there; one that is `useless`, or being deleted, is replaced.

    owner: as above; an adopted object that has owners gets this one too. check: raises where it is not to be adopted.
    Raises ClusterUnavailable where an earlier one has not gone `clear_seconds` after it was deleted.
    """
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    deadline = time.monotonic() + clear_seconds
    while time.monotonic() < deadline:
        known = create_or_find(api, wanted, owner)
        if not is_leaving(known) and not useless(known):
            check(known)
            share(api, kind, known, owner)
            return known
        api.delete(kind, name, uid=known["metadata"]["uid"])
        time.sleep(PAUSE_SECONDS)
    raise ClusterUnavailable(f"an earlier {kind} {name} is not gone {clear_seconds:.0f} s after it was deleted: does "
                             "its pod hang on a node that is away, or does its controller not run?")


def is_leaving(known: Mapping[str, Any]) -> bool:
    """Whether it was deleted, and only waits for what has to be tidied up."""
    return "deletionTimestamp" in known["metadata"]
