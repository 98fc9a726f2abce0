"""What Consort adds on a cluster: seconds to the first training step, and requests to the API server.

    KUBECONFIG=... python benchmarks/cluster_start.py [rounds]

In turn, with members of new seeds: `consort run --target cluster`, from the command to the first line of progress; and
the same PyTorchJob with a bare `kubectl apply`, to the first progress in `kubectl logs -f`. Aims: at most 2 s more; at
most 20 requests per member over its life, none of them while nothing happens. Uses a namespace of its own on the
cluster of tests/e2e.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/e2e"))

from cluster_namespace import fresh_namespace, plain_image, torch_image
from place import Place
from rich.console import Console
from study_files import write_study

from consort.cluster.api import KubernetesApi
from consort.cluster.target import ClusterTarget
from consort.run.plan import plan
from consort.run.run import Run
from consort.study.file import load_study

ROUNDS = 5


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as text, fresh_namespace(Path(text)) as namespace:
        folder, place = Path(text), Place.of(namespace)
        place.planned(write_study(folder, seeds=1, epochs=500))  # prepares the data
        with_consort, bare = [], []
        for number in range(rounds):
            with_consort.append(seconds_of_run(place, study_of_seed(folder, 2 * number)))
            bare.append(seconds_of_kubectl(place, study_of_seed(folder, 2 * number + 1)))
        show("consort run --target cluster", with_consort)
        show("kubectl apply and logs -f", bare)
        print(f"{'difference of the medians':32} {median(with_consort) - median(bare):+6.2f} s")
        show_requests(place, folder)


def study_of_seed(folder: Path, seed: int) -> Path:
    study = write_study(folder, name=f"seed-{seed}", seeds=1, epochs=500)
    study.write_text(study.read_text().replace('"wrn-10-1" = 1', f'"wrn-10-1" = [{seed}]'))
    return study


def seconds_of_run(place: Place, study: Path) -> float:
    started = time.perf_counter()
    with lines_of(place, sys.executable, "-m", "consort", "run", str(study), "--target", "cluster") as lines:
        next(line for line in lines if "epoch" in line)
        taken = time.perf_counter() - started
    place.consort("cancel", str(study))
    return taken


def seconds_of_kubectl(place: Place, study: Path) -> float:
    manifest = place.consort("render", str(study)).split("---\n")[1]
    member = place.planned(study)[0]
    started = time.perf_counter()
    place.kubectl("apply", "-f", "-", text=manifest)
    while not place.names("pods") or place.kubectl("get", "pod", f"{member}-master-0", "-o",
                                                   "jsonpath={.status.phase}") != "Running":
        time.sleep(0.1)
    with lines_of(place, "kubectl", "-n", place.namespace.name, "logs", "-f", f"{member}-master-0") as lines:
        next(line for line in lines if '"progress"' in line)
        taken = time.perf_counter() - started
    place.consort("cancel", member)
    return taken


@contextmanager
def lines_of(place: Place, *command: str) -> Iterator[Iterator[str]]:
    with subprocess.Popen(command, env=place.environment(), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield iter(process.stdout)
        finally:
            process.kill()


def show_requests(place: Place, folder: Path) -> None:
    """Requests of a whole run of four members, by verb, and per member."""
    study = write_study(folder, name="requests", seeds=4, epochs=2)
    planned = plan(place.store, load_study(study), folder, folder / "cache")
    api = KubernetesApi(place.namespace.name)
    target = ClusterTarget(api, Console(quiet=True), plain_image(), torch_image())
    started = time.perf_counter()
    target.train(Run(planned, place.store, folder / "cache"))
    print(f"\n4 members in {time.perf_counter() - started:.0f} s, requests to the API server:")
    for (verb, kind), number in sorted(api.requests.items()):
        print(f"  {verb:8} {kind:12} {number:3}")
    print(f"  {sum(api.requests.values()) / 4:.2f} per member")


def show(name: str, seconds: list[float]) -> None:
    print(f"{name:32} {median(seconds):6.2f} s  [{min(seconds):.2f}, {max(seconds):.2f}]  n = {len(seconds)}")


if __name__ == "__main__":
    main()
