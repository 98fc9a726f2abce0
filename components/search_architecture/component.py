"""search_architecture: the trials of a search, led by Katib, and the study that trains its winners again."""

from typing import NamedTuple

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def search_architecture(
    run: str, metrics: dsl.Output[dsl.Metrics], store: str = "", target: str = "cluster", sampler: str = "",
) -> NamedTuple("Found", [("run", str), ("members", list)]):
    """Search, or adopt the search that runs; returns the winners' study and its members that are not done.

    sampler: katib-<algorithm> for one of Katib's own. target "local" trains trials in this step.
    """
    from collections import namedtuple

    from consort_components.command import at, consort, consort_json

    options = [*(["--sampler", sampler] if sampler else []), *at(store)]
    consort("search", run, "--target", target, "--only", "search", *options)
    found = consort_json("winners", run, "--json", *options)
    for winner in found["winners"]:
        metrics.metadata[f"{winner['kind']}_networks"] = " + ".join(winner["networks"])
        for name in ("reward", "accuracy", "latency_ms"):
            metrics.log_metric(f"{winner['kind']}_{name}", winner[name])
        print(f"{winner['kind']}: {metrics.metadata[winner['kind'] + '_networks']}")
    return namedtuple("Found", ["run", "members"])(found["ref"], [",".join(pack) for pack in found["packs"]])
