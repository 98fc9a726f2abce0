"""What an answer of a Kubernetes API server, or its silence, means to the user: wait, fix something, or no such object.

Messages carry what the server said and its address, never a token.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from urllib3.exceptions import ReadTimeoutError, SSLError

from consort.cluster.kinds import KINDS
from consort.errors import InputError, system_reason

PASSING_STATUS = {408, 429, 500, 502, 503, 504}
CUT_DURING_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError, TimeoutError)


@dataclass(frozen=True)
class Request:
    """One thing asked of the API server. verb, kind, name and namespace are for people; the rest goes over the wire."""

    verb: str
    kind: str
    namespace: str
    path: str
    method: str = "GET"
    name: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    late_answer: bool = False
    """Whether nothing may be heard for long although all is well: the followed log of a silent container."""

    def __str__(self) -> str:
        return f"{self.verb} {self.kind}{' ' + self.name if self.name else ''} in namespace {self.namespace}"


class Refused(InputError):
    """The API server said no, and asking again would not help. missing: for 404, "object", "namespace" or "kind"."""

    def __init__(self, text: str, status: int, reason: str = "", missing: str = "", said: str = "") -> None:
        super().__init__(text)
        self.status, self.reason, self.missing, self.said = status, reason, missing, said


def refusal(request: Request, server: str, status: int, body: bytes) -> Refused | None:
    """What an answer other than 2xx means; None where asking again can help."""
    answer = _status_object(body)
    reason, said = str(answer.get("reason") or ""), str(answer.get("message") or "")
    if status in PASSING_STATUS or (status == 409 and reason == "Conflict" and request.method in ("POST", "PATCH")):
        return None
    if status == 401 or (status == 403 and "system:anonymous" in said):
        return Refused(f"the cluster at {server} does not accept the credentials of the kubeconfig ({request}): log in "
                       "again, or choose another context.", 401, reason, said=said)
    if status == 403 and " cannot " in said:
        return Refused(f"not allowed to {request}: {said}. Ask for a Role with the verb "
                       f"'{'get' if request.verb == 'log' else request.verb}' on this kind, or choose another "
                       "namespace or context.", status, reason, said=said)
    if status == 404:
        return _not_found(request, server, answer, said)
    if not answer:
        return Refused(f"{server} answered with HTTP status {status} and not as a Kubernetes API server does "
                       f"({request}): check the server's address in the kubeconfig, and proxies on the way.", status)
    return Refused(f"the cluster refused to {request}: {said}", status, reason, said=said)


def _not_found(request: Request, server: str, answer: Mapping[str, Any], said: str) -> Refused:
    details = answer.get("details") or {}
    if details.get("kind") == "namespaces":
        return Refused(f"the cluster has no namespace {request.namespace} ({request}): create it, or choose another.",
                       404, "NotFound", "namespace", said)
    if request.name and details.get("name") == request.name:
        return Refused(f"the cluster has no {request.kind} {request.name} in namespace {request.namespace}.",
                       404, "NotFound", "object", said)
    remedy = KINDS[request.kind].brought_by or f"is {server} the address of a Kubernetes API server?"
    return Refused(f"the cluster has no {request.kind}s: {remedy}", 404, "NotFound", "kind", said)


def _status_object(body: bytes) -> dict[str, Any]:
    """The Status object that the server explains itself with; empty where the body is something else."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def passing_reason(status: int, body: bytes) -> str:
    """In a few words why an attempt failed that may be repeated."""
    said = _status_object(body).get("message")
    return f"HTTP status {status}{': ' + str(said) if said else ''}"


def tls_refusal(error: Exception, server: str) -> InputError | None:
    """The error that ends the attempts where TLS itself is wrong; None for a connection that merely broke."""
    cause = error.args[0] if isinstance(error, SSLError) and error.args else None
    if not isinstance(error, SSLError) or isinstance(cause, CUT_DURING_TLS):
        return None
    return InputError(f"{server} cannot be reached over TLS: {cause or error}. Check certificate-authority and server "
                      "of the kubeconfig's cluster.")


def reason(error: Exception) -> str:
    """In a few words why there was no answer."""
    if isinstance(error, ReadTimeoutError):
        return "no answer"
    return system_reason(error)
