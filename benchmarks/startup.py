"""How soon something happens: `consort --help`, and the first training step of a run whose data is prepared.

    python benchmarks/startup.py

Prints medians of wall-clock seconds, beside an empty Python process and one that imports torch, measured in turn.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROUNDS = 5
STUDY = """
name = "startup"
[data]
source = "digits"
train_images = 300
val_images = 300
[recipe]
epochs = 200
batch_size = 32
flip = false
[architectures]
"wrn-10-1" = [{seed}]
"""


def seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def seconds_to_first_progress(folder: Path, seed: int) -> float:
    """From the command to the first line of a member's progress; the run is stopped then."""
    study = folder / f"study-{seed}.toml"
    study.write_text(STUDY.replace("{seed}", str(seed)))
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "consort", "run", str(study), "--store", str(folder / "store")],
                          stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "epoch" in line:
                break
        taken = time.perf_counter() - started
        run.terminate()
    return taken


def main() -> None:
    python = sys.executable
    commands = {"consort --help": (python, "-m", "consort", "--help"), "python -c pass": (python, "-c", "pass"),
                "python -c 'import torch'": (python, "-c", "import torch")}
    times: dict[str, list[float]] = {name: [] for name in (*commands, "consort run, to the first progress")}
    with tempfile.TemporaryDirectory() as folder:
        seconds_to_first_progress(Path(folder), 0)  # prepares the data
        for round_number in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(seconds(*command))
            first = seconds_to_first_progress(Path(folder), round_number + 1)
            times["consort run, to the first progress"].append(first)
    for name, measured in times.items():
        ratio = median(m / t for m, t in zip(measured, times["python -c 'import torch'"], strict=True))
        print(f"{name:36} {median(measured):6.2f} s [{min(measured):.2f}, {max(measured):.2f}]   {ratio:5.2f} times "
              "`import torch`")


if __name__ == "__main__":
    main()
