"""A compiled package of Kubeflow Pipelines, and what KFP's server makes of it: which step runs when, with which inputs.

Knows what the packages of this repository use: nested DAGs, loops over a list, an exit task, parameters from the
pipeline's inputs and from outputs of tasks. Anything else in a package is an error.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

EXIT_TASK = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


@dataclass(frozen=True)
class Package:
    pipeline: dict
    kubernetes: dict[str, dict]
    """Executor -> what its pod has on Kubernetes: environment, user, image pull policy."""

    @classmethod
    def read(cls, path: Path) -> "Package":
        pipeline, platform = yaml.safe_load_all(path.read_text())
        return cls(pipeline, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"])

    def component(self, step: str) -> dict:
        return self.pipeline["components"][f"comp-{step}"]

    def container(self, step: str) -> dict:
        """Image, command and arguments, as the package has them; '{{$}}' stands for the executor's input."""
        return self.pipeline["deploymentSpec"]["executors"][self.component(step)["executorLabel"]]["container"]

    def pod_settings(self, step: str) -> dict:
        return self.kubernetes[self.component(step)["executorLabel"]]


@dataclass(frozen=True)
class Ended:
    """A step that has ended."""

    step: str
    exit_code: int
    log: str
    parameters: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, dict] = field(default_factory=dict)
    """Output artifact -> its metadata; of metrics, the metrics."""
    files: dict[str, str] = field(default_factory=dict)
    """Name of a file that the step wrote (an artifact's is the artifact's name) -> its sha256."""


RunStep = Callable[[str, Mapping[str, Any]], Ended]
"""Runs a step (train-member, ...) with the values of its input parameters."""


@dataclass
class Walk:
    """One run of a package's pipeline. steps: those that ran, in the order in which they ended."""

    package: Package
    run_step: RunStep
    steps: list[Ended] = field(default_factory=list)

    def run(self, **inputs: Any) -> bool:
        """Whether the run ended well."""
        return self._dag(self.package.pipeline["root"], inputs)

    def of(self, step: str) -> list[Ended]:
        return [ended for ended in self.steps if ended.step == step]

    def _dag(self, component: dict, given: Mapping[str, Any]) -> bool:
        """Run the tasks one after the other; the end of an exit task counts for nothing, as on KFP's server."""
        tasks = component["dag"]["tasks"]
        values = {**_defaults(component), **given}
        outputs: dict[str, dict[str, Any]] = {}
        well: dict[str, bool] = {}
        for name in TopologicalSorter({n: t.get("dependentTasks", []) for n, t in tasks.items()}).static_order():
            task, exits = tasks[name], tasks[name].get("triggerPolicy") == EXIT_TASK
            assert exits or "triggerPolicy" not in task, f"{name}: {task['triggerPolicy']} is not known here"
            if exits or all(well[before] for before in task.get("dependentTasks", [])):
                ended = self._task(task, values, outputs)
                outputs[name] = ended.parameters if isinstance(ended, Ended) else {}
                well[name] = exits or (ended.exit_code == 0 if isinstance(ended, Ended) else ended)
            else:
                well[name] = False
        return all(well.values())

    def _task(self, task: dict, values: Mapping[str, Any], outputs: Mapping[str, dict]) -> Ended | bool:
        name = task["componentRef"]["name"].removeprefix("comp-")
        component = self.package.component(name)
        inputs = _defaults(component)
        loop = task.get("parameterIterator", {"itemInput": ""})
        for parameter, source in task.get("inputs", {}).get("parameters", {}).items():
            inputs[parameter] = _resolve(source, values, outputs)
        if "items" in loop:
            items = inputs[loop["items"]["inputParameter"]]
            with ThreadPoolExecutor(task["iteratorPolicy"]["parallelismLimit"]) as threads:
                return all(threads.map(lambda item: self._dag(component, {**inputs, loop["itemInput"]: item}), items))
        if "dag" in component:
            return self._dag(component, inputs)
        ended = self.run_step(name, inputs)
        self.steps.append(ended)
        return ended


def _defaults(component: dict) -> dict[str, Any]:
    defined = component.get("inputDefinitions", {}).get("parameters", {})
    return {name: parameter["defaultValue"] for name, parameter in defined.items() if "defaultValue" in parameter}


def _resolve(source: dict, values: Mapping[str, Any], outputs: Mapping[str, dict]) -> Any:
    if (name := source.get("componentInputParameter")) is not None:
        return values[name]
    return outputs[source["taskOutputParameter"]["producerTask"]][source["taskOutputParameter"]["outputParameterKey"]]
