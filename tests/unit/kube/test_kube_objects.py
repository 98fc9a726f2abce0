"""Objects that are built for a cluster: what Pod Security admits, names that fit, and settings where they belong."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consort import errors
from consort.kube import names
from consort.kube.images import Images
from consort.kube.member_job import member_job, without_member
from consort.kube.step_jobs import FINAL_EXIT_CODES, answer_job, cron_job, export_job, launch_job
from consort.local.commands import train_command, trial_command
from consort.members import is_id
from consort.search.arms import Proposal
from consort.study.execution import MAX_NODES
from consort.study.file import Study
from study_tables import cluster_tables

STORE, RUN, MEMBER = "s3://bucket/prefix", "0123456789", "wrn-16-1-s0-f6b0de0c21"
PACK = ["wrn-16-1-s1-5ab5f3dd26", MEMBER, "wrn-16-1-s2-c7fb4b4e22"]
IMAGES = Images("registry.example/consort:1", "registry.example/consort-torch:1")
OWNER = {"apiVersion": "batch/v1", "kind": "Job", "name": "launch", "uid": "u-1"}
LONGEST_NAME = "a" * 40
LONGEST_MEMBER = f"{'1' * 28}-s9999999-f6b0de0c21"
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DNS_1035 = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def study(name: str = "tiny", cluster: Mapping | None = None, **run: Any) -> Study:
    return Study.model_validate({"name": name, "data": {"source": "digits"}, "architectures": {"wrn-16-1": 1},
                                 "recipe": {"batch_size": 4096}, "cluster": dict(cluster or {}), "run": run})


def member(cluster: Mapping | None = None, **run: Any) -> dict:
    return member_job([MEMBER], STORE, study(cluster=cluster, **run), RUN, IMAGES)


def pack(cluster: Mapping | None = None, **run: Any) -> dict:
    return member_job(PACK, STORE, study(cluster=cluster, **run), RUN, IMAGES)


def all_objects(of: Study) -> list[dict]:
    return [member_job([MEMBER], STORE, of, RUN, IMAGES), answer_job(STORE, of, RUN, IMAGES),
            export_job(STORE, of, RUN, IMAGES, ["c7"]), launch_job(STORE, of, RUN, IMAGES),
            cron_job(STORE, of, RUN, IMAGES, "0 3 * * *")]


def templates(value: Any) -> Iterator[dict]:
    """Every pod template in an object."""
    if isinstance(value, dict):
        if "containers" in value.get("spec", {}):
            yield value
        for inner in value.values():
            yield from templates(inner)


def pod_of(job: dict) -> dict:
    return next(templates(job))["spec"]


def containers(pod: dict) -> list[dict]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def violations(value: dict) -> list[str]:
    """What Pod Security `restricted` and our own rules refuse; see
    kubernetes.io/docs/concepts/security/pod-security-standards."""
    found = []
    for template in templates(value):
        pod = template["spec"]
        context = pod.get("securityContext", {})
        found += [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
        for volume in pod.get("volumes", []):
            found += ["volume type"] if volume.keys() - {"name", "emptyDir", "persistentVolumeClaim"} else []
            found += ["size of volume"] if "sizeLimit" not in volume.get("emptyDir", {"sizeLimit": ""}) else []
        found += ["runAsNonRoot"] if context.get("runAsNonRoot") is not True or not context.get("runAsUser") else []
        found += ["seccomp"] if context.get("seccompProfile", {}).get("type") != "RuntimeDefault" else []
        if pod.get("serviceAccountName") != names.LAUNCHER_ACCOUNT:
            found += ["token"] if pod.get("automountServiceAccountToken") is not False else []
        for container in containers(pod):
            own = container.get("securityContext", {})
            found += ["privilege escalation"] if own.get("allowPrivilegeEscalation") is not False else []
            found += ["capabilities"] if own.get("capabilities") != {"drop": ["ALL"]} else []
            found += ["root file system"] if own.get("readOnlyRootFilesystem") is not True else []
            found += ["overrides"] if own.keys() & {"privileged", "runAsUser", "runAsNonRoot", "seccompProfile"} else []
            found += ["limits"] if not {"cpu", "memory"} <= container["resources"]["limits"].keys() else []
            found += ["ports"] if container.get("ports") else []
    return found


@settings(deadline=None)
@given(cluster_tables())
def test_every_pod_of_every_study_is_one_that_restricted_namespaces_admit(cluster):
    for value in all_objects(study(cluster=cluster)):
        assert list(templates(value))
        assert violations(value) == []


@pytest.mark.parametrize(("path", "value", "violation"), [
    (("securityContext", "runAsNonRoot"), False, "runAsNonRoot"), (("hostNetwork",), True, "hostNetwork"),
    (("securityContext", "seccompProfile"), {"type": "Unconfined"}, "seccomp"),
    (("automountServiceAccountToken",), True, "token"),
    (("containers", 0, "securityContext", "allowPrivilegeEscalation"), True, "privilege escalation"),
    (("containers", 0, "securityContext", "capabilities"), {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "capabilities"),
    (("containers", 0, "securityContext", "readOnlyRootFilesystem"), False, "root file system"),
    (("containers", 0, "securityContext", "privileged"), True, "overrides"),
    (("initContainers", 1, "securityContext"), {}, "capabilities"),
    (("containers", 0, "resources", "limits"), {}, "limits"),
    (("volumes", 0), {"name": "tmp", "hostPath": {"path": "/"}}, "volume type")])
def test_a_pod_that_asks_for_more_is_noticed(path, value, violation):
    job = answer_job(STORE, study(), RUN, IMAGES)
    place: Any = pod_of(job)
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert violation in violations(job)


@settings(deadline=None)
@given(cluster_tables(), st.sampled_from(["a", LONGEST_NAME, "0" * 40]), st.sampled_from([MEMBER, LONGEST_MEMBER, "1"]))
def test_names_and_labels_are_what_the_api_takes(cluster, name, member_id):
    of = study(name, cluster)
    job = member_job([member_id], STORE, of, RUN, IMAGES)
    assert DNS_1035.fullmatch(job["metadata"]["name"])
    assert len(f"{job['metadata']['name']}-worker-{MAX_NODES - 2}") <= 63
    others = all_objects(of)[1:]
    for value in others:
        assert DNS_LABEL.fullmatch(value["metadata"]["name"])
    assert len(others[-1]["metadata"]["name"]) <= 52  # a CronJob's jobs get 11 characters more
    for value in [job, *others]:
        for metadata in [value["metadata"], *(t["metadata"] for t in templates(value))]:
            assert all(LABEL_VALUE.fullmatch(label) for label in metadata["labels"].values())
            assert metadata["labels"][names.STUDY_LABEL] == name
            assert metadata["labels"][names.RUN_LABEL] == RUN


def test_member_names_stay_apart():
    assert names.member_job_name("1-s0-a") != names.member_job_name("s0-a")
    assert names.member_job_name(MEMBER) == MEMBER


def test_labels_lead_from_a_pod_to_its_member_and_from_a_job_to_its_store():
    job = member()
    for metadata in (job["metadata"], next(templates(job))["metadata"]):
        labels = metadata["labels"]
        assert labels[names.MEMBER_LABEL] == MEMBER
        assert (labels[names.NAME_LABEL], labels[names.MANAGED_BY_LABEL], labels[names.COMPONENT_LABEL]) == (
            "consort", "consort", "member")
    assert job["metadata"]["annotations"] == {names.STORE_ANNOTATION: STORE}
    assert [o["metadata"]["labels"][names.COMPONENT_LABEL] for o in all_objects(study())] == [
        "member", "answer", "answer", "launcher", "launcher"]


def test_hash_is_over_what_a_job_does_and_not_over_who_asks_for_it():
    job = member()
    assert job["metadata"]["labels"][names.SPEC_HASH_LABEL] == names.spec_hash(job)
    owned = {**job, "metadata": {**job["metadata"], "ownerReferences": [OWNER]}}
    for same in (member_job([MEMBER], STORE, study("other"), "abcdefabcd", IMAGES), owned):
        assert names.spec_hash(same) == names.spec_hash(job)


@pytest.mark.parametrize("other", [
    member(cluster={"memory": "3Gi"}), member(cluster={"gpus": 1}), member(cluster={"spot": "gke"}),
    member(cluster={"nodes": 2}), member(checkpoint_seconds=61.0), member(cluster={"deadline_seconds": 7}),
    member_job(["wrn-16-1-s1-f6b0de0c21"], STORE, study(), RUN, IMAGES),
    member_job([MEMBER], "s3://other", study(), RUN, IMAGES),
    member_job([MEMBER], STORE, study(), RUN, Images(IMAGES.plain, "other:1"))])
def test_hash_notices_what_changes_a_job(other):
    assert other["metadata"]["labels"][names.SPEC_HASH_LABEL] != member()["metadata"]["labels"][names.SPEC_HASH_LABEL]


def test_a_pack_is_the_job_of_a_member_but_for_the_members():
    together, alone = pack(), member()
    [of_pack], [of_member] = containers(pod_of(together)), containers(pod_of(alone))
    named = [argument for one in sorted(PACK) for argument in ("--member", one)]
    assert of_pack.pop("args") == ["train", *named, *of_member.pop("args")[3:]]
    assert together["metadata"].pop("name") == names.members_job_name(PACK)
    alone["metadata"].pop("name")
    for job in (together, alone):
        for metadata in (job["metadata"], next(templates(job))["metadata"]):
            assert names.members_of({"metadata": metadata}) == (sorted(PACK) if job is together else [MEMBER])
            metadata["labels"] = {key: value for key, value in metadata["labels"].items() if not key.startswith(
                (names.MEMBER_LABEL, names.IN_PACK, names.SPEC_HASH_LABEL))}
    assert together == alone
    assert violations(pack()) == []


def test_the_members_of_a_pack_say_its_name_and_order_does_not():
    assert pack() == member_job(PACK[::-1], STORE, study(), RUN, IMAGES)
    assert names.members_job_name(PACK) != names.members_job_name(PACK[:2])
    longest = names.members_job_name([LONGEST_MEMBER, *(f"{'1' * 28}-s{i}-f6b0de0c21" for i in range(63))])
    assert DNS_1035.fullmatch(longest) and len(f"{longest}-worker-{MAX_NODES - 2}") <= 63
    assert re.fullmatch(r"wrn-16-1-x3-[0-9a-f]{10}", names.members_job_name(PACK))
    assert not is_id(names.members_job_name(PACK))


def test_a_label_of_a_pack_is_one_that_the_api_takes():
    for label in pack()["metadata"]["labels"]:
        prefix, _, name = label.rpartition("/")
        assert len(name) <= 63 and LABEL_VALUE.fullmatch(name) and DNS_LABEL.fullmatch(prefix.split(".")[0])


def test_a_pack_s_own_setting_is_that_of_packs_on_a_gpu():
    assert "--members-per-gpu" in pod_of(pack(members_per_gpu=4))["containers"][0]["args"]
    assert "--members-per-gpu" not in pod_of(member(members_per_gpu=4))["containers"][0]["args"]


@pytest.mark.parametrize("size", [3, 2])
def test_a_pack_without_one_of_its_members_is_the_pack_of_the_others(size):
    of = study()
    there = member_job(PACK[:size], STORE, of, RUN, IMAGES)
    there["metadata"] |= {"uid": "u", "resourceVersion": "7", "ownerReferences": [OWNER]}
    found = without_member(there, PACK[0])
    expected = member_job(PACK[1:size], STORE, of, RUN, IMAGES)
    del expected["metadata"]["labels"][names.SPEC_HASH_LABEL]
    assert found is not None and found["metadata"].pop("ownerReferences") == [OWNER]
    assert found == expected
    assert without_member(found, PACK[1]) is None or size == 3


def test_changing_a_job_does_not_change_the_next():
    job = member()
    job["spec"]["pytorchReplicaSpecs"]["Master"]["replicas"] = 7
    job["metadata"]["labels"].clear()
    assert member()["spec"]["pytorchReplicaSpecs"]["Master"]["replicas"] == 1
    assert member()["metadata"]["labels"]


def test_a_member_is_one_master_that_restarts_by_exit_code():
    job = member()
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v1", "PyTorchJob")
    (role, replica), = job["spec"]["pytorchReplicaSpecs"].items()
    assert (role, replica["replicas"], replica["restartPolicy"]) == ("Master", 1, "ExitCode")
    assert job["spec"]["nprocPerNode"] == "1"
    assert job["spec"]["runPolicy"] == {"activeDeadlineSeconds": 86_400, "cleanPodPolicy": "Running",
                                        "ttlSecondsAfterFinished": 604_800}
    step, = pod_of(job)["containers"]
    assert (step["name"], step["image"], step["command"]) == ("pytorch", IMAGES.torch, ["consort"])
    assert step["args"][:7] == ["train", "--member", MEMBER, "--store", STORE, "--log", "json"]
    assert "--torchrun" not in step["args"]


def test_settings_land_where_they_must():
    job = member({"nodes": 4, "processes": 2, "cpus": 5, "memory": "8Gi", "gpus": 2, "gpu_resource": "amd.com/gpu",
                  "scratch": "7Gi", "shared_memory": "3Gi", "node_selector": {"pool": "big"},
                  "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
                  "priority_class": "low", "queue": "research", "spot": "aks", "deadline_seconds": 77,
                  "failed_ttl_seconds": 88, "cache_claim": "cache",
                  "data": {"claim": "images", "path": "/data/imagenet"}},
                 loader_workers=5, checkpoint_seconds=9, checkpoint_steps=11)
    assert job["metadata"]["labels"][names.QUEUE_LABEL] == "research"
    assert {role: r["replicas"] for role, r in job["spec"]["pytorchReplicaSpecs"].items()} == {"Master": 1, "Worker": 3}
    assert job["spec"]["nprocPerNode"] == "2"
    assert job["spec"]["runPolicy"]["activeDeadlineSeconds"] == 77
    assert job["spec"]["runPolicy"]["ttlSecondsAfterFinished"] == 88
    for template in templates(job):
        pod, (step,) = template["spec"], template["spec"]["containers"]
        amounts = {"cpu": "5000m", "memory": "8Gi", "amd.com/gpu": "2"}
        assert step["resources"] == {"requests": amounts, "limits": amounts}
        assert {"name": "OMP_NUM_THREADS", "value": "2"} in step["env"]
        assert pod["nodeSelector"] == {"pool": "big", "kubernetes.azure.com/scalesetpriority": "spot"}
        assert pod["tolerations"] == [
            {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"},
            {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Equal", "value": "spot",
             "effect": "NoSchedule"}]
        assert pod["priorityClassName"] == "low"
        assert pod["activeDeadlineSeconds"] == 77
        volumes = {v["name"]: v for v in pod["volumes"]}
        mounts = {m["mountPath"]: m for m in step["volumeMounts"]}
        assert mounts.keys() == {"/tmp", "/scratch", "/scratch/cache", "/dev/shm", "/data/imagenet"}
        assert volumes["scratch"]["emptyDir"] == {"sizeLimit": "7Gi"}
        assert volumes["shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "3Gi"}
        assert volumes["cache"]["persistentVolumeClaim"] == {"claimName": "cache"}
        assert volumes["data"]["persistentVolumeClaim"] == {"claimName": "images", "readOnly": True}
        assert mounts["/data/imagenet"]["readOnly"] is True
        assert {m["name"] for m in mounts.values()} == volumes.keys()
        arguments = " ".join(step["args"])
        for part in ("--images /data/imagenet", "--loader-workers 5", "--checkpoint-seconds 9.0",
                     "--checkpoint-steps 11", "--torchrun"):
            assert part in arguments


@pytest.mark.parametrize(("cpus", "processes", "threads"), [(1, 1, "1"), (0.5, 1, "1"), (7.9, 2, "3"), (1, 4, "1")])
def test_threads_share_the_processors(cpus, processes, threads):
    step, = pod_of(member({"cpus": cpus, "processes": processes}))["containers"]
    assert {"name": "OMP_NUM_THREADS", "value": threads} in step["env"]


def test_credentials_come_from_the_secret_only():
    for value in all_objects(study()):
        for template in templates(value):
            for step in containers(template["spec"]):
                assert {"secretRef": {"name": names.STORE_SECRET}} in step["envFrom"]
        assert "AWS_" not in json.dumps(value)


@pytest.mark.parametrize(("how", "expected"), [
    ({}, []), ({"deterministic": True}, ["--deterministic"]), ({"deterministic": False}, []),
    ({"deterministic": True, "compile": True}, ["--deterministic", "--compile"])])
def test_a_member_trains_as_the_study_says_here_and_there(how: dict, expected: list[str]) -> None:
    (step,) = containers(pod_of(member(cluster={"gpus": 1}, **how)))
    here = train_command([MEMBER], STORE, study(**how).run)
    trial = trial_command(f"tiny/{RUN}", "single", Proposal(0, (), ("wrn-10-1",), "t"), STORE, study(**how).run)
    for arguments in (step["args"], here, trial):
        assert [argument for argument in arguments if argument in ("--deterministic", "--compile")] == expected


def test_last_steps_run_one_after_the_other_each_in_its_image():
    job = answer_job(STORE, study(cluster={"gpus": 1, "queue": "research", "deadline_seconds": 77}), RUN, IMAGES)
    pod = pod_of(job)
    steps = containers(pod)
    assert [(s["name"], s["image"], s["args"][:4]) for s in steps] == [
        ("predict", IMAGES.torch, ["predict", f"tiny/{RUN}", "--store", STORE]),
        ("evaluate", IMAGES.plain, ["evaluate", f"tiny/{RUN}", "--store", STORE]),
        ("report", IMAGES.plain, ["report", f"tiny/{RUN}", "--store", STORE])]
    assert ["nvidia.com/gpu" in s["resources"]["limits"] for s in steps] == [True, True, False]
    assert job["spec"]["activeDeadlineSeconds"] == 77
    assert job["metadata"]["labels"][names.QUEUE_LABEL] == "research"
    assert (pod["serviceAccountName"], pod["restartPolicy"]) == (names.MEMBER_ACCOUNT, "Never")


def test_launching_job_has_a_token_and_waits_in_no_queue():
    job = launch_job(STORE, study(cluster={"gpus": 1, "queue": "research", "spot": "gke"}), RUN, IMAGES)
    pod = pod_of(job)
    step, = pod["containers"]
    assert step["args"] == ["run", f"tiny/{RUN}", "--target", "cluster", "--store", STORE]
    assert step["image"] == IMAGES.plain
    assert (pod["serviceAccountName"], pod["automountServiceAccountToken"]) == (names.LAUNCHER_ACCOUNT, True)
    assert names.QUEUE_LABEL not in job["metadata"]["labels"]
    assert "nodeSelector" not in pod
    env = {e["name"]: e.get("value") or e["valueFrom"]["fieldRef"]["fieldPath"] for e in step["env"]}
    assert (env["CONSORT_IMAGE"], env["CONSORT_TORCH_IMAGE"], env["POD_NAME"]) == (
        IMAGES.plain, IMAGES.torch, "metadata.name")


def test_cron_job_grows_the_study_one_run_at_a_time():
    cron = cron_job(STORE, study(), RUN, IMAGES, "0 3 * * 1")
    assert cron["metadata"]["name"] == "tiny"
    spec = cron["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("0 3 * * 1", "Etc/UTC", "Forbid")
    assert "--grow" in pod_of(cron)["containers"][0]["args"]
    assert cron["metadata"]["labels"][names.SPEC_HASH_LABEL] == names.spec_hash(cron)
    assert spec["jobTemplate"]["metadata"]["labels"][names.COMPONENT_LABEL] == "launcher"


def all_errors(kind: type[errors.ConsortError] = errors.ConsortError) -> Iterator[type[errors.ConsortError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from all_errors(inner)


def test_jobs_try_again_after_just_the_exit_codes_that_a_retry_can_help():
    own = {e.exit_code for e in all_errors()}
    assert {code for code in own if code < 128} <= set(FINAL_EXIT_CODES)
    assert not set(FINAL_EXIT_CODES) & {code for code in own if code >= 128}
    for job in (answer_job(STORE, study(), RUN, IMAGES), launch_job(STORE, study(), RUN, IMAGES)):
        ignored, final = job["spec"]["podFailurePolicy"]["rules"]
        assert (ignored["action"], ignored["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
        assert (final["action"], final["onExitCodes"]) == ("FailJob", {"operator": "In", "values": FINAL_EXIT_CODES})
        assert job["spec"]["backoffLimit"] > 0


def test_images_are_the_studys_then_the_environments_then_the_published():
    named = study(cluster={"image": "a:1", "torch_image": "b:1"}).cluster
    assert Images.of(named, "c:1", "d:1") == Images("a:1", "b:1")
    assert Images.of(study().cluster, "c:1", "d:1") == Images("c:1", "d:1")
    assert re.fullmatch(r"docker\.io/consort/consort:\d.*", Images.of(study().cluster).plain)
    assert re.fullmatch(r"docker\.io/consort/consort-torch:\d.*", Images.of(study().cluster).torch)
