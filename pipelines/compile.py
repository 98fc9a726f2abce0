"""Compile the pipeline to a package: python -m consort_pipelines.compile --output DIR.

The images are those of $CONSORT_IMAGE and $CONSORT_TORCH_IMAGE, else the published ones of this version.
"""

import argparse
from pathlib import Path

from kfp import compiler

from consort_pipelines.train_ensembles import MEMBERS_AT_A_TIME, train_ensembles

PACKAGE = "train_ensembles.yaml"


def compile_package(folder: Path, members_at_a_time: int = MEMBERS_AT_A_TIME) -> Path:
    """Write the compiled package into a folder; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PACKAGE
    compiler.Compiler().compile(train_ensembles(members_at_a_time), str(path))
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m consort_pipelines.compile", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help=f"Where {PACKAGE} is written.")
    parser.add_argument("--parallelism", type=int, default=MEMBERS_AT_A_TIME, metavar="N",
                        help="Members trained at a time.")
    arguments = parser.parse_args()
    print(compile_package(arguments.output, arguments.parallelism))


if __name__ == "__main__":
    main()
