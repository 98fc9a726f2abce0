"""What Katib wants of an Experiment, and what makes its trials' metrics arrive: one function for each rule.

The validator of Katib 0.19 (pkg/webhook/v1beta1/experiment/validator/validator.go) refuses some of it when the
Experiment is created; the rest shows only in trials that hang, fail, or have the wrong numbers.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from consort.errors import InputError
from consort.kube.training import MEMBER_JOB

Spec = Mapping[str, Any]
LONGEST_NAME, LONGEST_SERVICE_NAME = 40, 63
RESUME_POLICIES = ("Never", "LongRunning", "FromVolume")
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_PLACEHOLDER = re.compile(r"\$\{trialParameters\.(.+?)\}")


def check_experiment(experiment: Mapping[str, Any]) -> None:
    """Raises InputError with every rule that the Experiment breaks."""
    name = experiment["metadata"].get("name", "")
    broken = [text for rule in RULES for text in rule(name, experiment["spec"])]
    if broken:
        raise InputError("\n".join(f"Experiment {name}: {text}" for text in broken))


def _name(name: str, spec: Spec) -> Iterator[str]:
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        yield (f"its name has at most {LONGEST_NAME} characters, a small letter first, then letters, digits and '-'; "
               f"this one has {len(name)}")


def _service_name(name: str, spec: Spec) -> Iterator[str]:
    service = f"{name}-{spec['algorithm']['algorithmName']}"
    if len(service) > LONGEST_SERVICE_NAME:
        yield (f"Katib names the suggestion's Service {service}, and a Service's name has at most "
               f"{LONGEST_SERVICE_NAME} characters")


def _counts(name: str, spec: Spec) -> Iterator[str]:
    most = spec.get("maxTrialCount", 0)
    for count, least in (("parallelTrialCount", 1), ("maxFailedTrialCount", 0), ("maxTrialCount", 1)):
        if not least <= spec.get(count, -1) <= most:
            yield f"{count} is {least} to maxTrialCount, got {spec.get(count)} of {most}"


def _metrics(name: str, spec: Spec) -> Iterator[str]:
    objective = spec["objective"]
    further = objective.get("additionalMetricNames", [])
    if objective.get("type") not in ("maximize", "minimize") or not objective.get("objectiveMetricName"):
        yield "its objective has a type, maximize or minimize, and an objectiveMetricName"
    if objective.get("objectiveMetricName") in further:
        yield "additionalMetricNames has the objective too"
    wanted = {objective.get("objectiveMetricName"), *further}
    given = [strategy["name"] for strategy in objective.get("metricStrategies", [])]
    if sorted(given) != sorted(wanted):
        yield ("metricStrategies has one entry for every metric, since Katib takes the maximum of those that are left "
               f"out; got {', '.join(given) or 'none'}")


def _parameters(name: str, spec: Spec) -> Iterator[str]:
    if not spec.get("parameters"):
        yield "it has parameters"
    for parameter in spec.get("parameters", []):
        choices = parameter.get("feasibleSpace", {})
        if parameter.get("parameterType") != "categorical" or not choices.get("list") or choices.keys() & {
                "min", "max", "step"}:
            yield f"the parameter {parameter['name']} is categorical, with a list and nothing else"


def _trial_parameters(name: str, spec: Spec) -> Iterator[str]:
    """Katib refuses unknown and unused ones, and no trial starts where a parameter has no trialParameter."""
    template = spec["trialTemplate"]
    listed = template.get("trialParameters", [])
    named, references = ([p.get(key) for p in listed] for key in ("name", "reference"))
    known = [p["name"] for p in spec.get("parameters", [])]
    placeholders = set(_PLACEHOLDER.findall(json.dumps(template.get("trialSpec"))))
    if len(set(named)) != len(named) or len(set(references)) != len(references):
        yield "trialParameters have names and references of their own"
    for text, found in (("refer to parameters that it has", set(references) - set(known)),
                        ("refer to every parameter", set(known) - set(references)),
                        ("are all used in the trialSpec", set(named) - placeholders),
                        ("are there for every placeholder of the trialSpec", placeholders - set(named))):
        if found:
            yield f"trialParameters {text}; not so for {', '.join(sorted(map(str, found)))}"


def _trial_metadata(name: str, spec: Spec) -> Iterator[str]:
    job = spec["trialTemplate"].get("trialSpec", {})
    if job.get("metadata", {}).keys() & {"name", "namespace"}:
        yield "the trialSpec has no metadata.name and no metadata.namespace: Katib sets them"
    if (job.get("apiVersion"), job.get("kind")) != (MEMBER_JOB.api_version, MEMBER_JOB.kind):
        yield (f"the trialSpec is a {MEMBER_JOB.kind} of {MEMBER_JOB.api_version}, got {job.get('kind')} of "
               f"{job.get('apiVersion')}")


def _one_process(name: str, spec: Spec) -> Iterator[str]:
    yield from MEMBER_JOB.not_one_process(spec["trialTemplate"].get("trialSpec", {}))


def _conditions(name: str, spec: Spec) -> Iterator[str]:
    template = spec["trialTemplate"]
    for key in ("successCondition", "failureCondition", "primaryPodLabels"):
        if not template.get(key):
            yield f"the trialTemplate has {key}"


def _retained(name: str, spec: Spec) -> Iterator[str]:
    if spec["trialTemplate"].get("retain") is not True:
        yield "the trialTemplate has retain: true, since Katib otherwise deletes a trial's job and log as it ends"


def _primary_container(name: str, spec: Spec) -> Iterator[str]:
    wanted = spec["trialTemplate"].get("primaryContainerName")
    if wanted != MEMBER_JOB.container or not any(c["name"] == wanted for c in _containers(spec)):
        yield (f"primaryContainerName is {MEMBER_JOB.container}, as the operator wants it, and the trialSpec has it; "
               f"got {wanted}")


def _command(name: str, spec: Spec) -> Iterator[str]:
    """Without a command Katib asks the image's registry; what is not sh -c it joins by spaces, unquoted."""
    for container in _containers(spec):
        command, args = container.get("command"), container.get("args") or []
        if not command:
            yield f"the container {container['name']} has an explicit command"
        elif command not in (["sh", "-c"], ["bash", "-c"]) or len(args) != 1:
            yield (f"the command of {container['name']} is [sh, -c] with one text in args, since Katib joins others by "
                   f"spaces, unquoted; got {command} with {len(args)}")
        elif args[0] != args[0].rstrip():
            yield (f"the command of {container['name']} ends without a newline: what Katib appends would be a command "
                   "of its own")


def _collector(name: str, spec: Spec) -> Iterator[str]:
    collector = spec.get("metricsCollectorSpec", {})
    source = collector.get("source", {})
    file = source.get("fileSystemPath", {})
    if collector.get("collector", {}).get("kind") != "File" or file.get("kind") != "File":
        yield "its metrics collector is of the kind File, and so is the path that it reads"
    if file.get("format") != "JSON" or source.get("filter"):
        yield "its metrics file has the format JSON, and no filter"
    path = file.get("path", "")
    if not path.startswith("/"):
        yield f"its metrics file is an absolute path, got {path!r}"
    for container in _containers(spec):
        if path and not any(path in text for text in container.get("args") or []):
            yield f"the command of {container['name']} writes {path}, which the collector reads"
        if any(path.startswith(f"{mount['mountPath']}/") for mount in container.get("volumeMounts", [])):
            yield f"no volume of the trialSpec is mounted over {path}: Katib mounts its own there"


def _resume_policy(name: str, spec: Spec) -> Iterator[str]:
    if spec.get("resumePolicy") not in RESUME_POLICIES:
        yield f"resumePolicy is one of {', '.join(RESUME_POLICIES)}, got {spec.get('resumePolicy')}"


def _containers(spec: Spec) -> list[dict[str, Any]]:
    return MEMBER_JOB.containers(spec["trialTemplate"].get("trialSpec", {}))


RULES: tuple[Callable[[str, Spec], Iterator[str]], ...] = (
    _name, _service_name, _counts, _metrics, _parameters, _trial_parameters, _trial_metadata, _one_process, _conditions,
    _retained, _primary_container, _command, _collector, _resume_policy)
