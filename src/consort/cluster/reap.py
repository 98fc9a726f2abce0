"""Ending what nobody wants any more: a run that is cancelled, and jobs whose owner has ended."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from consort.cluster.adopt import create_or_adopt
from consort.cluster.api_errors import Refused
from consort.cluster.follow import member_selector
from consort.cluster.known_jobs import is_over
from consort.cluster.owner import has_ended
from consort.errors import ClusterUnavailable
from consort.kube import names, training
from consort.kube.member_job import without_member
from consort.kube.status import job_status
from consort.plurals import are, counted

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

GONE_SECONDS = 120.0
JOB_KINDS = ("Job", "Experiment", *training.KINDS)
"""Launchers first, then what leads trials: they would create again what is deleted under them."""
KEPT = {"Job": ("succeeded", "failed"), "Experiment": ("succeeded", "failed"),
        **dict.fromkeys(training.KINDS, ("failed",))}
"""States in which an orphan stays: a failed job for its log. A member that is done has all in the store."""


def cancel(api: "KubernetesApi", selector: str, wait_seconds: float = GONE_SECONDS) -> list[str]:
    """Delete the jobs that `selector` finds and wait until their pods are gone; returns what was deleted.

    Members save their state before they leave, so that a later run goes on from there.
    """
    selector = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY},{selector}"
    deleted = []
    for kind in JOB_KINDS:
        for job in _list(api, kind, selector):
            api.delete(kind, job["metadata"]["name"], uid=job["metadata"]["uid"])
            deleted.append(f"{kind} {job['metadata']['name']}")
    deadline = time.monotonic() + wait_seconds
    while deleted and (left := api.list("Pod", selector)):
        if time.monotonic() > deadline:
            raise ClusterUnavailable(f"{counted(len(left), 'pod')} {are(len(left))} still there "
                                     f"{wait_seconds:.0f} s after their jobs were deleted, "
                                     f"{left[0]['metadata']['name']} first: does its node answer?")
        time.sleep(1.0)
    return deleted


def cancel_member(api: "KubernetesApi", member: str) -> list[str]:
    """End what trains this member; returns what was deleted. The others of its pack go on in a job of their own, which
    waits for their locks until their state is saved; one of the same members that ended before makes room for it."""
    kind = training.MEMBER_JOB.kind
    for job in _list(api, kind, member_selector(member, in_pack=True)):
        rest = None if is_over(job) else without_member(job, member)
        if rest is not None:
            create_or_adopt(api, rest, None, is_over, GONE_SECONDS)
    return [*cancel(api, f"{names.MEMBER_LABEL}={member}"), *cancel(api, f"{names.IN_PACK}{member}")]


def orphans(api: "KubernetesApi", ending: str | None = None) -> list[tuple[str, dict]]:
    """(kind, object) of jobs that run, and members' jobs that are done, although every owner they have has ended.

    Kubernetes itself deletes what belongs to a deleted owner; a terminated KFP run leaves its Workflow behind.
    ending: uid of an owner that counts as ended.
    """
    known: dict[tuple[str, str], dict | None] = {}

    def find(kind: str, name: str) -> dict | None:
        if (kind, name) not in known:
            known[kind, name] = api.get(kind, name)
        return known[kind, name]

    found = []
    for kind in JOB_KINDS:
        for job in _list(api, kind, f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"):
            owners = [o for o in job["metadata"].get("ownerReferences", []) if o["kind"] in ("Job", "Workflow")]
            if owners and job_status(job).state not in KEPT[kind] and all(
                    o["uid"] == ending or has_ended(o["kind"], find(o["kind"], o["name"]), o["uid"]) for o in owners):
                found.append((kind, job))
    return found


def collect(api: "KubernetesApi", ending: str | None = None) -> list[str]:
    """Delete the orphans of the namespace, `ending` as in `orphans`; returns what was deleted."""
    deleted = []
    for kind, job in orphans(api, ending):
        api.delete(kind, job["metadata"]["name"], uid=job["metadata"]["uid"])
        deleted.append(f"{kind} {job['metadata']['name']}")
    return deleted


def release(api: "KubernetesApi", members: Sequence[str], owner: Mapping[str, Any] | None) -> bool:
    """Delete the jobs of these members where nobody but `owner` wants them: few requests, for a launcher with a second
    to live. Whether there were any."""
    kind = training.MEMBER_JOB.kind
    if len(members) > 1:
        jobs = [job for job in _list(api, kind, member_selector()) if {*members} & {*names.members_of(job)}]
    elif (own := api.get(kind, names.member_job_name(members[0]))) is not None:
        jobs = [own]
    else:
        jobs = _list(api, kind, member_selector(members[0], in_pack=True))
    alone = [job for job in jobs if owner is not None
             and [o["uid"] for o in job["metadata"].get("ownerReferences", [])] == [owner["uid"]]]
    for job in alone:
        api.delete(kind, job["metadata"]["name"], uid=job["metadata"]["uid"])
    return bool(alone)


def _list(api: "KubernetesApi", kind: str, selector: str) -> list[dict[str, Any]]:
    """The objects of a kind; none on a cluster that does not know the kind, such as one without Katib."""
    try:
        return api.list(kind, selector)
    except Refused as e:
        if e.missing == "kind":
            return []
        raise
