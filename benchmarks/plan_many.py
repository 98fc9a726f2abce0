"""Planning and rendering a study of 10,000 members: seconds and memory of `consort plan` and `consort render`.

    python benchmarks/plan_many.py [members]

The limit that was set: both together under 5 s and 500 MiB. Beside them `python -c 'import kubeflow.training'`, which
rendering cannot do without, and the text of one object, from which the bytes follow.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUDY = """\
name = "many"
[data]
source = "digits"
[recipe]
name = "fast"
[architectures]
"wrn-10-1" = {members}
"""


def main() -> None:
    members = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder, "many.toml")
        study.write_text(STUDY.format(members=members))
        consort = [sys.executable, "-m", "consort"]
        store = ["--store", str(Path(folder, "store"))]
        warm = Path(folder, "warm.toml")
        warm.write_text(STUDY.format(members=1))
        run([*consort, "plan", str(warm), *store])  # the data is prepared once, whatever the number of members
        print(f"{'':34} {'seconds':>8} {'CPU s':>8} {'peak MiB':>9}  output")
        for name, command in {
                "import kubeflow.training": [sys.executable, "-c", "import kubeflow.training"],
                f"plan, {members} new members": [*consort, "plan", str(study), *store],
                f"plan, {members} known members": [*consort, "plan", str(study), *store],
                f"plan and render, {members} members": [*consort, "render", str(study), *store]}.items():
            seconds, cpu_seconds, mebibytes, size = run(command)
            print(f"{name:34} {seconds:8.2f} {cpu_seconds:8.2f} {mebibytes:9.0f}  {size / 2**20:.1f} MiB")


def run(command: list[str]) -> tuple[float, float, float, int]:
    """(wall-clock seconds, CPU seconds, peak resident MiB, bytes printed) of a process."""
    with tempfile.TemporaryFile() as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{command} ended with {process.returncode}")
        return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out.tell()


if __name__ == "__main__":
    main()
