"""report: the page and the table of a run that was evaluated."""

from kfp import dsl

from consort_components.images import CONSORT_IMAGE


@dsl.component(base_image=CONSORT_IMAGE, install_kfp_package=False)
def report(run: str, page: dsl.Output[dsl.HTML], table: dsl.Output[dsl.Markdown], store: str = "") -> None:
    """Write a run's report to the store and show it: `page` is one self-contained file, `table` the answer and rows."""
    import shutil
    import tempfile
    from pathlib import Path

    from consort_components.command import at, consort

    folder = Path(tempfile.mkdtemp())
    consort("report", run, "--output", str(folder), *at(store))
    shutil.copy(folder / "report.html", page.path)
    shutil.copy(folder / "table.md", table.path)
