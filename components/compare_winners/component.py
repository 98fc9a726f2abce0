"""compare_winners: what training the winners of a search again has shown."""

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def compare_winners(
    run: str, metrics: dsl.Output[dsl.Metrics], page: dsl.Output[dsl.HTML], table: dsl.Output[dsl.Markdown],
    store: str = "", target: str = "cluster", sampler: str = "",
) -> None:
    """Compare the winners on the test images, from their logits, and show the search; trains what is still missing.

    `page` is one self-contained file: every trial, the fronts, the winners; `table` the answer and the winners.
    """
    import shutil
    import tempfile
    from pathlib import Path

    from consort_components.command import at, consort, consort_json

    folder = Path(tempfile.mkdtemp())
    options = [*(["--sampler", sampler] if sampler else []), *at(store)]
    consort("search", run, "--target", target, "--only", "final", "--output", str(folder), *options)
    shutil.copy(folder / "search.html", page.path)
    shutil.copy(folder / "search.md", table.path)
    final = consort_json("winners", run, "--json", *options)["final"]
    for ensemble in final["ensembles"]:
        metrics.metadata[f"{ensemble['kind']}_ensemble"] = ensemble["ensemble"]
        metrics.log_metric(f"{ensemble['kind']}_accuracy", ensemble["accuracy"])
        if ensemble["parallel_latency_ms"] is not None:
            metrics.log_metric(f"{ensemble['kind']}_latency_ms", ensemble["parallel_latency_ms"])
        print(f"{ensemble['kind']}: {ensemble['ensemble']}: {ensemble['accuracy']:.4f}")
        for other in ensemble["differences"]:
            metrics.log_metric(f"{ensemble['kind']}_minus_{other['minus']}", other["accuracy"])
            print(f"  minus {other['minus']}: {other['accuracy']:+.4f} [{other['low']:+.4f}, {other['high']:+.4f}]")
