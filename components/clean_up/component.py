"""clean_up: nothing of this pipeline's run goes on training when its steps have ended."""

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def clean_up(target: str = "cluster") -> None:
    """End jobs that this pipeline's run alone owns, and jobs whose owner has ended."""
    from consort_components.command import consort

    if target == "cluster":
        consort("gc", "--own")
