"""train_member: one member, or the members of a pack, trained as a PyTorchJob that this step starts and follows."""

from typing import NamedTuple

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def train_member(
    member: str, run: str, metrics: dsl.Output[dsl.Metrics], store: str = "", target: str = "cluster",
) -> NamedTuple("Trained", [("job", str)]):
    """Train a member, or adopt its job; returns the name of the PyTorchJob. target "local" trains in this process.

    member: a member's id, or the ids of members that share a job, with commas between them.
    """
    from collections import namedtuple

    from consort.kube.names import members_job_name
    from consort_components.command import at, consort, consort_json

    pack = member.split(",")
    named = [argument for one in pack for argument in ("--member", one)]
    commands = {"cluster": ["launch", *named, "--run", run], "local": ["train", *named]}
    if target not in commands:
        raise SystemExit(f"target is cluster or local, got {target!r}.")
    consort(*commands[target], *at(store))
    metrics.metadata["member"] = ", ".join(pack)  # KFP's Compare page names every column alike: this says whose it is
    for one in pack:
        record = consort_json("show", one, *at(store))
        of_pack = f"_{one}" if len(pack) > 1 else ""
        for name in ("val_accuracy", "macs", "train_seconds", "attempts"):
            metrics.log_metric(f"{name}{of_pack}", record[name])
    return namedtuple("Trained", ["job"])(members_job_name(pack) if target == "cluster" else "")
