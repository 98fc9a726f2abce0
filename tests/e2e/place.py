"""`consort` as a person uses it with one namespace of a cluster, and what the tests look at there."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from cluster_namespace import ClusterNamespace

from consort.store import Store

PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Process:
    """A `consort` that runs in the background."""

    popen: subprocess.Popen
    log: IO[str]

    def output(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def wait(self, seconds: float) -> int:
        return self.popen.wait(seconds)

    def send_signal(self, number: int) -> None:
        self.popen.send_signal(number)


@dataclass(frozen=True)
class Place:
    namespace: ClusterNamespace
    store: Store

    @classmethod
    def of(cls, namespace: ClusterNamespace) -> "Place":
        return cls(namespace, namespace.store())

    def environment(self) -> dict[str, str]:
        return {**self.namespace.environment(), "CONSORT_NAMESPACE": self.namespace.name, "PYTHONUNBUFFERED": "1",
                "OMP_NUM_THREADS": "1", "COLUMNS": "200"}

    def consort(self, *arguments: str, code: int = 0) -> str:
        """Everything that the command prints; it must end with this exit code."""
        done = subprocess.run([sys.executable, "-m", "consort", *arguments], env=self.environment(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == code, f"consort {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    @contextmanager
    def running(self, *arguments: str) -> Iterator[Process]:
        """The command in the background; killed at the end of the context where it still runs."""
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            popen = subprocess.Popen([sys.executable, "-m", "consort", *arguments], env=self.environment(),
                                     stdout=log, stderr=subprocess.STDOUT, preexec_fn=_mind_interrupts)
            try:
                yield Process(popen, log)  # type: ignore[arg-type]
            finally:
                popen.kill()
                popen.wait()

    def planned(self, study: Path) -> list[str]:
        """The ids of the study's members."""
        done = subprocess.run([sys.executable, "-m", "consort", "plan", str(study), "--json"], env=self.environment(),
                              capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == 0, f"consort plan ended with {done.returncode}:\n{done.stderr}"
        return [m["id"] for m in json.loads(done.stdout)["members"]]

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = 420) -> str:
        return self.namespace.kubectl(*arguments, text=text, seconds=seconds)

    def names(self, kind: str) -> list[str]:
        """Names of the namespace's objects of this kind, those of the reaper left out."""
        found = self.namespace.get(kind)["items"]
        return sorted(o["metadata"]["name"] for o in found if not o["metadata"]["name"].startswith("consort-gc"))

    def created_pods(self) -> list[str]:
        """The messages of "Created pod" events, one per pod that a job ever had (those of the reaper left out)."""
        events = self.namespace.get("events")["items"]
        created = [e for e in events if e["reason"] in ("SuccessfulCreate", "SuccessfulCreatePod")]
        return sorted(f"{e['message']} x{e.get('count') or 1}" for e in created
                      if "consort-gc" not in e["message"] and e["involvedObject"]["kind"] in ("Job", "PyTorchJob"))

    def has(self, key: str) -> bool:
        return self.store.exists(key)

    def wait_for(self, what: str, probe: Callable[[], bool], seconds: float = 300) -> None:
        end = time.monotonic() + seconds
        while not probe():
            assert time.monotonic() < end, f"{what}: not there after {seconds:.0f} s"
            time.sleep(0.3)

    def kill_member_process(self, member: str) -> None:
        """SIGKILL to the member's process, as the kernel does for lack of memory.

        A container's first process is immune to SIGKILL from within, so it comes from the node: this test has to run
        on it (the lab), or in a node's shell."""
        pids = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _trains(p, member)]
        assert pids, f"no process on this machine trains {member}: run this test on the cluster's node"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def _mind_interrupts() -> None:
    """Shells let what they start in the background ignore SIGINT, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _trains(process: Path, member: str) -> bool:
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"train" in arguments and member.encode() in arguments
