"""A trial as Katib 0.19 makes it of an Experiment, on a cluster that has no Katib.

Its controller fills the placeholders in the template's JSON and names the job; its webhook mounts a volume for the
metrics, appends a marker to the command, and adds a collector to the pod, which here only prints the file.
"""

import json
from collections.abc import Mapping
from typing import Any

from cluster_namespace import plain_image

from consort.kube.experiment import METRICS_FILE

FOLDER = METRICS_FILE.rpartition("/")[0]
COLLECTOR = "metrics-logger-and-collector"
PRINT = f"until grep -q completed {FOLDER}/*.pid 2>/dev/null; do sleep 0.5; done; cat {METRICS_FILE}"


def trial_job(experiment: Mapping[str, Any], name: str, assignments: Mapping[str, str]) -> dict[str, Any]:
    """The PyTorchJob of one trial."""
    template = experiment["spec"]["trialTemplate"]
    text = json.dumps(template["trialSpec"])
    for parameter in template["trialParameters"]:
        text = text.replace(f"${{trialParameters.{parameter['name']}}}", assignments[parameter["reference"]])
    job = json.loads(text)
    job["metadata"]["name"] = name
    pod = job["spec"]["pytorchReplicaSpecs"]["Master"]["template"]["spec"]
    primary = next(c for c in pod["containers"] if c["name"] == template["primaryContainerName"])
    primary["args"] = [f"{primary['args'][0]} && echo completed > {FOLDER}/$$$$.pid"]
    mount = {"name": "metrics-volume", "mountPath": FOLDER}
    primary["volumeMounts"].append(mount)
    collector = {"name": COLLECTOR, "image": plain_image(), "command": ["sh", "-c", PRINT], "volumeMounts": [mount],
                 "securityContext": primary["securityContext"],  # what injectSecurityContext does
                 "resources": {"requests": {"cpu": "50m", "memory": "10Mi"}, "limits": {"memory": "100Mi"}}}
    pod["containers"].append(collector)
    pod["volumes"].append({"name": "metrics-volume", "emptyDir": {}})
    pod["shareProcessNamespace"] = True
    return job
