"""Every kind of job that trains keeps what `TrainingJob` promises."""

import pytest

from consort.cluster.kinds import KINDS as KNOWN
from consort.cluster.reap import JOB_KINDS, KEPT
from consort.kube.images import Images
from consort.kube.member_job import step_container
from consort.kube.pytorch_job import JOB_LABEL, ROLE_LABEL, PyTorchJob
from consort.kube.training import KINDS, TrainingJob
from consort.study.execution import Cluster

LABELS = {"consort.dev/member": "wrn-16-1-s0-f6b0de0c21"}


def built(kind: TrainingJob, **settings: int) -> dict:
    cluster = Cluster(**settings)
    step = step_container(cluster, Images("p", "t"), ["x"])
    return kind.build({"name": "a", "labels": LABELS}, cluster, LABELS, step)


@pytest.fixture(params=sorted(KINDS))
def kind(request) -> TrainingJob:
    return KINDS[request.param]


def test_a_job_says_what_it_is_and_runs_the_step_in_every_pod(kind):
    for nodes in (1, 3):
        job = built(kind, nodes=nodes)
        assert (job["apiVersion"], job["kind"]) == (kind.api_version, kind.kind)
        assert job["metadata"] == {"name": "a", "labels": LABELS}
        containers = kind.containers(job)
        assert containers and {c["name"] for c in containers} == {kind.container}
        assert all(c["args"] == ["x"] and c["command"] == ["consort"] for c in containers)
        assert kind.status(job).state == "waiting"


def test_only_one_process_of_one_pod_can_be_a_trial(kind):
    assert list(kind.not_one_process(built(kind))) == []
    assert list(kind.not_one_process(built(kind, nodes=2)))
    assert list(kind.not_one_process(built(kind, processes=2)))
    assert list(kind.not_one_process({}))
    assert kind.trial_template["primaryContainerName"] == kind.container
    assert {"primaryPodLabels", "successCondition", "failureCondition"} < kind.trial_template.keys()


def test_what_ends_and_follows_jobs_knows_the_kind(kind):
    assert (KNOWN[kind.kind].api_version, KNOWN[kind.kind].plural) == (kind.api_version, kind.plural)
    assert KNOWN[kind.kind].brought_by.startswith("install ")
    assert kind.kind in JOB_KINDS and KEPT[kind.kind] == ("failed",)


@pytest.mark.parametrize(("labels", "leads"), [
    ({JOB_LABEL: "a", ROLE_LABEL: "master"}, "a"), ({JOB_LABEL: "a", ROLE_LABEL: "worker"}, None),
    ({ROLE_LABEL: "worker"}, None), ({"job-name": "a"}, None), (None, None)])
def test_the_master_leads_a_pytorch_job(labels, leads):
    metadata = {"name": "a-master-0"} if labels is None else {"name": "a-master-0", "labels": labels}
    assert PyTorchJob().led_by({"metadata": metadata}) == leads
    assert PyTorchJob().pods_of("a") == f"{JOB_LABEL}=a"
