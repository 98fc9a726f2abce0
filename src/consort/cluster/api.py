"""The one module that talks to the Kubernetes API: verbs of kubectl, plain dicts in and out.

The Kubernetes client finds the configuration, credentials, certificates and proxy; what goes over the wire is written
here and in the modules below (transport, watching, pod_logs), so that no model of the client drops a field it does not
know, and every wait has a deadline.
"""

import builtins
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from urllib3.exceptions import ProxySchemeUnknown

from consort import __version__
from consort.cluster import pod_logs, watching
from consort.cluster.api_errors import Refused, Request
from consort.cluster.kinds import kind_named
from consort.cluster.transport import DEADLINE_SECONDS, Connection, HasStopped, Transport, never
from consort.cluster.watching import Event
from consort.errors import AlreadyExists, InputError

FIELD_MANAGER = "consort"
POOL_CONNECTIONS = 128
"""Kept open for the next request: a thread per followed log or watch holds one."""
OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
NO_CLUSTER = ("no cluster: there is no kubeconfig and this is no pod with a service account token. Set KUBECONFIG to "
              "the file that your cluster's administrator or tool gave you (kind: `kind get kubeconfig`).")

__all__ = ["Event", "KubernetesApi"]


def cluster_is_named() -> bool:
    """Whether there is a kubeconfig here, or the service account of a pod: whether a cluster could be asked."""
    return _is_file(_kubeconfig()) or OWN_NAMESPACE.exists()


def _kubeconfig() -> str:
    return os.environ.get("KUBECONFIG") or "~/.kube/config"


def _is_file(kubeconfig: str) -> bool:
    """Whether one of the files of a kubeconfig's path exists; a user without a home has none there."""
    written_out = os.path.expanduser  # Path.expanduser raises where there is no home
    return any(Path(written_out(path)).exists() for path in kubeconfig.split(os.pathsep) if path)


class KubernetesApi:
    """A namespace of a cluster. Every call may be made from any thread.

    namespace: by default that of the kubeconfig's context, or the pod's own. context: of the kubeconfig; its current
    one by default. kubeconfig: its path; by default $KUBECONFIG, ~/.kube/config or, without those, the service account
    of the pod that this runs in. deadline_seconds: for how long a silent or busy API server is asked again.

    Every method raises ClusterUnavailable after the deadline and InputError for what the server refuses or does not
    have (a kind that is not installed, missing rights); a kind that Consort never speaks of is a ValueError.
    """

    def __init__(self, namespace: str | None = None, context: str | None = None, kubeconfig: str | None = None,
                 deadline_seconds: float = DEADLINE_SECONDS) -> None:
        source = _Source(kubeconfig, context)
        self._transport = Transport(source.connect, deadline_seconds)
        self.namespace = namespace or source.namespace or "default"

    def __repr__(self) -> str:
        return f"KubernetesApi({self.namespace!r} at {self._transport.server})"

    @property
    def requests(self) -> Counter[tuple[str, str]]:
        """(verb, kind) -> attempts sent so far."""
        return self._transport.requests

    @property
    def trouble(self) -> str:
        """Why the API server is being asked again; empty while it answers."""
        return self._transport.trouble

    def create(self, obj: dict[str, Any]) -> dict[str, Any]:
        """The object as the server keeps it. Raises AlreadyExists, also where an answer was lost and asked again."""
        name = obj["metadata"]["name"]
        request = self._request("create", obj["kind"], "POST", path=self._collection(obj["kind"]), name=name,
                                query={"fieldManager": FIELD_MANAGER}, body=obj)
        try:
            return self._transport.ask(request)
        except Refused as e:
            if e.reason == "AlreadyExists":
                raise AlreadyExists(f"there is a {obj['kind']} {name} in namespace {self.namespace} already.") from e
            raise

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """None where there is no such object."""
        return self._get(kind, name, self.namespace)

    def list(self, kind: str, selector: str = "") -> builtins.list[dict[str, Any]]:
        """All objects of the kind whose labels match the selector, such as `app=a,tier in (b,c)`."""
        return watching.list_all(self._transport, self._list_request(kind, selector))[0]

    def follow(self, kind: str, selector: str, stopped: HasStopped) -> Iterator[Event]:
        """ADDED for what exists, SYNCED, then ADDED, MODIFIED and DELETED as they happen, until `stopped()` is true.

        It goes on after cuts without losing a change; where the server remembers too little, intermediate states are
        lost, never the last one, and what vanished is DELETED with its last known state. `stopped` is called about
        once a second, also from another thread.
        """
        return watching.follow(self._transport, self._list_request(kind, selector), stopped)

    def patch(self, kind: str, name: str, merge_patch: dict[str, Any]) -> dict[str, Any]:
        """A JSON merge patch (RFC 7396): null removes a key, lists are replaced whole."""
        return self._transport.ask(self._request(
            "patch", kind, "PATCH", name=name, query={"fieldManager": FIELD_MANAGER}, body=merge_patch,
            content_type="application/merge-patch+json"))

    def delete(self, kind: str, name: str, uid: str | None = None) -> None:
        """Delete the object, then what it owns, in the background; fine where it is absent.

        uid: an object of this name with another uid, a successor, is left alone.
        """
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            self._transport.send(self._request("delete", kind, "DELETE", name=name, body=options))
        except Refused as e:
            gone = e.missing == "object" or (uid is not None and e.status == 409)
            if not gone:
                raise

    def log(self, pod: str, container: str, follow: bool = False, tail: int | None = None,
            since_time: str | None = None, stopped: HasStopped = never) -> Iterator[str]:
        """The container's lines; with follow, also those to come until it ends or `stopped()` (see pod_logs.read).

        tail: only so many of the last lines. since_time: RFC 3339, only lines from then on. `stopped` is looked at once
        a second, but for a container that has not printed anything yet only after 330 s.
        """
        query = {"container": container, "timestamps": "true"}
        query |= {"follow": "true"} if follow else {}
        query |= {"tailLines": str(tail)} if tail is not None else {}
        query |= {"sinceTime": since_time} if since_time is not None else {}
        path = f"{self._collection('Pod')}/{quote(pod, safe='')}/log"
        return pod_logs.read(self._transport, self._request("log", "Pod", path=path, name=pod, query=query,
                                                            late_answer=follow), stopped)

    def events(self, name: str) -> builtins.list[dict[str, Any]]:
        """The events of the objects of this name, oldest first."""
        request = self._request("list", "Event", path=self._collection("Event"),
                                query={"fieldSelector": f"involvedObject.name={name}"})
        return sorted(watching.list_all(self._transport, request)[0], key=_happened)

    def apply(self, obj: dict[str, Any], dry_run: bool = False) -> dict[str, Any]:
        """Server-side apply: the object as it is, or with dry_run would be, afterwards."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        return self._transport.ask(self._request(
            "apply", obj["kind"], "PATCH", name=obj["metadata"]["name"], query=query, body=obj,
            content_type="application/apply-patch+yaml"))  # JSON is YAML

    def own_pod(self, name: str) -> dict[str, Any] | None:
        """The pod that this process runs in, whose name the caller knows; None outside of a cluster."""
        try:
            namespace = OWN_NAMESPACE.read_text().strip()
        except OSError:
            return None
        return self._get("Pod", name, namespace)

    def _get(self, kind: str, name: str, namespace: str) -> dict[str, Any] | None:
        path = f"{kind_named(kind).collection(namespace)}/{quote(name, safe='')}"
        try:
            return self._transport.ask(Request("get", kind, namespace, path, name=name))
        except Refused as e:
            if e.missing == "object":
                return None
            raise

    def _collection(self, kind: str) -> str:
        return kind_named(kind).collection(self.namespace)

    def _list_request(self, kind: str, selector: str) -> Request:
        return self._request("list", kind, path=self._collection(kind),
                             query={"labelSelector": selector} if selector else {})

    def _request(self, verb: str, kind: str, method: str = "GET", *, name: str = "", path: str | None = None,
                 **rest: Any) -> Request:
        path = path or f"{self._collection(kind)}/{quote(name, safe='')}"
        return Request(verb, kind, self.namespace, path, method, name, **rest)


def _happened(event: dict[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


class _Source:
    """Where the cluster is known from: a kubeconfig, or the pod that this runs in. connect() reads it afresh."""

    def __init__(self, kubeconfig: str | None, context: str | None) -> None:
        try:
            import kubernetes  # noqa: F401  # takes most of a second, so not when a command starts
        except ImportError as e:
            raise InputError("Consort needs the Kubernetes client to reach a cluster: "
                             "pip install 'consort[cluster]'.") from e
        # The client would keep what KUBECONFIG was when it was imported.
        self.path = kubeconfig or _kubeconfig()
        self.context = context
        found = _is_file(self.path)
        if (kubeconfig or context) and not found:
            raise InputError(f"there is no kubeconfig at {self.path}: set KUBECONFIG to the file.")
        self.from_file = found
        self.namespace: str | None = None

    def connect(self) -> Connection:
        from kubernetes import client, config

        settings = client.Configuration()
        settings.connection_pool_maxsize = POOL_CONNECTIONS
        if self.from_file:
            self._load_file(settings)
        else:
            try:
                config.load_incluster_config(settings)
            except config.ConfigException as e:
                raise InputError(NO_CLUSTER) from e
            self.namespace = OWN_NAMESPACE.read_text().strip()
        settings.proxy = settings.proxy or _environment_proxy(settings.host)
        try:
            pool = client.ApiClient(settings).rest_client.pool_manager
        except ProxySchemeUnknown as e:
            raise InputError(f"the way to {settings.host} is a proxy that is neither http:// nor https://: set "
                             "proxy-url of the kubeconfig's cluster, or HTTPS_PROXY, to one that is.") from e
        pool.connection_pool_kw["socket_options"] = _keep_alive()
        lock = threading.Lock()

        def credentials() -> dict[str, str]:
            with lock:  # an expired token is renewed here, maybe by a program, and once for all threads
                auth = settings.auth_settings().values()
            return {"User-Agent": f"consort/{__version__}"} | {a["key"]: a["value"] for a in auth if a["value"]}

        return Connection(pool, settings.host.rstrip("/"), credentials)

    def _load_file(self, settings: Any) -> None:
        import yaml
        from kubernetes import config
        from kubernetes.config.kube_config import KubeConfigMerger

        # Neither error is shown or chained: the client's texts quote the file, tokens and all.
        try:
            merged = KubeConfigMerger(self.path).config
            config.load_kube_config(self.path, self.context, settings)
            wanted = self.context or merged["current-context"]
            context = merged["contexts"].get_with_name(wanted)["context"]
            cluster = merged["clusters"].get_with_name(context["cluster"])["cluster"]
        except config.ConfigException as e:
            what = str(e).split(" in ")[0].removeprefix("Invalid kube-config file. ")
            raise InputError(f"the kubeconfig {self.path} is not complete: {what[:200]}.") from None
        except (yaml.YAMLError, ValueError, TypeError, AttributeError, OSError):
            raise InputError(f"the kubeconfig {self.path} cannot be read: is it YAML as `kubectl config view` shows "
                             "it, with certificates in base64?") from None
        self.namespace = context.safe_get("namespace")
        settings.proxy = settings.proxy or cluster.safe_get("proxy-url")


def _environment_proxy(server: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for this server, as kubectl takes it."""
    address = urlsplit(server)
    host = address.hostname or ""
    if host == "localhost" or host.startswith("127.") or host == "::1" or proxy_bypass(address.netloc):
        return None
    return getproxies_environment().get(address.scheme)


def _keep_alive() -> builtins.list[tuple[int, int, int]]:
    """Find out within a minute that the other side of a silent connection has gone."""
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
