"""What KubernetesApi promises, held by the real one on the cluster that $KUBECONFIG names, and by the fake.

Without KUBECONFIG only the fake is tested; `make e2e` insists on a cluster.
"""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from consort.cluster.api import Event, KubernetesApi
from consort.cluster.api_errors import Refused
from consort.errors import AlreadyExists, InputError
from fake_cluster import FakeCluster

REAL = bool(os.environ.get("KUBECONFIG"))
LINES = ["one", "two", "bad � byte", "no newline at the end"]


class FakePlace:
    """A fake cluster, and the hands of those who act in a real one."""

    def __init__(self) -> None:
        self.api = FakeCluster("test", kinds_missing={"Workflow"})

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        with self.api.cut_watches():
            yield

    def start_pod(self, name: str) -> None:
        """A pod that prints LINES in about a second, then ends."""
        self.api.create(pod(name))
        threading.Thread(target=self._run, args=(name,)).start()

    def _run(self, name: str) -> None:
        state = {"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
        running = {"phase": "Running", "containerStatuses": [state]}
        self.api.add_event("Pod", name, "Scheduled", "on a node")
        time.sleep(0.1)
        self.api.set_status("Pod", name, running)
        self.api.add_event("Pod", name, "Started", "it runs")
        for line in LINES:
            self.api.print_line(name, "main", line)
            time.sleep(0.05)
        self.api.set_status("Pod", name, {"phase": "Succeeded", "containerStatuses": [
            {"name": "main", "state": {"terminated": {"exitCode": 0}}}]})


class RealPlace:
    """A fresh namespace, reached through a relay whose connections can be broken."""

    def __init__(self, namespace: str, relay: Any, kubeconfig: str) -> None:
        self.relay = relay
        self.api = KubernetesApi(namespace, kubeconfig=kubeconfig)

    @contextlib.contextmanager
    def cut(self) -> Iterator[None]:
        self.relay.cut()
        yield

    def start_pod(self, name: str) -> None:
        self.api.create(pod(name))


Place = FakePlace | RealPlace


@pytest.fixture(params=["fake", *(["real"] if REAL else [])])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "fake":
        yield FakePlace()
        return
    from real_cluster import Relay, fresh_namespace, server_address, write_kubeconfig

    relay = Relay(server_address())
    with fresh_namespace() as namespace:
        yield RealPlace(namespace, relay, write_kubeconfig(tmp_path / "config", f"https://127.0.0.1:{relay.port}"))
    relay.close()


@pytest.fixture
def api(place: Place) -> FakeCluster | KubernetesApi:
    return place.api


def config_map(name: str, labels: dict[str, str] | None = None, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels or {}}, "data": data}


def pod(name: str) -> dict[str, Any]:
    image = "none"
    if REAL:
        from real_cluster import TEST_IMAGE
        image = TEST_IMAGE
    script = r"sleep 0.3; echo one; echo two; sleep 0.3; printf 'bad \377 byte\nno newline at the end'"
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False,
        "containers": [{"name": "main", "image": image, "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", script]}]}}


def until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.05)


class Follower:
    """What follow() yields, gathered by a thread of its own."""

    def __init__(self, api: FakeCluster | KubernetesApi, kind: str, selector: str = "") -> None:
        self.stop = threading.Event()
        self._events: queue.Queue[Event] = queue.Queue()
        self._thread = threading.Thread(target=self._follow, args=(api, kind, selector))
        self._thread.start()

    def _follow(self, api: FakeCluster | KubernetesApi, kind: str, selector: str) -> None:
        for event in api.follow(kind, selector, self.stop.is_set):
            self._events.put(event)

    def next(self) -> tuple[str, str, dict[str, str]]:
        """Type, name and data of the next event."""
        event = self._events.get(timeout=20)
        return event.type, event.object.get("metadata", {}).get("name", ""), event.object.get("data", {})

    def end(self) -> None:
        """Stop, which has to take effect though nothing happens."""
        self.stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()
        assert self._events.empty(), self._events.get()


def synced(api: FakeCluster | KubernetesApi, selector: str) -> Follower:
    follower = Follower(api, "ConfigMap", selector)
    assert follower.next() == ("SYNCED", "", {})
    return follower


def test_an_object_from_creation_to_deletion(api: FakeCluster | KubernetesApi) -> None:
    created = api.create(config_map("a", {"app": "x"}, size="1"))
    assert created["metadata"]["uid"] and created["metadata"]["namespace"] == api.namespace
    assert api.get("ConfigMap", "a") == created
    changed = api.patch("ConfigMap", "a", {"data": {"size": None, "shape": "round"}})
    assert changed["data"] == {"shape": "round"}
    assert changed["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
    assert api.list("ConfigMap", "app=x") == [changed]
    api.delete("ConfigMap", "a")
    assert api.get("ConfigMap", "a") is None
    api.delete("ConfigMap", "a")


def test_requests_are_counted(api: FakeCluster | KubernetesApi) -> None:
    api.create(config_map("a"))
    api.get("ConfigMap", "a")
    api.get("ConfigMap", "a")
    assert api.requests == {("create", "ConfigMap"): 1, ("get", "ConfigMap"): 2}


@pytest.mark.parametrize("selector, found", [
    ("app=x", "ab"), ("app=x,tier=back", "b"), ("app!=x", "c"), ("tier in (front,back),app=x", "ab"),
    ("tier notin (front),app in (x,y)", "bc"), ("tier,app", "ab"), ("!tier,app", "c")])
def test_list_selects_by_labels(api: FakeCluster | KubernetesApi, selector: str, found: str) -> None:
    labelled = {"a": {"app": "x", "tier": "front"}, "b": {"app": "x", "tier": "back"}, "c": {"app": "y"}}
    for name, labels in labelled.items():
        api.create(config_map(name, labels))
    names = [o["metadata"]["name"] for o in api.list("ConfigMap", selector)]
    assert [name for name in names if name in "abc"] == list(found)
    assert {o["kind"] for o in api.list("ConfigMap", selector)} == {"ConfigMap"}


def test_create_raises_when_the_name_is_taken(api: FakeCluster | KubernetesApi) -> None:
    api.create(config_map("a", size="1"))
    with pytest.raises(AlreadyExists, match="a ConfigMap a in namespace"):
        api.create(config_map("a", size="2"))
    assert api.list("ConfigMap", "")[0]["data"] != {"size": "2"}


def test_create_refuses_another_namespace(api: FakeCluster | KubernetesApi) -> None:
    other = config_map("a")
    other["metadata"]["namespace"] = "other"
    with pytest.raises(InputError, match="namespace of the provided object does not match"):
        api.create(other)


def test_patch_refuses_what_is_not_there(api: FakeCluster | KubernetesApi) -> None:
    with pytest.raises(Refused, match="no ConfigMap a in namespace") as refused:
        api.patch("ConfigMap", "a", {"data": {}})
    assert refused.value.missing == "object"


def test_delete_leaves_a_successor_alone(api: FakeCluster | KubernetesApi) -> None:
    first = api.create(config_map("a"))
    api.delete("ConfigMap", "a", uid=first["metadata"]["uid"])
    second = api.create(config_map("a"))
    api.delete("ConfigMap", "a", uid=first["metadata"]["uid"])
    assert api.get("ConfigMap", "a") == second


def test_apply_creates_and_changes(api: FakeCluster | KubernetesApi) -> None:
    assert api.apply(config_map("a", size="1"), dry_run=True)["data"] == {"size": "1"}
    assert api.get("ConfigMap", "a") is None
    api.apply(config_map("a", size="1"))
    assert api.apply(config_map("a", size="2"), dry_run=True)["data"] == {"size": "2"}
    assert api.list("ConfigMap")[-1]["data"] != {"size": "2"}
    api.apply(config_map("a", size="3"))
    assert (api.get("ConfigMap", "a") or {})["data"] == {"size": "3"}


def test_deletion_reaches_what_the_object_owns(api: FakeCluster | KubernetesApi) -> None:
    owner = api.create(config_map("owner"))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned, other = config_map("owned"), config_map("other")
    owned["metadata"]["ownerReferences"] = [reference]
    api.create(owned)
    api.create(other)
    api.delete("ConfigMap", "owner")
    until(lambda: api.get("ConfigMap", "owned") is None)
    assert api.get("ConfigMap", "other") is not None


def test_unknown_kinds_are_a_defect(api: FakeCluster | KubernetesApi) -> None:
    with pytest.raises(ValueError, match="unknown kind 'Node'"):
        api.get("Node", "a")


def test_a_kind_that_is_not_installed_says_what_to_install(api: FakeCluster | KubernetesApi) -> None:
    remedy = "no Workflows: install Argo Workflows"
    with contextlib.suppress(InputError):
        api.list("Workflow")
        pytest.skip("this cluster has Argo Workflows")
    with pytest.raises(InputError, match=remedy):
        api.list("Workflow")
    with pytest.raises(InputError, match=remedy):
        api.get("Workflow", "a")
    with pytest.raises(InputError, match=remedy):
        list(api.follow("Workflow", "", lambda: False))


def test_follow_tells_what_is_there_then_every_change_in_order(api: FakeCluster | KubernetesApi) -> None:
    api.create(config_map("old", {"app": "x"}))
    api.create(config_map("elsewhere", {"app": "y"}))
    follower = Follower(api, "ConfigMap", "app=x")
    assert follower.next() == ("ADDED", "old", {})
    assert follower.next() == ("SYNCED", "", {})
    api.create(config_map("new", {"app": "x"}, size="1"))
    for size in "23":
        api.patch("ConfigMap", "new", {"data": {"size": size}})
    api.patch("ConfigMap", "old", {"metadata": {"labels": {"app": "y"}}})
    api.delete("ConfigMap", "new")
    assert [follower.next() for _ in range(5)] == [
        ("ADDED", "new", {"size": "1"}), ("MODIFIED", "new", {"size": "2"}), ("MODIFIED", "new", {"size": "3"}),
        ("DELETED", "old", {}), ("DELETED", "new", {"size": "3"})]
    follower.end()


def test_follow_goes_on_after_a_cut_without_a_new_list(place: Place) -> None:
    api = place.api
    follower = synced(api, "app=x")
    for round_ in "abc":
        with place.cut():
            api.create(config_map(round_, {"app": "x"}))
            api.patch("ConfigMap", round_, {"data": {"size": "2"}})
            api.delete("ConfigMap", round_)
        assert [follower.next()[:2] for _ in range(3)] == [("ADDED", round_), ("MODIFIED", round_), ("DELETED", round_)]
    follower.end()
    assert api.requests["list", "ConfigMap"] == 1
    # The first cut may come before the first watch, which then begins where the second would.
    assert api.requests["watch", "ConfigMap"] in (3, 4)


def test_follow_ends_soon_though_nothing_happens_and_costs_two_requests(api: FakeCluster | KubernetesApi) -> None:
    follower = synced(api, "app=x")
    time.sleep(0.5)
    before = api.requests.total()
    follower.end()
    assert before == api.requests.total() == 2


def test_follow_lists_again_where_the_fake_has_forgotten() -> None:
    api = FakeCluster()
    kept, gone, replaced = (api.create(config_map(name, {"app": "x"})) for name in ("kept", "gone", "replaced"))
    assert kept and gone and replaced
    follower = Follower(api, "ConfigMap", "app=x")
    assert {follower.next()[0] for _ in range(3)} == {"ADDED"}
    assert follower.next()[0] == "SYNCED"
    with api.cut_watches(forget=True):
        api.delete("ConfigMap", "gone")
        api.delete("ConfigMap", "replaced")
        api.create(config_map("replaced", {"app": "x"}))
        api.patch("ConfigMap", "kept", {"data": {"size": "1"}})
        api.patch("ConfigMap", "kept", {"data": {"size": "2"}})
    assert [follower.next() for _ in range(4)] == [
        ("DELETED", "gone", {}), ("DELETED", "replaced", {}), ("MODIFIED", "kept", {"size": "2"}),
        ("ADDED", "replaced", {})]
    follower.end()


def test_the_log_of_a_pod_is_followed_to_its_end(place: Place) -> None:
    api = place.api
    place.start_pod("talks")
    until(lambda: "containerStatuses" in (api.get("Pod", "talks") or {}).get("status", {})
          and "waiting" not in api.get("Pod", "talks")["status"]["containerStatuses"][0]["state"])  # type: ignore[index]
    assert list(api.log("talks", "main", follow=True)) == LINES
    assert list(api.log("talks", "main")) == LINES
    assert list(api.log("talks", "main", tail=2)) == LINES[-2:]
    assert list(api.log("talks", "main", tail=0)) == []
    assert list(api.log("talks", "main", since_time="2100-01-01T00:00:00Z")) == []
    reasons = [event["reason"] for event in api.events("talks")]
    assert reasons.index("Scheduled") < reasons.index("Started")
    assert api.events("silent") == []


def test_a_log_that_cannot_be_had_says_why(api: FakeCluster | KubernetesApi) -> None:
    with pytest.raises(InputError, match="no Pod nobody in namespace"):
        list(api.log("nobody", "main"))
    waits = pod("waits")
    waits["spec"]["nodeSelector"] = {"consort.dev/no-such": "node"}
    api.create(waits)
    assert list(api.log("waits", "main")) == []
    with pytest.raises(InputError, match="container other is not valid for pod waits"):
        list(api.log("waits", "other"))


def test_outside_of_a_cluster_there_is_no_own_pod(api: FakeCluster | KubernetesApi) -> None:
    assert api.own_pod("me") is None


def test_the_fake_repeats_what_may_be_repeated_and_raises_the_rest() -> None:
    api = FakeCluster()
    api.fail_next(2, 503)
    api.create(config_map("a"))
    assert api.requests == {("create", "ConfigMap"): 3}
    api.fail_next(1, 403, verb="list")
    assert api.get("ConfigMap", "a") is not None
    with pytest.raises(InputError, match="refused to list ConfigMap"):
        api.list("ConfigMap")
    assert api.list("ConfigMap")


if REAL:
    from consort.cluster import watching
    from consort.cluster.api_errors import Request
    from consort.cluster.kinds import kind_named
    from consort.cluster.transport import never
    from real_cluster import account_token, fresh_namespace, write_kubeconfig

    def test_missing_rights_name_verb_kind_and_namespace(tmp_path: Path) -> None:
        with fresh_namespace() as namespace:
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
            KubernetesApi(namespace).create(account)
            token = account_token(namespace, "nobody")
            api = KubernetesApi(namespace, kubeconfig=write_kubeconfig(tmp_path / "config", token=token))
            with pytest.raises(InputError) as refused:
                api.list("PyTorchJob")
        text = str(refused.value)
        assert f"list PyTorchJob in namespace {namespace}" in text
        assert f"system:serviceaccount:{namespace}:nobody" in text
        assert "Ask for a Role with the verb 'list'" in text
        assert token not in text

    def test_wrong_credentials_say_log_in_again(tmp_path: Path) -> None:
        api = KubernetesApi("default", kubeconfig=write_kubeconfig(tmp_path / "config", token="not-a-token"))
        with pytest.raises(InputError, match="log in again") as refused:
            api.list("Pod")
        assert "not-a-token" not in str(refused.value)

    def test_an_absent_namespace_is_named() -> None:
        with pytest.raises(InputError, match="no namespace consort-no-such"):
            KubernetesApi("consort-no-such").create(config_map("a"))

    def test_invalid_objects_are_refused_with_the_servers_reason() -> None:
        bad = pod("bad")
        bad["spec"]["containers"] = []
        with pytest.raises(InputError, match=r"refused to apply Pod bad.*spec.containers: Required value"):
            KubernetesApi("default").apply(bad, dry_run=True)

    def test_the_server_says_that_it_has_forgotten() -> None:
        api = KubernetesApi("default")
        pods = Request("list", "Pod", "default", kind_named("Pod").collection("default"))
        with pytest.raises(watching.Expired):
            list(watching._watch(api._transport, pods, "1", never))
