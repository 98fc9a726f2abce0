"""The lines that a container printed, whole and each once, across broken connections.

They are asked for with timestamps, which tell where to go on after a cut, and given without.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from consort.cluster.api_errors import Refused, Request
from consort.cluster.transport import Cut, Ended, HasStopped, Transport

SILENT_SECONDS = 330.0
PAUSE_SECONDS = 1.0
_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ?")

Moment = tuple[int, int]
"""Seconds since 1970 and nanoseconds, which one float cannot hold."""


def read(transport: Transport, request: Request, stopped: HasStopped) -> Iterator[str]:
    """Lines until the log's end; of a followed log, until the container ends, or the pod is deleted.

    A container that has not started has no lines. Bytes that are not UTF-8 become U+FFFD.
    """
    last: Moment | None = None
    while True:
        try:
            with transport.lines(_since(request, last), stopped, SILENT_SECONDS) as lines:
                for line in lines:
                    moment, text = _split(line)
                    if moment is not None and last is not None and moment <= last:
                        continue  # the server goes back to the start of the second
                    last = moment or last
                    yield text.decode("utf-8", "replace")
        except Cut:
            if stopped():
                return
            time.sleep(PAUSE_SECONDS)
            continue
        except Ended:
            return
        except Refused as e:
            if (e.status == 400 and "waiting to start" in e.said) or (last is not None and e.missing == "object"):
                return
            raise
        # A kubelet that restarts ends the stream as the container's end does, so the pod is asked.
        if "follow" not in request.query or stopped() or not _runs(transport, request):
            return
        time.sleep(PAUSE_SECONDS)


def _since(request: Request, last: Moment | None) -> Request:
    if last is None:
        return request
    query = {key: value for key, value in request.query.items() if key != "tailLines"}
    start = datetime.fromtimestamp(last[0], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return replace(request, query={**query, "sinceTime": start})


def _split(line: bytes) -> tuple[Moment | None, bytes]:
    """When a line was printed, and what; the kubelet's own remarks have no time."""
    found = _STAMP.match(line)
    if found is None:
        return None, line
    date, fraction, zone = found.groups()
    seconds = int(datetime.fromisoformat((date + zone).decode()).timestamp())
    return (seconds, int((fraction or b"0").ljust(9, b"0"))), line[found.end():]


def _runs(transport: Transport, request: Request) -> bool:
    """Whether the container whose log this is still runs."""
    try:
        pod = transport.ask(Request("get", "Pod", request.namespace, request.path.removesuffix("/log"),
                                    name=request.name))
    except Refused as e:
        if e.missing == "object":
            return False
        raise
    states = pod.get("status", {}).get("containerStatuses") or []
    return any(s["name"] == request.query["container"] and "running" in s.get("state", {}) for s in states)
