"""What the pods of a member print; of a pack's pods, what is about this member or about none."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from consort.cluster.follow import member_selector
from consort.events import MemberEvent, StepEnded, read_line
from consort.kube import names
from consort.kube.training import MEMBER_JOB

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi


def member_pods(api: "KubernetesApi", member: str) -> list[dict[str, Any]]:
    """The pods of its job, or else of the packs that have it, by name."""
    pods = api.list("Pod", member_selector(member)) or api.list("Pod", member_selector(member, in_pack=True))
    return sorted(pods, key=lambda pod: pod["metadata"]["name"])


def member_lines(api: "KubernetesApi", pod: Mapping[str, Any], member: str, follow: bool,
                 tail: int | None) -> Iterator[str]:
    """Its lines, as they come where `follow` is true. tail: only the last ones; of a pack's log that is followed, about
    so many of them."""
    in_pod = len(names.members_of(pod))
    asked = tail if tail is None or in_pod == 1 else tail * in_pod if follow else None
    lines: Iterable[str] = api.log(pod["metadata"]["name"], MEMBER_JOB.container, follow=follow, tail=asked)
    if in_pod > 1:
        lines = (line for line in lines if _about(line) in ("", member))
        lines = lines if tail is None or follow else deque(lines, maxlen=tail)
    yield from lines


def _about(line: str) -> str:
    """The member that a line is about; empty where it is about none."""
    event = read_line(line)
    return event.member if isinstance(event, MemberEvent | StepEnded) else ""
