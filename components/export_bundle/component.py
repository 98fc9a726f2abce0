"""export_bundle: what a run recommends as a folder that runs, which is a Model of KFP too."""

from kfp import dsl

from consort_components.images import CONSORT_TORCH_IMAGE


@dsl.component(base_image=CONSORT_TORCH_IMAGE, install_kfp_package=False)
def export_bundle(run: str, bundle: dsl.Output[dsl.Model], store: str = "", candidate: str = "",
                  wanted: bool = True, format: str = "onnx") -> None:
    """Export a candidate of a run, by default the recommended one; the artifact is the bundle's folder.

    wanted: false does nothing, so that a pipeline can leave it out. format: onnx or torch.
    """
    from consort_components.command import at, consort_json

    if not wanted:
        print("no bundle was asked for")
        return
    named = [candidate] if candidate else []
    found = consort_json("export", run, *named, "--format", format, "--output", bundle.path, "--json", *at(store))
    manifest, test = found["manifest"], found["manifest"]["measured"]["test"]
    bundle.metadata.update({
        "framework": format, "name": manifest["name"], "label": manifest["label"], "candidate": manifest["candidate"],
        "run": f"{manifest['study']}/{manifest['run']}", "members": [m["id"] for m in manifest["members"]],
        "accuracy": test["accuracy"], "accuracy_low": test["low"], "accuracy_high": test["high"],
        "mean_macs": test["mean_macs"], "p90_ms": manifest["latency"]["p90_ms"],
        "hardware": manifest["latency"]["hardware"]["cpu"]})
    if found["uri"] is not None:
        bundle.metadata["uri"] = found["uri"]
    print(f"{manifest['label']}: {found['uri'] or bundle.path}")
