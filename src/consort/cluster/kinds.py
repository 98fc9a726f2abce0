"""The kinds of objects that Consort speaks of, and where the API server keeps them."""

from dataclasses import dataclass

from consort.kube import training


@dataclass(frozen=True)
class Kind:
    """A namespaced kind. brought_by: what to install where the server does not know it."""

    api_version: str
    plural: str
    brought_by: str = ""

    def collection(self, namespace: str) -> str:
        """The path of all objects of this kind in the namespace."""
        root = "/apis" if "/" in self.api_version else "/api"
        return f"{root}/{self.api_version}/namespaces/{namespace}/{self.plural}"


KINDS = {
    **{name: Kind(job.api_version, job.plural, job.brought_by) for name, job in training.KINDS.items()},
    "Experiment": Kind("kubeflow.org/v1beta1", "experiments", "install Katib"),
    "Trial": Kind("kubeflow.org/v1beta1", "trials", "install Katib"),
    "Suggestion": Kind("kubeflow.org/v1beta1", "suggestions", "install Katib"),
    "Job": Kind("batch/v1", "jobs"),
    "CronJob": Kind("batch/v1", "cronjobs"),
    "Pod": Kind("v1", "pods"),
    "ConfigMap": Kind("v1", "configmaps"),
    "Secret": Kind("v1", "secrets"),
    "ServiceAccount": Kind("v1", "serviceaccounts"),
    "Event": Kind("v1", "events"),
    "Workflow": Kind("argoproj.io/v1alpha1", "workflows", "install Argo Workflows, which Kubeflow Pipelines brings"),
}


def kind_named(name: str) -> Kind:
    """Raises ValueError for a kind that Consort never speaks of."""
    if name not in KINDS:
        raise ValueError(f"unknown kind {name!r}; known: {', '.join(sorted(KINDS))}")
    return KINDS[name]
