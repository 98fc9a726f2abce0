"""confirm_answer: a run that looks green has an answer, and no member is missing."""

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def confirm_answer(run: str, store: str = "") -> None:
    """Fail where a run was not evaluated (exit code 2), or where a member is missing (4)."""
    from consort_components.command import at, consort, consort_json

    consort("report", run, *at(store))
    members = consort_json("plan", run, "--json", *at(store))["members"]
    missing = [f"{member['id']}: {member['state']}" for member in members if member["state"] != "done"]
    if missing:
        print(f"{len(missing)} of {len(members)} members of {run} are missing:", *missing, sep="\n  ")
        raise SystemExit(4)
    print(f"{run} is complete: {len(members)} members")
