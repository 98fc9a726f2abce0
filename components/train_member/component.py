"""train_member: one member, trained as a PyTorchJob that this step starts and follows."""

from typing import NamedTuple

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def train_member(
    member: str, run: str, metrics: dsl.Output[dsl.Metrics], store: str = "", target: str = "cluster",
) -> NamedTuple("Trained", [("job", str)]):
    """Train a member, or adopt its job; returns the name of the PyTorchJob. target "local" trains in this process."""
    from collections import namedtuple

    from consort.kube.names import member_job_name
    from consort_components.command import at, consort, consort_json

    commands = {"cluster": ["launch", "--member", member, "--run", run], "local": ["train", "--member", member]}
    if target not in commands:
        raise SystemExit(f"target is cluster or local, got {target!r}.")
    consort(*commands[target], *at(store))
    record = consort_json("show", member, *at(store))
    metrics.metadata["member"] = member  # KFP's Compare page names every column alike: this row says whose it is
    metrics.log_metric("val_accuracy", record["val_accuracy"])
    metrics.log_metric("macs", record["macs"])
    metrics.log_metric("train_seconds", record["train_seconds"])
    metrics.log_metric("attempts", record["attempts"])
    return namedtuple("Trained", ["job"])(member_job_name(member) if target == "cluster" else "")
