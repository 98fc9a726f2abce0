"""plan_study: a study becomes a run with members."""

from typing import NamedTuple

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def plan_study(
    study: str, store: str = "", grow: bool = False,
) -> NamedTuple("Planned", [("run", str), ("members", list)]):
    """Plan a study (TOML text, or NAME/RUN of a planned one); returns NAME/RUN and the members that are not done."""
    from collections import namedtuple

    from consort_components.command import at, consort_json, study_argument

    options = ["--grow"] if grow else []
    planned = consort_json("plan", study_argument(study), "--json", *options, *at(store))
    todo = [member["id"] for member in planned["members"] if member["state"] in ("to train", "failed")]
    print(f"{planned['ref']}: {len(todo)} of {len(planned['members'])} members are not done")
    return namedtuple("Planned", ["run", "members"])(planned["ref"], todo)
