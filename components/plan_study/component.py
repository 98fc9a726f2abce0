"""plan_study: a study becomes a run with members."""

from typing import NamedTuple

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def plan_study(
    study: str, store: str = "", grow: bool = False,
) -> NamedTuple("Planned", [("run", str), ("members", list)]):
    """Plan a study (TOML text, or NAME/RUN of a planned one); returns NAME/RUN and the members that are not done.

    Those that share a job are one item of the list, with commas between them.
    """
    from collections import namedtuple

    from consort_components.command import at, consort_json, study_argument

    options = ["--grow"] if grow else []
    planned = consort_json("plan", study_argument(study), "--json", *options, *at(store))
    packs = planned["packs"]
    print(f"{planned['ref']}: {sum(map(len, packs))} of {len(planned['members'])} members are not done")
    return namedtuple("Planned", ["run", "members"])(planned["ref"], [",".join(pack) for pack in packs])
