"""The cluster's API on a bad day: what is asked again and when, what is not, and what a person is told."""

import itertools
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consort.cluster import transport
from consort.cluster.api import Event, KubernetesApi
from consort.errors import AlreadyExists, ClusterUnavailable, InputError
from scripted_api import Answer, ScriptedApi, scripted_api

OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}}
RUNNING = {"status": {"containerStatuses": [{"name": "main", "state": {"running": {}}}]}}
ENDED = {"status": {"containerStatuses": [{"name": "main", "state": {"terminated": {}}}]}}


@pytest.fixture
def server() -> Iterator[ScriptedApi]:
    with scripted_api() as started:
        yield started


@pytest.fixture
def api(server: ScriptedApi, tmp_path: Path) -> KubernetesApi:
    return KubernetesApi(kubeconfig=server.kubeconfig(tmp_path / "config"), deadline_seconds=5)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What would be slept between two attempts, in seconds."""
    slept: list[float] = []
    monkeypatch.setattr(transport, "_sleep", lambda seconds, stopped: slept.append(seconds))
    return slept


def refused(code: int, reason: str = "", message: str = "no", **details: str) -> Answer:
    return Answer(code, {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details})


def listed(version: str, *names_versions: tuple[str, str], more: str = "") -> Answer:
    return Answer(body={"apiVersion": "v1", "kind": "ConfigMapList",
                        "metadata": {"resourceVersion": version, "continue": more},
                        "items": [item(*pair) for pair in names_versions]})


def item(name: str, version: str, uid: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid or name, "resourceVersion": version}}


def change(type_: str, *about: str) -> dict[str, Any]:
    return {"type": type_, "object": item(*about)}


def said(events: list[Event]) -> list[tuple[str, str, str]]:
    """Type, name and version of each event."""
    found = [(e.type, e.object.get("metadata", {})) for e in events]
    return [(type_, about.get("name", ""), about.get("resourceVersion", "")) for type_, about in found]


def test_busy_and_broken_servers_are_asked_again(api: KubernetesApi, server: ScriptedApi, pauses: list[float]) -> None:
    server.answers = [refused(429), refused(500), Answer(503, b"upstream gone"), Answer(vanish=True),
                      Answer(body=OBJECT)]
    assert api.get("ConfigMap", "a") == OBJECT
    assert len(pauses) == 4 and 0.1 <= pauses[0] <= 0.2 and 0.8 <= pauses[3] <= 1.6, pauses
    assert api.requests == {("get", "ConfigMap"): 5}
    assert api.trouble == ""


def test_while_it_asks_again_it_says_why(api: KubernetesApi, server: ScriptedApi, monkeypatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(transport, "_sleep", lambda seconds, stopped: seen.append(api.trouble))
    server.answers = [refused(503, message="etcd is away"), Answer(vanish=True), Answer(body=OBJECT)]
    api.get("ConfigMap", "a")
    assert len(seen) == 2 and "etcd is away" in seen[0] and seen[1] != seen[0]
    assert api.trouble == ""


def test_retry_after_is_kept(api: KubernetesApi, server: ScriptedApi, pauses: list[float]) -> None:
    server.answers = [Answer(429, headers={"Retry-After": "1"}), Answer(body=OBJECT)]
    api.get("ConfigMap", "a")
    assert pauses == [1.0]


def test_the_deadline_ends_it(server: ScriptedApi, tmp_path: Path) -> None:
    api = KubernetesApi(kubeconfig=server.kubeconfig(tmp_path / "config"), deadline_seconds=0.5)
    server.answers = [refused(503, message="etcd is away")]
    with pytest.raises(ClusterUnavailable, match=rf"{server.url} did not answer within 0.5 s \(list Job in namespace "
                                                 r"space; last: HTTP status 503: etcd is away\)"):
        api.list("Job")
    assert ClusterUnavailable.exit_code == 175


def test_an_unreachable_server_ends_it_too(server: ScriptedApi, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = server.kubeconfig(tmp_path / "config", url=f"http://127.0.0.1:{port}")
    with pytest.raises(ClusterUnavailable, match="Connection refused"):
        KubernetesApi(kubeconfig=config, deadline_seconds=0.3).get("Pod", "a")


@pytest.mark.parametrize("answer, text", [
    (refused(422, "Invalid", "spec.x: Required value"), "refused to get Pod a in namespace space: spec.x: Required"),
    (refused(403, "Forbidden", 'User "me" cannot get resource "pods" in the namespace "space"'),
     "not allowed to get Pod a in namespace space: .* Ask for a Role with the verb 'get'"),
    (refused(403, "Forbidden", "exceeded quota: gpus"), "refused to get Pod a in namespace space: exceeded quota"),
    (Answer(302, b"<html>", {"Location": "http://elsewhere"}), "HTTP status 302 and not as a Kubernetes API server"),
    (Answer(200, b"<html>log in here</html>"), "does not answer as a Kubernetes API server does"),
    (Answer(404, b"404 page not found"), "is http://.* the address of a Kubernetes API server"),
    (refused(401, "Unauthorized", "Unauthorized"), "does not accept the credentials of the kubeconfig")])
def test_refusals_are_told_at_once(api: KubernetesApi, server: ScriptedApi, answer: Answer, text: str) -> None:
    server.answers = [answer]
    with pytest.raises(InputError, match=text) as error:
        api.get("Pod", "a")
    assert "secret-token" not in str(error.value)
    assert "secret-token" not in repr(api)
    assert len(server.asked) == (2 if answer.status == 401 else 1)


def test_a_missing_operator_is_named(api: KubernetesApi, server: ScriptedApi) -> None:
    server.answers = [Answer(404, b"404 page not found")]
    with pytest.raises(InputError, match="no PyTorchJobs: install the Kubeflow Training Operator"):
        api.get("PyTorchJob", "a")


def test_new_credentials_are_read_when_the_old_are_refused(api: KubernetesApi, server: ScriptedApi,
                                                           tmp_path: Path) -> None:
    server.kubeconfig(tmp_path / "config", token="newer-token")
    server.answers = [refused(401), Answer(body=OBJECT)]
    assert api.get("ConfigMap", "a") == OBJECT
    assert [asked.headers["authorization"] for asked in server.asked] == ["Bearer secret-token", "Bearer newer-token"]


def test_a_creation_whose_answer_was_lost_is_found_to_exist(api: KubernetesApi, server: ScriptedApi) -> None:
    server.answers = [Answer(vanish=True), refused(409, "AlreadyExists", name="a")]
    with pytest.raises(AlreadyExists):
        api.create(OBJECT)


def test_what_goes_over_the_wire(api: KubernetesApi, server: ScriptedApi) -> None:
    server.answers = [Answer(body=OBJECT)]
    api.create(OBJECT)
    api.patch("ConfigMap", "a", {"data": None})
    api.apply(OBJECT, dry_run=True)
    api.delete("Job", "a", uid="u")
    create, patch, apply, delete = server.asked
    assert (create.method, create.path, create.body) == ("POST", "/api/v1/namespaces/space/configmaps", OBJECT)
    assert (patch.headers["Content-Type"], patch.body) == ("application/merge-patch+json", {"data": None})
    assert apply.query == {"fieldManager": "consort", "force": "true", "dryRun": "All"}
    assert (delete.method, delete.path) == ("DELETE", "/apis/batch/v1/namespaces/space/jobs/a")
    assert delete.body == {"propagationPolicy": "Background", "preconditions": {"uid": "u"}}


def test_long_lists_come_in_pages_and_start_again_where_a_page_expired(api: KubernetesApi, server: ScriptedApi) -> None:
    server.answers = [listed("1", ("a", "1"), more="page2"), refused(410, "Expired"),
                      listed("5", ("a", "1"), more="page2"), listed("5", ("b", "4"))]
    assert [(o["kind"], o["metadata"]["name"]) for o in api.list("ConfigMap", "x=y")] == [("ConfigMap", "a"),
                                                                                          ("ConfigMap", "b")]
    assert [asked.query.get("continue") for asked in server.asked] == [None, "page2", None, "page2"]
    assert {asked.query["labelSelector"] for asked in server.asked} == {"x=y"}


def test_follow_resumes_where_it_was(api: KubernetesApi, server: ScriptedApi) -> None:
    """After a bookmark, after a break in the middle of a message, and after an end without any event."""
    half = json.dumps(change("ADDED", "lost", "99")).encode()[:40]
    server.answers = [listed("5", ("a", "3")), Answer(body=[change("BOOKMARK", "", "9")]), Answer(body=[]),
                      Answer(body=[change("ADDED", "b", "11"), half], cut=True),
                      Answer(body=[{"type": "ERROR", "object": {"code": 500, "message": "no leader"}}]),
                      Answer(body=[change("DELETED", "a", "12")])]
    events = list(itertools.islice(api.follow("ConfigMap", "", lambda: False), 4))
    assert said(events) == [("ADDED", "a", "3"), ("SYNCED", "", ""), ("ADDED", "b", "11"), ("DELETED", "a", "12")]
    assert [asked.query.get("resourceVersion") for asked in server.asked] == [None, "5", "9", "9", "11", "11"]


@pytest.mark.parametrize("gone", [Answer(body=[{"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}]),
                                  refused(410, "Expired")], ids=["inside a 200 answer", "as the status"])
def test_follow_lists_again_where_the_server_has_forgotten(api: KubernetesApi, server: ScriptedApi,
                                                           gone: Answer) -> None:
    again = listed("20", ("kept", "1"), ("changed", "15"), ("new", "16"))
    again.body["items"].append(item("replaced", "17", uid="second"))
    server.answers = [listed("5", ("kept", "1"), ("changed", "2"), ("vanished", "3"), ("replaced", "4")), gone, again,
                      Answer(body=[change("DELETED", "kept", "21")])]
    events = list(itertools.islice(api.follow("ConfigMap", "", lambda: False), 11))
    assert said(events)[4:] == [
        ("SYNCED", "", ""), ("DELETED", "vanished", "3"), ("DELETED", "replaced", "4"), ("MODIFIED", "changed", "15"),
        ("ADDED", "new", "16"), ("ADDED", "replaced", "17"), ("DELETED", "kept", "21")]
    assert server.asked[-1].query["resourceVersion"] == "20"


def test_follow_ends_while_the_server_is_away(api: KubernetesApi, server: ScriptedApi) -> None:
    stop = threading.Event()
    server.answers = [listed("5"), refused(503)]
    threading.Timer(0.5, stop.set).start()
    assert said(list(api.follow("ConfigMap", "", stop.is_set))) == [("SYNCED", "", "")]  # else the deadline raises


def test_a_broken_log_goes_on_with_the_next_line(api: KubernetesApi, server: ScriptedApi) -> None:
    """A break in the middle of a line, a kubelet that restarts, and a clock that went to summer time."""
    one, two = b"2026-01-01T00:00:01.000000001Z one\n", b"2026-01-01T00:00:01.000000002Z two\n"
    server.answers = [Answer(body=[one, two[:-2]], cut=True), Answer(body=[one, two]), Answer(body=RUNNING),
                      Answer(body=[b"2026-01-01T01:00:01.000000002+01:00 two\n", b"2026-01-01T00:00:02.5Z three"]),
                      Answer(body=ENDED)]
    assert list(api.log("pod", "main", follow=True, tail=7)) == ["one", "two", "three"]
    assert [(a.query.get("sinceTime"), a.query.get("tailLines")) for a in server.asked if a.query] == [
        (None, "7"), ("2026-01-01T00:00:01Z", None), ("2026-01-01T00:00:01Z", None)]


def test_a_container_that_has_not_started_has_no_lines(api: KubernetesApi, server: ScriptedApi) -> None:
    server.answers = [refused(400, "BadRequest", 'container "main" in pod "a" is waiting to start: ContainerCreating')]
    assert list(api.log("a", "main", follow=True)) == []


def test_a_followed_log_can_be_left_while_nothing_is_printed(api: KubernetesApi, server: ScriptedApi) -> None:
    stop, leave = threading.Event(), threading.Event()
    waited: list[bool] = []
    server.answers = [Answer(body=[b"2026-01-01T00:00:01Z only\n", lambda: waited.append(leave.wait(20))])]
    lines = api.log("a", "main", follow=True, stopped=stop.is_set)
    assert next(lines) == "only"
    threading.Timer(0.2, stop.set).start()
    assert list(lines) == []
    assert waited == [], "the server has more to say"
    leave.set()


def test_one_api_serves_many_threads(api: KubernetesApi, server: ScriptedApi) -> None:
    server.answers = [Answer(body=OBJECT)]
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.extend(api.get("ConfigMap", "a") for _ in range(5)))
               for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [OBJECT] * 320
    assert api.requests == {("get", "ConfigMap"): 320}


def test_a_wrong_kubeconfig_is_explained_without_what_it_holds(tmp_path: Path) -> None:
    config = tmp_path / "config"
    user = {"name": "u", "user": {"token": "secret-token", "client-certificate-data": "abc"}}
    good = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://127.0.0.1:1"}}], "users": [user]}
    no_server = [{"name": "k", "cluster": None, "token": "secret-token"}]
    for wrong in (good | {"clusters": []}, good | {"clusters": no_server}, good | {"current-context": "other"}, good):
        config.write_text(json.dumps(wrong))
        with pytest.raises(InputError, match=re.escape(f"the kubeconfig {config}")) as error:
            KubernetesApi(kubeconfig=str(config))
        assert "secret-token" not in str(error.value)
        assert error.value.__cause__ is None
    config.write_text("users: [token: secret-token")
    with pytest.raises(InputError, match="cannot be read: is it YAML") as error:
        KubernetesApi(kubeconfig=str(config))
    assert "secret-token" not in str(error.value)


def test_no_cluster_at_all_says_how_to_name_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no kubeconfig at .*: set KUBECONFIG"):
        KubernetesApi(kubeconfig=str(tmp_path / "none"))


def test_proxies_are_used_or_explained(server: ScriptedApi, tmp_path: Path) -> None:
    path = Path(server.kubeconfig(tmp_path / "config", url="http://cluster.invalid"))
    config = json.loads(path.read_text())
    config["clusters"][0]["cluster"]["proxy-url"] = server.url
    path.write_text(json.dumps(config))
    server.answers = [Answer(body=OBJECT)]
    assert KubernetesApi(kubeconfig=str(path)).get("ConfigMap", "a") == OBJECT
    assert server.asked[0].path == "/api/v1/namespaces/space/configmaps/a"
    assert server.asked[0].headers["Host"] == "cluster.invalid"
    config["clusters"][0]["cluster"]["proxy-url"] = "socks5://127.0.0.1:9"
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="neither http:// nor https://"):
        KubernetesApi(kubeconfig=str(path))
