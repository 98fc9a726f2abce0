"""predict_members: the logits and latencies that are missing."""

from kfp import dsl

from consort_components.images import CONSORT_TORCH_IMAGE


@dsl.component(base_image=CONSORT_TORCH_IMAGE, install_kfp_package=False)
def predict_members(run: str, store: str = "", recompute: bool = False) -> None:
    """Write what finished members of a run lack: logits, further test sets, latencies on this hardware.

    recompute: predict everything again and compare; the step fails where weights and stored logits disagree."""
    from consort_components.command import at, consort

    consort("predict", run, *at(store), *(["--recompute"] if recompute else []))
