"""evaluate_ensembles: every ensemble against the single networks, from logits."""

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def evaluate_ensembles(run: str, metrics: dsl.Output[dsl.Metrics], store: str = "") -> str:
    """Compare the ensembles of a run; returns the answer as a sentence."""
    from consort_components.command import at, consort_json

    summary = consort_json("evaluate", run, "--json", *at(store))
    answer = summary["answers"][0]
    values = {"accuracy": answer["accuracy"], "versus_accuracy": answer["versus_accuracy"], "gain": answer["gain"],
              "gain_low": answer["low"], "gain_high": answer["high"], "macs": answer["macs"],
              "serial_latency_ms": answer["serial_ms"], "missing_members": len(summary["missing"])}
    metrics.metadata["ensemble"] = answer["ensemble"]
    metrics.metadata["members"] = ", ".join(answer["members"])
    if answer["versus"] is not None:
        metrics.metadata["versus"] = answer["versus"]
    for name, value in values.items():
        if value is not None:
            metrics.log_metric(name, value)
    print(summary["answer"], *summary["notes"], sep="\n")
    for member, reason in summary["missing"].items():
        print(f"missing: {member}: {reason}")
    return summary["answer"]
