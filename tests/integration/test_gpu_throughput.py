"""Every row of the benchmark of GPUs works, before there is a GPU."""

import os
import subprocess
import sys
from pathlib import Path

from small_members import PATIENCE_SECONDS

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_throughput.py"
FIRST = ["plain", "plain bf16", "loop", "resident eager"]
PACKS = ["convolutions", "pack of 1", "pack of 8"]


def run(*arguments: str) -> tuple[int, list[list[str]], str]:
    """Its exit code, the cells of its rows, and all that it printed."""
    done = subprocess.run([sys.executable, str(SCRIPT), "--smoke", *arguments], capture_output=True, text=True,
                          env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=PATIENCE_SECONDS)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()
            if line.startswith("| wrn")]
    return done.returncode, rows, done.stdout + done.stderr


def test_every_row_has_a_figure(tmp_path) -> None:
    code, rows, printed = run("--output", str(tmp_path / "table.md"))
    assert code == 0, printed
    names = [(int(batch), name) for _, batch, name, *_ in rows]
    assert names == [(4, name) for name in [*FIRST, *PACKS, "pack of 8, deterministic"]] + [(8, name) for name in PACKS]
    assert all(int(rate.replace(",", "")) > 0 for _, _, _, rate, *_ in rows)
    ratios = {(int(row[1]), row[2]): row[4:] for row in rows}
    assert all(ratios[4, "pack of 8, deterministic"]) and all(ratios[8, "pack of 8"][:3])
    assert (tmp_path / "table.md").read_text().strip() == printed.strip()


def test_rows_that_the_time_does_not_reach_are_named() -> None:
    code, rows, printed = run("--limit", "0", "--what", "pack")
    assert code == 1 and {row[3] for row in rows} == {"-"}
    assert "5 rows have no figure:" in printed and "- wrn-10-1, batch 8, pack of 8: no time" in printed
