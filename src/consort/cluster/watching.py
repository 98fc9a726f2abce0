"""Changes of a kind of objects: one list, then a watch that is resumed where it was cut."""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from consort.cluster.api_errors import Refused, Request
from consort.cluster.transport import Cut, Ended, HasStopped, Transport, never

WATCH_SECONDS = 300
"""After which the server ends a watch; it is opened again at once."""
SILENT_SECONDS = 330.0
QUICK_SECONDS = 1.0
"""A watch that ends sooner is not opened again at once: something is wrong."""
LONGEST_PAUSE_SECONDS = 5.0
PAGE_OBJECTS = 500
GONE = 410


@dataclass(frozen=True)
class Event:
    """type: ADDED, MODIFIED, DELETED, or SYNCED (object empty) once after all that existed at the start."""

    type: str
    object: dict[str, Any]


class Expired(Exception):
    """The server does not remember what happened since the resource version: list again."""


def list_all(transport: Transport, request: Request, stopped: HasStopped = never) -> tuple[list[dict[str, Any]], str]:
    """Every object that the list request finds, in pages, and the resource version of that moment."""
    objects: list[dict[str, Any]] = []
    page = request
    while True:
        page = replace(page, query={**page.query, "limit": str(PAGE_OBJECTS)})
        try:
            answer = transport.ask(page, stopped)
        except Refused as e:
            if e.status != GONE or "continue" not in page.query:
                raise
            objects, page = [], request  # paging took longer than the server remembers
            continue
        about = {"apiVersion": answer["apiVersion"], "kind": request.kind}
        objects += [{**about, **item} for item in answer.get("items") or []]
        if not answer["metadata"].get("continue"):
            return objects, answer["metadata"]["resourceVersion"]
        page = replace(page, query={**request.query, "continue": answer["metadata"]["continue"]})


def follow(transport: Transport, request: Request, stopped: HasStopped) -> Iterator[Event]:
    """ADDED for what the list request finds, SYNCED, then every change, across cuts, until `stopped()`."""
    known: dict[str, dict[str, Any]] = {}
    version, synced, pause_seconds = "", False, 0.0
    while not stopped():
        try:
            if not version:
                found, version = list_all(transport, request, stopped)
                yield from _differences(known, found)
                if not synced:
                    yield Event("SYNCED", {})
                synced = True
            began = time.monotonic()
            for event in _watch(transport, request, version, stopped):
                if stopped():
                    return
                version = event.object["metadata"]["resourceVersion"]
                if event.type != "BOOKMARK":
                    _remember(known, event)
                    yield event
        except Expired:
            version = ""
        except Cut:
            pass
        except Ended:
            return
        quick = time.monotonic() - began < QUICK_SECONDS
        pause_seconds = min(max(0.1, pause_seconds * 2), LONGEST_PAUSE_SECONDS) if quick else 0.0
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))


def _watch(transport: Transport, request: Request, version: str, stopped: HasStopped) -> Iterator[Event]:
    query = {**request.query, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version,
             "timeoutSeconds": str(WATCH_SECONDS)}
    try:
        with transport.lines(replace(request, verb="watch", query=query), stopped, SILENT_SECONDS) as lines:
            for line in lines:
                yield _event(line)
    except Refused as e:
        if e.status == GONE:
            raise Expired from e
        raise


def _event(line: bytes) -> Event:
    try:
        message = json.loads(line)
        event = Event(message["type"], message["object"])
    except (ValueError, KeyError, TypeError) as e:
        raise Cut("half a message") from e
    if event.type == "ERROR":
        if event.object.get("code") == GONE:
            raise Expired
        raise Cut(str(event.object.get("message")))
    return event


def _remember(known: dict[str, dict[str, Any]], event: Event) -> None:
    name = event.object["metadata"]["name"]
    if event.type == "DELETED":
        known.pop(name, None)
    else:
        known[name] = event.object


def _differences(known: dict[str, dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[Event]:
    """What happened between two lists, as far as it can still be told; `known` becomes the second."""
    now = {item["metadata"]["name"]: item for item in found}
    before = dict(known)
    known.clear()
    known.update(now)
    for name, old in before.items():
        if name not in now or now[name]["metadata"]["uid"] != old["metadata"]["uid"]:
            yield Event("DELETED", old)
    for name, new in now.items():
        past = before.get(name)
        if past is None or past["metadata"]["uid"] != new["metadata"]["uid"]:
            yield Event("ADDED", new)
        elif past["metadata"]["resourceVersion"] != new["metadata"]["resourceVersion"]:
            yield Event("MODIFIED", new)
