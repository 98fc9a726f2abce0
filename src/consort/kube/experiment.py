"""A search as Katib Experiments: one for each arm, whose trials are jobs that run `consort trial`."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from consort.documents import sha256
from consort.errors import InputError
from consort.kube import member_job, names, pod, training
from consort.kube.experiment_rules import check_experiment
from consort.kube.images import Images
from consort.study.file import Study
from consort.study.search import Search

API_VERSION = "kubeflow.org/v1beta1"
OBJECTIVE = "reward"
FURTHER_METRICS = ("accuracy", "latency_ms", "parallel_latency_ms", "serial_latency_ms", "macs", "params")
METRICS_FILE = "/var/log/katib/metrics.json"
"""Katib mounts a volume over its folder, which its collector reads when the trial has ended."""
CHOICES = "CONSORT_CHOICES"
OF_KATIB = "katib-"
"""A sampler of this prefix is one of Katib's own algorithms: katib-tpe is its tpe."""
OF_CONSORT = "consort-"
"""Katib's configuration has Consort's samplers under this prefix: manifests/components/katib-config."""
LONGEST_NAME, HASH_DIGITS = 40, 10
LEAST_SECONDS = 3
"""Katib's collector looks for the trial's process; one that ends within about a second has gone by then."""

# Katib wraps this in `sh -c "... && echo completed > $$.pid"`, so it is the shell that gets a pod's SIGTERM. It passes
# it on, waits until the state is saved, and ends with the trial's exit code: 143 makes the operator start a new pod.
# The metrics file is there from the start: Katib's collector takes half a processor while it looks for it.
_SCRIPT = (": >> {metrics}; trap 'kill -TERM $trial' TERM; "
           "{command} & trial=$!; sleep {least}; wait $trial; code=$?; "
           "while kill -0 $trial 2>/dev/null; do wait $trial; code=$?; done; (exit $code)")


def experiment(store_uri: str, study: Study, run: str, kind: str, sampler: str, images: Images) -> dict[str, Any]:
    """The Experiment of one arm, without owner. Raises InputError for what Katib cannot do.

    sampler: one of Consort's, or katib-<algorithm>.
    """
    search = _search(study)
    metadata: dict[str, Any] = {
        "name": experiment_name(study.name, run, kind, sampler),
        "labels": {**names.labels(names.SEARCH, study.name, run), names.ARM_LABEL: f"{kind}-{sampler}"},
        "annotations": {names.STORE_ANNOTATION: store_uri}}
    parameters = search.space(kind).parameters
    manifest = _typed({
        "apiVersion": API_VERSION,
        "kind": "Experiment",
        "metadata": metadata,
        "spec": {
            "objective": {"type": "maximize", "objectiveMetricName": OBJECTIVE,
                          "additionalMetricNames": list(FURTHER_METRICS),
                          # Katib would take the maximum of each metric, latencies too, where nothing is said.
                          "metricStrategies": [{"name": name, "value": "latest"}
                                               for name in (OBJECTIVE, *FURTHER_METRICS)]},
            "algorithm": {"algorithmName": algorithm_name(sampler), "algorithmSettings": _settings(search, sampler)},
            "parallelTrialCount": min(trials_at_a_time(study), search.trials),
            "maxTrialCount": search.trials,
            "maxFailedTrialCount": min(search.max_failures, search.trials),
            "resumePolicy": "Never",  # the suggestion service keeps nothing, so nothing of it has to stay
            "metricsCollectorSpec": {"collector": {"kind": "File"}, "source": {
                "fileSystemPath": {"kind": "File", "path": METRICS_FILE, "format": "JSON"}}},
            "parameters": [{"name": p.name, "parameterType": "categorical",
                            "feasibleSpace": {"list": list(p.choices)}} for p in parameters],
            "trialTemplate": {
                **training.MEMBER_JOB.trial_template,
                "retain": True,
                "trialParameters": [{"name": p.name, "reference": p.name} for p in parameters],
                "trialSpec": trial_job(store_uri, study, run, kind, images)}}})
    check_experiment(manifest)
    manifest["metadata"]["labels"][names.SPEC_HASH_LABEL] = names.spec_hash(_what_it_asks(manifest))
    return manifest


def experiments(store_uri: str, study: Study, run: str, images: Images, sampler: str | None = None) -> list[dict]:
    """The Experiments of all arms of a study; none where it has no search. sampler: another than the study's."""
    arms = study.search.arms(sampler) if study.search is not None else []
    return [experiment(store_uri, study, run, kind, name, images) for kind, name, _ in arms]


def trial_job(store_uri: str, study: Study, run: str, kind: str, images: Images) -> dict[str, Any]:
    """The trial template: a job without a name, its choices as placeholders that Katib fills in."""
    search, cluster = _search(study), study.cluster
    _check_trials(study)
    labels = names.labels(names.TRIAL, study.name, run)
    step = member_job.step_container(cluster, images, [])
    step["command"], step["args"] = ["sh", "-c"], [_script(store_uri, study, run, kind)]
    step["env"].append({"name": CHOICES, "value": " ".join(
        f"{p.name}=${{trialParameters.{p.name}}}" for p in search.space(kind).parameters)})
    return training.MEMBER_JOB.build({"labels": {**labels, **_queue(study)}}, cluster, labels, step)


def second_training_job(trial: str, kind: str, networks: Sequence[str], store_uri: str, study: Study, run: str,
                        images: Images) -> dict[str, Any]:
    """The job of a candidate's second training, named as its trial. Nothing samples it: Katib has no part in it."""
    _check_trials(study)
    labels = {**names.labels(names.TRIAL, study.name, run), names.ARM_LABEL: names.SECOND}
    step = member_job.step_container(study.cluster, images, [
        "trial", f"{study.name}/{run}", "--second", "--kind", kind, "--networks", ",".join(networks), "--store",
        store_uri, "--log", "json", *_how_to_train(study)])
    metadata = {"name": trial, "labels": {**labels, **_queue(study)},
                "annotations": {names.STORE_ANNOTATION: store_uri}}
    return names.with_spec_hash(training.MEMBER_JOB.build(metadata, study.cluster, labels, step))


def _check_trials(study: Study) -> None:
    """Raises InputError where trials on a cluster cannot be what the study asks."""
    search, cluster = _search(study), study.cluster
    if cluster.nodes * cluster.processes > 1:
        raise InputError(f"a trial of a search is one process of one pod: [cluster] nodes and processes are 1, got "
                         f"{cluster.nodes} and {cluster.processes}. Give trials more cpus or gpus instead.")
    if search.median_stopping:
        raise InputError("Katib counts a trial without metrics as failed, and a stopped one has none: [search] "
                         "median_stopping is for searches on one machine. Leave it out for a cluster.")


def experiment_name(study: str, run: str, kind: str, sampler: str) -> str:
    """At most 40 characters, a letter first: readable as far as there is room, with a hash over all of it."""
    digits = sha256(f"{study}/{run}/{kind}/{sampler}".encode())[:HASH_DIGITS]
    start = study if study[0].isalpha() else f"s-{study}"
    readable = f"{start}-{kind}-{sampler}"[:LONGEST_NAME - HASH_DIGITS - 1].rstrip("-")
    return f"{readable}-{digits}"


def algorithm_name(sampler: str) -> str:
    """What Katib's configuration calls a sampler."""
    return sampler.removeprefix(OF_KATIB) if sampler.startswith(OF_KATIB) else OF_CONSORT + sampler


def trials_at_a_time(study: Study) -> int:
    return _search(study).parallel or study.cluster.members_at_a_time


def _script(store_uri: str, study: Study, run: str, kind: str) -> str:
    command = ["consort", "trial", f"{study.name}/{run}", "--kind", kind, "--store", store_uri, "--log", "json",
               "--metrics", METRICS_FILE, *_how_to_train(study)]
    return _SCRIPT.format(metrics=METRICS_FILE, command=shlex.join(command), least=LEAST_SECONDS)


def _how_to_train(study: Study) -> list[str]:
    return [*member_job.checkpoint_arguments(study.run), *pod.images_arguments(study.cluster)]


def _queue(study: Study) -> dict[str, str]:
    return {names.QUEUE_LABEL: study.cluster.queue} if study.cluster.queue else {}


def _settings(search: Search, sampler: str) -> list[dict[str, str]]:
    """What the suggestion service is told. Katib's own algorithms get none: they refuse what they do not know."""
    if sampler.startswith(OF_KATIB):
        return []
    own = search.settings if sampler == search.sampler else {}
    objective = search.objective
    told = {**own, "seed": search.seed, "target_latency_ms": objective.target_latency_ms, "reward": objective.reward,
            "exponent": objective.exponent, "latency": objective.latency}
    return [{"name": name, "value": str(value)} for name, value in told.items() if value is not None]


def _what_it_asks(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Without what may be changed while it runs, so that a run with more trials at a time adopts it."""
    spec = {key: value for key, value in manifest["spec"].items() if key not in names.EDITABLE}
    return {**manifest, "spec": spec}


def _typed(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same, checked by the models that Katib's own SDK has; raises InputError where they are not installed."""
    try:
        from kubeflow_katib_api.models import V1beta1Experiment  # it takes half a second to import
    except ImportError as e:
        raise InputError(f"Katib's Experiments need {e.name}: pip install 'consort[cluster,search]'.") from e
    try:
        checked = V1beta1Experiment.from_dict(manifest)
    except ValidationError as e:
        raise InputError(f"this is no Experiment of Katib: {e}") from e
    assert checked is not None
    return dict(checked.to_dict())


def _search(study: Study) -> Search:
    if study.search is None:
        raise InputError(f"the study {study.name} has no [search], so there is no Experiment of it.")
    return study.search
