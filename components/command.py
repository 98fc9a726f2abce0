"""How a component runs `consort`: as a process of its own whose output is the step's log and whose exit code is the
step's."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any


def consort(*arguments: str, show: bool = True) -> str:
    """Run a command and return its standard output, which the log shows too where `show` is true.

    Where the command fails, the step ends with its exit code and its message as the last lines of the log. SIGTERM is
    passed on once, and the command has the time that the pod has.
    """
    print(f"$ consort {' '.join(arguments)}", flush=True)
    lines = []
    with subprocess.Popen([sys.executable, "-m", "consort", *arguments], stdout=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if show:
                print(line, end="", flush=True)
    if process.returncode:
        sys.stdout.flush()
        raise SystemExit(process.returncode if process.returncode > 0 else 128 - process.returncode)
    return "".join(lines)


def consort_json(*arguments: str) -> Any:
    """Run a command that prints JSON; returns what it printed."""
    return json.loads(consort(*arguments, show=False))


def at(store: str) -> list[str]:
    """The option that names the store; without a name the environment's $CONSORT_STORE counts."""
    return ["--store", store] if store else []


def study_argument(study: str) -> str:
    """The argument STUDY: NAME/RUN of a planned run as it is, the text of a study file as a file."""
    if "=" not in study:
        return study.strip()
    path = Path(tempfile.mkdtemp()) / "study.toml"
    path.write_text(study, encoding="utf-8")
    return str(path)
