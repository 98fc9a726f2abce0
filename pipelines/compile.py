"""Compile the pipelines to packages: python -m consort_pipelines.compile --output DIR.

The images are those of $CONSORT_IMAGE and $CONSORT_TORCH_IMAGE, else the published ones of this version.
"""

import argparse
from pathlib import Path

from kfp import compiler

from consort_pipelines.search_architecture import search_architecture
from consort_pipelines.search_then_ensemble import search_then_ensemble
from consort_pipelines.train_ensembles import MEMBERS_AT_A_TIME, train_ensembles

PACKAGE = "train_ensembles.yaml"
SEARCHES = ("search_architecture.yaml", "search_then_ensemble.yaml")


def compile_package(folder: Path, members_at_a_time: int = MEMBERS_AT_A_TIME, name: str = PACKAGE) -> Path:
    """Write a compiled package into a folder; returns its path."""
    pipeline = {PACKAGE: lambda: train_ensembles(members_at_a_time),
                SEARCHES[0]: search_architecture,
                SEARCHES[1]: lambda: search_then_ensemble(members_at_a_time)}[name]()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    compiler.Compiler().compile(pipeline, str(path))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m consort_pipelines.compile", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="Where the packages are written.")
    parser.add_argument("--parallelism", type=int, default=MEMBERS_AT_A_TIME, metavar="N",
                        help="Members trained at a time.")
    arguments = parser.parse_args()
    for name in (PACKAGE, *SEARCHES):
        print(compile_package(arguments.output, arguments.parallelism, name))


if __name__ == "__main__":
    main()
