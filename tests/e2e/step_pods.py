"""The steps of a compiled package as pods, made as KFP 2.17's driver makes them (without its launcher around the
command, and with a Job in place of the Workflow as the pod's controller)."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cluster_namespace import plain_image
from kfp_package import Ended, Package
from place import Place

from consort.kube import names

OUTPUTS = "/minio"
"""KFP mounts an emptyDir here, and names outputs by minio:// addresses that the kfp package takes for paths below."""
SHOW_OUTPUTS = f"""
import hashlib, json, pathlib
files = [f for f in pathlib.Path("{OUTPUTS}").rglob("*") if f.is_file()]
text = [f.read_text() for f in files if f.name == "output_metadata.json"]
print(json.dumps({{"metadata": json.loads(text[0]) if text else {{}},
                   "files": {{f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}}}}))
"""


@dataclass(frozen=True)
class StepPods:
    place: Place
    package: Package
    run_id: str = field(default_factory=lambda: secrets.token_hex(4))

    def run(self, step: str, inputs: Mapping[str, Any]) -> Ended:
        return self.end(self.start(step, inputs))

    def start(self, step: str, inputs: Mapping[str, Any]) -> str:
        """Returns the name of the step's Job."""
        name = f"{step}-{secrets.token_hex(4)}"
        self.place.kubectl("create", "-f", "-", text=json.dumps(self._job(name, step, inputs)))
        return name

    def end(self, name: str, seconds: float = 300) -> Ended:
        """The step when it has ended, well or not."""
        self.place.wait_for(f"the end of {name}", lambda: self.ended(name), seconds)
        step = name.rpartition("-")[0]
        [pod] = self.place.namespace.get("pods", f"--selector={names.JOB_LABEL}={name}")["items"]
        log = self.place.kubectl("logs", pod["metadata"]["name"], "-c", "main")
        code = pod["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"]
        if code:
            return Ended(step, code, log)
        shown = json.loads(self.place.kubectl("logs", pod["metadata"]["name"], "-c", "outputs"))
        artifacts = shown["metadata"].get("artifacts", {})
        return Ended(step, code, log, shown["metadata"].get("parameterValues", {}),
                     {n: a["artifacts"][0].get("metadata", {}) for n, a in artifacts.items()}, shown["files"])

    def ended(self, name: str) -> bool:
        conditions = self.place.namespace.get("job", name)["status"].get("conditions", [])
        return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)

    def terminate(self, name: str) -> None:
        """End a running step as KFP's Terminate does, by a deadline that has passed.

        The container's first process is a shell that passes no SIGTERM on, so the step has no time to clean up."""
        self.place.kubectl("patch", "job", name, "--patch", json.dumps({"spec": {"activeDeadlineSeconds": 1}}))
        self.place.wait_for(f"the end of {name}", lambda: self.ended(name))

    def _job(self, name: str, step: str, inputs: Mapping[str, Any]) -> dict:
        """The step is an init container, so that a second container can show its outputs when it succeeded."""
        mounts = [{"name": "outputs", "mountPath": OUTPUTS}]
        show = {"name": "outputs", "image": plain_image(), "command": ["python", "-c", SHOW_OUTPUTS],
                "securityContext": _restricted({"runAsNonRoot": True}), "volumeMounts": mounts}
        spec = {"serviceAccountName": names.LAUNCHER_ACCOUNT, "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 1, "volumes": [{"name": "outputs", "emptyDir": {}}],
                "initContainers": [{**self._container(step, inputs), "volumeMounts": mounts}], "containers": [show]}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
                "spec": {"backoffLimit": 0, "template": {"spec": spec}}}

    def _container(self, step: str, inputs: Mapping[str, Any]) -> dict:
        given, settings = self.package.container(step), self.package.pod_settings(step)
        executor_input = json.dumps(self._executor_input(step, inputs))
        user = {key: value if isinstance(value, bool) else int(value)
                for key, value in settings["securityContext"].items()}
        return {"name": "main", "image": given["image"], "imagePullPolicy": settings["imagePullPolicy"],
                "command": [part.replace("{{$}}", executor_input) for part in given["command"]],
                "args": [part.replace("{{$}}", executor_input) for part in given["args"]],
                "env": [*_environment(settings), *given.get("env", [])], "securityContext": _restricted(user)}

    def _executor_input(self, step: str, inputs: Mapping[str, Any]) -> dict:
        """What stands for '{{$}}': KFP's ExecutorInput."""
        defined = self.package.component(step).get("outputDefinitions", {})
        folder = f"mlpipeline/v2/artifacts/{self.package.pipeline['pipelineInfo']['name']}/{self.run_id}/{step}/salt"
        artifacts = {name: {"artifacts": [{"name": name, "type": artifact["artifactType"],
                                           "uri": f"minio://{folder}/{name}"}]}
                     for name, artifact in defined.get("artifacts", {}).items()}
        parameters = {name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in defined.get("parameters", {})}
        return {"inputs": {"parameterValues": dict(inputs)},
                "outputs": {"artifacts": artifacts, "parameters": parameters,
                            "outputFile": f"{OUTPUTS}/{folder}/output_metadata.json"}}


def _restricted(user: dict) -> dict:
    """A container's security context: the package's user, and what KFP adds to every step."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"}, **user}


def _environment(settings: dict) -> list[dict]:
    """The environment that a package's settings for Kubernetes ask for."""
    variables = [{"name": path["name"], "valueFrom": {"fieldRef": {"fieldPath": path["fieldPath"]}}}
                 for path in settings["fieldPathAsEnv"]]
    for map_ in settings["configMapAsEnv"]:
        variables += [_reference("configMapKeyRef", map_["configMapName"], map_["optional"], key["envVar"],
                                 key["configMapKey"]) for key in map_["keyToEnv"]]
    for secret in settings["secretAsEnv"]:
        variables += [_reference("secretKeyRef", secret["secretName"], secret["optional"], key["envVar"],
                                 key["secretKey"]) for key in secret["keyToEnv"]]
    return variables


def _reference(kind: str, name: str, optional: bool, variable: str, key: str) -> dict:
    return {"name": variable, "valueFrom": {kind: {"name": name, "key": key, "optional": optional}}}
