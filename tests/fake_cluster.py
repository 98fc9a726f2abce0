"""A Kubernetes namespace in memory with the methods of consort.cluster.api.KubernetesApi, and some for tests.

tests/contract/test_cluster_api.py holds both to the same behaviour. There are no controllers: a test says what becomes
of jobs and pods. What the fake does not know raises.
"""

import builtins
import copy
import itertools
import json
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from consort.cluster.api import Event
from consort.cluster.api_errors import PASSING_STATUS, Request, refusal
from consort.cluster.kinds import kind_named
from consort.errors import AlreadyExists, ClusterUnavailable

Key = tuple[str, str]
WAIT_SECONDS = 0.02
STATUS_APART = {"Pod", "Job", "CronJob", "PyTorchJob"}
"""Kinds whose status only its own endpoint changes."""
_TERM = re.compile(r"(?P<key>[\w./-]+)\s*(?:(?P<op>=|==|!=)\s*(?P<value>[\w.-]*)"
                   r"|(?P<set>in|notin)\s*\((?P<values>[^)]*)\))"
                   r"|(?P<absent>!)?(?P<exists>[\w./-]+)")


class FakeCluster:
    """kinds_missing: kinds whose definition is not installed. inside: whether the test plays a process in a pod."""

    def __init__(self, namespace: str = "default", kinds_missing: frozenset[str] | set[str] = frozenset(),
                 inside: bool = False) -> None:
        self.namespace, self.kinds_missing, self.inside = namespace, kinds_missing, inside
        self.requests: Counter[tuple[str, str]] = Counter()
        self.unreachable = False
        self.trouble = ""
        self._objects: dict[Key, dict[str, Any]] = {}
        self._logs: dict[tuple[str, str], list[tuple[datetime, str]]] = {}
        self._history: list[tuple[str, str, dict[str, Any]]] = []
        self._failures: list[tuple[int, str | None]] = []
        self._versions = itertools.count(1)
        self._changed = threading.Condition(threading.RLock())
        self._cut = False
        self._cuts = self._forgotten = 0

    # The methods of KubernetesApi.

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        kind, name = obj["kind"], obj["metadata"]["name"]
        with self._changed:
            self._count("create", kind, name)
            self._check_namespace(obj)
            if (kind, name) in self._objects:
                raise AlreadyExists(f"there is a {kind} {name} in namespace {self.namespace} already.")
            self._store(obj)
            created = copy.deepcopy(self._objects[kind, name])
            self._collect_garbage()
            return created

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        with self._changed:
            self._count("get", kind, name)
            return copy.deepcopy(self._objects.get((kind, name)))

    def list(self, kind: str, selector: str = "") -> builtins.list[dict[str, Any]]:
        with self._changed:
            self._count("list", kind)
            return self._selected(kind, selector)

    def follow(self, kind: str, selector: str, stopped: Callable[[], bool]) -> Iterator[Event]:
        with self._changed:
            self._count("list", kind)
            self._count("watch", kind)
            known = {o["metadata"]["name"]: o for o in self._selected(kind, selector)}
            position, cuts, forgotten = len(self._history), self._cuts, self._forgotten
        yield from [Event("ADDED", copy.deepcopy(o)) for o in known.values()]
        yield Event("SYNCED", {})
        while not stopped():
            with self._changed:
                if self._cut or (position == len(self._history) and forgotten == self._forgotten):
                    self._changed.wait(WAIT_SECONDS)
                    continue
                if forgotten != self._forgotten:
                    self._count("list", kind)
                    events = _differences(known, self._selected(kind, selector))
                else:
                    changes = self._history[position:]
                    events = [e for change in changes if (e := _seen(change, kind, selector, known))]
                if cuts != self._cuts:
                    self._count("watch", kind)
                position, cuts, forgotten = len(self._history), self._cuts, self._forgotten
            for event in events:
                if stopped():
                    return
                yield event

    def patch(self, kind: str, name: str, merge_patch: dict[str, Any]) -> dict[str, Any]:
        with self._changed:
            self._count("patch", kind, name)
            if (kind, name) not in self._objects:
                raise self._refused("patch", kind, name, 404, {"name": name})
            if kind in STATUS_APART:
                merge_patch = {key: value for key, value in merge_patch.items() if key != "status"}
            return self._replace(kind, name, merge_patch)

    def delete(self, kind: str, name: str, uid: str | None = None) -> None:
        with self._changed:
            self._count("delete", kind, name)
            there = self._objects.get((kind, name))
            if there is not None and uid in (None, there["metadata"]["uid"]):
                self._remove(kind, name)

    def log(self, pod: str, container: str, follow: bool = False, tail: int | None = None,
            since_time: str | None = None, stopped: Callable[[], bool] = lambda: False) -> Iterator[str]:
        with self._changed:
            self._count("log", "Pod", pod)
            if ("Pod", pod) not in self._objects:
                raise self._refused("log", "Pod", pod, 404, {"name": pod})
            containers = [c["name"] for c in self._objects["Pod", pod]["spec"]["containers"]]
            if container not in containers:
                raise self._refused("log", "Pod", pod, 400, {},
                                    f"container {container} is not valid for pod {pod}")
            lines = self._logs.setdefault((pod, container), [])
            since = datetime.fromisoformat(since_time) if since_time else datetime.min.replace(tzinfo=UTC)
            wanted = [text for time, text in lines if time >= since]
            position = len(lines)
            runs = self._runs(pod, container)
        yield from wanted if tail is None else wanted[len(wanted) - min(tail, len(wanted)):]
        while follow and runs and not stopped():
            with self._changed:
                if position == len(lines):
                    self._changed.wait(WAIT_SECONDS)
                new, position = lines[position:], len(lines)
                runs = self._runs(pod, container)
            yield from (text for _, text in new)

    def events(self, name: str) -> builtins.list[dict[str, Any]]:
        with self._changed:
            self._count("list", "Event")
            found = [o for o in self._selected("Event", "") if o["involvedObject"]["name"] == name]
            return sorted(found, key=lambda o: int(o["metadata"]["resourceVersion"]))

    def apply(self, obj: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
        kind, name = obj["kind"], obj["metadata"]["name"]
        with self._changed:
            self._count("apply", kind, name)
            self._check_namespace(obj)
            before = dict(self._objects)
            told, self._history = self._history, list(self._history)
            if (kind, name) in self._objects:
                self._replace(kind, name, obj)
            else:
                self._store(obj)
            after = copy.deepcopy(self._objects[kind, name])
            if dry_run:
                self._objects, self._history = before, told
            return after

    def own_pod(self, name: str) -> dict[str, Any] | None:
        return self.get("Pod", name) if self.inside else None

    # What only tests may do.

    def set_status(self, kind: str, name: str, status: dict[str, Any]) -> None:
        """Replace the object's status, as its controller or kubelet would."""
        with self._changed:
            changed = {**self._objects[kind, name], "status": copy.deepcopy(status)}
            self._replace(kind, name, changed)

    def vanish(self, kind: str, name: str) -> None:
        """Delete the object as somebody else would."""
        with self._changed:
            self._remove(kind, name)

    def print_line(self, pod: str, container: str, text: str) -> None:
        """The container prints a line."""
        with self._changed:
            self._logs.setdefault((pod, container), []).append((datetime.now(UTC), text))
            self._changed.notify_all()

    def add_event(self, kind: str, name: str, reason: str, message: str, type_: str = "Normal") -> None:
        """Something is said about the object."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self._changed:
            self._store({"apiVersion": "v1", "kind": "Event", "metadata": {"name": f"{name}.{uuid.uuid4().hex[:8]}"},
                         "involvedObject": {"kind": kind, "name": name}, "reason": reason, "message": message,
                         "type": type_, "firstTimestamp": now, "lastTimestamp": now, "count": 1})

    def fail_next(self, number: int, status: int, verb: str | None = None) -> None:
        """The next requests (of this verb) are answered with this HTTP status; passing ones are asked again."""
        with self._changed:
            self._failures += [(status, verb)] * number

    @contextmanager
    def cut_watches(self, forget: bool = False) -> Iterator[None]:
        """Nobody hears of changes in this context. Afterwards all watches are resumed; with forget, they list again."""
        with self._changed:
            self._cut = True
        try:
            yield
        finally:
            with self._changed:
                self._cut = False
                self._cuts += 1
                self._forgotten += forget
                self._changed.notify_all()

    # How it works.

    def _count(self, verb: str, kind: str, name: str = "") -> None:
        kind_named(kind)
        self.requests[verb, kind] += 1
        if self.unreachable:
            raise ClusterUnavailable(f"the cluster at fake did not answer ({verb} {kind} {name})")
        while (found := next((f for f in self._failures if f[1] in (None, verb)), None)) is not None:
            self._failures.remove(found)
            if found[0] not in PASSING_STATUS:
                raise self._refused(verb, kind, name, found[0], {}, "the test said so")
            self.requests[verb, kind] += 1
        if kind in self.kinds_missing:
            raise self._refused(verb, kind, name, 404, None)

    def _refused(self, verb: str, kind: str, name: str, status: int, details: dict[str, str] | None,
                 said: str = "") -> Exception:
        """What the real one makes of such an answer; details None for one that is no Status object."""
        body = b"404 page not found" if details is None else json.dumps(
            {"kind": "Status", "message": said, "details": details}).encode()
        refused = refusal(Request(verb, kind, self.namespace, "", name=name), "fake", status, body)
        assert refused is not None
        return refused

    def _check_namespace(self, obj: dict[str, Any]) -> None:
        if obj["metadata"].get("namespace", self.namespace) != self.namespace:
            raise self._refused("create", obj["kind"], obj["metadata"]["name"], 400, {},
                                "the namespace of the provided object does not match the namespace sent on the request")

    def _selected(self, kind: str, selector: str) -> builtins.list[dict[str, Any]]:
        return [copy.deepcopy(o) for (k, _), o in sorted(self._objects.items()) if k == kind and matches(selector, o)]

    def _store(self, obj: dict[str, Any]) -> None:
        stored = copy.deepcopy(obj)
        stored["metadata"] |= {"namespace": self.namespace, "uid": str(uuid.uuid4()),
                               "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        self._tell("ADDED", stored)

    def _replace(self, kind: str, name: str, change: dict[str, Any]) -> dict[str, Any]:
        old = self._objects[kind, name]
        new = _merged(old, change)
        if new != old:
            self._tell("MODIFIED", new)
        return copy.deepcopy(self._objects[kind, name])

    def _remove(self, kind: str, name: str) -> None:
        self._tell("DELETED", copy.deepcopy(self._objects[kind, name]))
        self._collect_garbage()

    def _tell(self, change: str, obj: dict[str, Any]) -> None:
        key = obj["kind"], obj["metadata"]["name"]
        obj["metadata"]["resourceVersion"] = str(next(self._versions))
        if change == "DELETED":
            del self._objects[key]
        else:
            self._objects[key] = obj
        self._history.append((change, obj["kind"], copy.deepcopy(obj)))
        self._changed.notify_all()

    def _collect_garbage(self) -> None:
        """Delete what refers to owners of which none exists."""
        uids = {o["metadata"]["uid"] for o in self._objects.values()}
        for (kind, name), obj in list(self._objects.items()):
            owners = obj["metadata"].get("ownerReferences") or []
            if owners and not any(owner["uid"] in uids for owner in owners):
                self._remove(kind, name)
                return  # which looked at the others

    def _runs(self, pod: str, container: str) -> bool:
        status = self._objects.get(("Pod", pod), {}).get("status", {})
        states = {s["name"]: s.get("state", {}) for s in status.get("containerStatuses", [])}
        return "running" in states.get(container, {})


def matches(selector: str, obj: dict[str, Any]) -> bool:
    """Whether the object's labels match; all operators of label selectors."""
    labels = obj["metadata"].get("labels") or {}
    return all(_term_matches(term.strip(), labels) for term in re.split(r",(?![^(]*\))", selector) if term.strip())


def _term_matches(term: str, labels: dict[str, str]) -> bool:
    found = _TERM.fullmatch(term)
    if found is None:
        raise ValueError(f"not a label selector: {term!r}")
    if found["exists"]:
        return (found["exists"] in labels) != bool(found["absent"])
    value = labels.get(found["key"])
    if found["op"]:
        return (value == found["value"]) != (found["op"] == "!=")
    return (value in [v.strip() for v in found["values"].split(",")]) != (found["set"] == "notin")


def _merged(old: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merged(result.get(key), value)
    return result


def _seen(change: tuple[str, str, dict[str, Any]], kind: str, selector: str,
          known: dict[str, dict[str, Any]]) -> Event | None:
    """What a watch with this selector says of a change; `known` is what it has said before."""
    type_, changed_kind, obj = change
    name = obj["metadata"]["name"]
    if changed_kind != kind:
        return None
    if type_ == "DELETED" or not matches(selector, obj):
        return Event("DELETED", copy.deepcopy(obj)) if known.pop(name, None) else None
    type_ = "MODIFIED" if name in known else "ADDED"
    known[name] = obj
    return Event(type_, copy.deepcopy(obj))


def _differences(known: dict[str, dict[str, Any]], now: builtins.list[dict[str, Any]]) -> list[Event]:
    """What a new list tells beyond `known`, which becomes that list."""
    before, after = dict(known), {o["metadata"]["name"]: o for o in now}
    known.clear()
    known.update(after)

    def same(name: str, key: str) -> bool:
        return name in before and name in after and before[name]["metadata"][key] == after[name]["metadata"][key]

    gone = [Event("DELETED", o) for name, o in before.items() if not same(name, "uid")]
    return gone + [Event("MODIFIED" if same(name, "uid") else "ADDED", copy.deepcopy(o))
                   for name, o in after.items() if not same(name, "resourceVersion")]
