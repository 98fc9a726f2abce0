"""The members' jobs that a namespace has, and which of them trains a member."""

from collections.abc import Mapping, Sequence
from typing import Any

from consort.cluster.adopt import is_leaving
from consort.kube import names
from consort.kube.training import MEMBER_JOB


class KnownJobs:
    """Jobs as they were last seen. A member may be in several: in one that ended, and in one of another run's packs."""

    def __init__(self, store_uri: str) -> None:
        self.store_uri = store_uri
        self.by_name: dict[str, dict[str, Any]] = {}
        self._of_member: dict[str, dict[str, None]] = {}
        """Member -> the names of its jobs, in the order in which they were seen."""
        self._gone: set[str] = set()
        """Uids of jobs that were forgotten: what is heard of one of them is about what it was."""

    def note(self, job: dict[str, Any]) -> None:
        """Remember a job, or how it is now."""
        if job["metadata"]["uid"] in self._gone:
            return
        self.by_name[job["metadata"]["name"]] = job
        for member in trained_by(job):
            self._of_member.setdefault(member, {})[job["metadata"]["name"]] = None

    def forget(self, job: Mapping[str, Any]) -> None:
        """A job is gone, or about to go."""
        name = job["metadata"]["name"]
        self._gone.add(job["metadata"]["uid"])
        self.by_name.pop(name, None)
        for member in trained_by(job):
            self._of_member.get(member, {}).pop(name, None)

    def training(self, member: str) -> str | None:
        """The name of the job that trains this member into this store, or will."""
        return next((name for name in self._of_member.get(member, ()) if self._is_of_this_store(name)
                     and not is_over(self.by_name[name])), None)

    def newest(self, member: str) -> str | None:
        """The name of the job that trains it, else of one that did; None where it has none."""
        return self.training(member) or next(reversed(self._of_member.get(member, {})), None)

    def held(self, members: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
        """(job -> those of the members that it trains, the members that no job trains)."""
        jobs: dict[str, list[str]] = {}
        free: list[str] = []
        for member in members:
            name = self.training(member)
            (free if name is None else jobs.setdefault(name, [])).append(member)
        return jobs, free

    def ended(self, members: Sequence[str]) -> list[dict[str, Any]]:
        """The jobs that ended, of runs into this store, and had any of these members."""
        found = {name for member in members for name in self._of_member.get(member, ()) if self._is_of_this_store(name)}
        return [job for name in sorted(found) if is_over(job := self.by_name[name]) and not is_leaving(job)]

    def _is_of_this_store(self, name: str) -> bool:
        return store_of(self.by_name[name]) == self.store_uri


def trained_by(job: Mapping[str, Any]) -> list[str]:
    """What a job trains: the members that it says, else what it is named after, which is a trial."""
    return names.members_of(job) or [job["metadata"]["name"]]


def is_over(job: Mapping[str, Any]) -> bool:
    """Whether a job trains no more: it ended, or was deleted and is about to go."""
    return MEMBER_JOB.status(job).state in ("succeeded", "failed") or is_leaving(job)


def store_of(job: Mapping[str, Any]) -> str | None:
    """The store that a job writes its members into."""
    found: str | None = job["metadata"].get("annotations", {}).get(names.STORE_ANNOTATION)
    return found
