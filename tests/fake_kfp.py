"""A KFP server that knows its health, experiments, pipelines, versions, runs and recurring runs, and nothing else.

It answers as https://www.kubeflow.org/docs/components/pipelines/reference/api/kubeflow-pipeline-api-spec/ says, keeps
what it is given for the test to look at, and answers 501 to every address that it does not know.
"""

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

API = "/apis/v2beta1"


@dataclass
class FakeKfp:
    """The server's state; `with FakeKfp() as server` runs it at `server.host`."""

    experiments: list[dict] = field(default_factory=list)
    pipelines: list[dict] = field(default_factory=list)
    versions: list[dict] = field(default_factory=list)
    runs: list[dict] = field(default_factory=list)
    recurring_runs: list[dict] = field(default_factory=list)
    refuse: tuple[int, str] | None = None
    """Status and message that every request gets instead."""
    made: int = 0

    def __enter__(self) -> "FakeKfp":
        state = self

        class Handler(_Handler):
            server_state = state

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.host = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> dict | None:
        """What a request is answered; None where this server does not know it."""
        wanted = _wanted(query)
        listed = {"experiments": self.experiments, "pipelines": self.pipelines, "recurringruns": self.recurring_runs}
        fields = {"recurringruns": "recurringRuns"}
        parts = path.removeprefix(API).strip("/").split("/")
        match (method, *parts):
            case ("GET", kind) if kind in listed:
                found = [item for item in listed[kind] if wanted in (None, item["display_name"])]
                return {fields.get(kind, kind): found}
            case ("GET", "healthz"):
                return {"multi_user": False}
            case ("GET", "pipelines", pipeline, "versions"):
                return {"pipeline_versions": [v for v in self.versions if v["pipeline_id"] == pipeline
                                              and wanted in (None, v["display_name"])]}
            case ("POST", "experiments"):
                return self._add(self.experiments, "experiment_id", json.loads(body))
            case ("POST", "pipelines", "upload"):
                return self._add(self.pipelines, "pipeline_id", {"display_name": query["name"]})
            case ("POST", "pipelines", "upload_version"):
                return self._add(self.versions, "pipeline_version_id",
                                 {"display_name": query["name"], "pipeline_id": query["pipelineid"],
                                  "package": _uploaded(body)})
            case ("POST", "runs"):
                return self._add(self.runs, "run_id", json.loads(body))
            case ("POST", "recurringruns"):
                return self._add(self.recurring_runs, "recurring_run_id", json.loads(body))
            case ("DELETE", "recurringruns", name):
                self.recurring_runs[:] = [r for r in self.recurring_runs if r["recurring_run_id"] != name]
                return {}
        return None

    def _add(self, items: list[dict], id_name: str, values: dict) -> dict:
        self.made += 1
        items.append({**values, id_name: f"id-{self.made}"})
        return {key: value for key, value in items[-1].items() if key != "package"}


class _Handler(BaseHTTPRequestHandler):
    server_state: FakeKfp

    def _answer(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server_state.refuse:
            status, message = self.server_state.refuse
            return self._send(status, {"message": message})
        known = self.server_state.answer(self.command, address.path, query, body)
        if known is None:
            return self._send(501, {"message": f"the fake server does not know {self.command} {self.path}"})
        return self._send(200, known)

    do_GET = do_POST = do_DELETE = _answer

    def _send(self, status: int, values: dict) -> None:
        data = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *values: object) -> None:
        pass


def _wanted(query: dict[str, str]) -> str | None:
    """The display name that a list is filtered by."""
    if not query.get("filter"):
        return None
    (predicate,) = json.loads(query["filter"])["predicates"]
    assert predicate["operation"] in ("EQUALS", 1) and predicate["key"] in ("display_name", "name"), predicate
    return predicate.get("stringValue") or predicate["string_value"]


def _uploaded(body: bytes) -> str:
    """The file in a multipart body."""
    match = re.search(rb"filename=.*?\r\n\r\n(.*?)\r\n--", body, re.DOTALL)
    assert match, body[:200]
    return match[1].decode()
