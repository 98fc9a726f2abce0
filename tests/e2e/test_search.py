"""Trials of a search as PyTorchJobs, from the template that Katib fills in to the metrics that it reads."""

import json
from pathlib import Path

import yaml
from katib_trial import COLLECTOR, trial_job
from place import Place
from study_files import PLAIN

from consort import members
from consort.kube.experiment import FURTHER_METRICS, OBJECTIVE
from consort.search import trials
from consort.search.records import TrialRecord
from consort.space.choices import Space
from consort.study.file import load_study
from katib_metrics import collected

SEARCH = """
[search]
kinds = ["{kind}"]
members = 2
sampler = "random"
trials = 4
[search.objective]
target_latency_ms = 100.0
source = "measured"
[search.space]
block = ["wide", "mbconv"]
width = [4, 8]
depth = [1, 2]
"""


def write_search(folder: Path, kind: str, epochs: int) -> Path:
    path = folder / "looking.toml"
    plain = PLAIN.format(name="looking", seeds=1, epochs=epochs, more=SEARCH.format(kind=kind))
    path.write_text(plain.replace('[architectures]\n"wrn-10-1" = 1\n', ""))
    return path


def experiment_of(place: Place, study: Path) -> dict:
    objects = list(yaml.safe_load_all(place.consort("render", str(study))))
    return next(o for o in objects if o["kind"] == "Experiment")


def started(place: Place, experiment: dict, space: Space, name: str, which: int) -> tuple[str, ...]:
    """Start a trial of one of the space's candidates; its networks."""
    encoding = list(space.candidates())[which]
    job = trial_job(experiment, name, space.assignments(encoding))
    place.kubectl("apply", "-f", "-", text=json.dumps(job))
    return space.decode(encoding)


def ended(place: Place, name: str) -> str:
    """What the trial's metrics file holds when its job has succeeded."""
    place.kubectl("wait", f"pytorchjob/{name}", "--for=condition=Succeeded", "--timeout=400s")
    return place.kubectl("logs", f"{name}-master-0", "-c", COLLECTOR)


def record_of(place: Place, networks: tuple[str, ...]) -> TrialRecord:
    found = [trials.read(place.store, key.split("/")[1].removesuffix(".json")) for key in place.store.list("trials")]
    return next(r for r in found if r is not None and sorted(r.networks) == sorted(networks))


def metrics_of(text: str) -> dict[str, float]:
    return {name: float(values[-1][1]) for name, values in collected(text, (OBJECTIVE, *FURTHER_METRICS)).items()}


def test_a_trial_of_the_filled_template_reports_what_the_store_has(place: Place, tmp_path: Path) -> None:
    study = write_search(tmp_path, "joint", epochs=2)
    search = load_study(study).search
    assert search is not None
    experiment = experiment_of(place, study)
    networks = started(place, experiment, search.space("joint"), "looking-00000001", 5)
    found = metrics_of(ended(place, "looking-00000001"))
    record = record_of(place, networks)
    assert record.state == "done" and len(record.members) == 2
    assert found == {name: float(getattr(record, name)) for name in (OBJECTIVE, *FURTHER_METRICS)}

    again = started(place, experiment, search.space("joint"), "looking-00000002", 5)
    assert again == networks
    assert metrics_of(ended(place, "looking-00000002")) == found, "it was tried before: the same at once"


def test_a_trial_resumes_after_its_pod_is_deleted(place: Place, tmp_path: Path) -> None:
    study = write_search(tmp_path, "single", epochs=60)
    search = load_study(study).search
    assert search is not None
    networks = started(place, experiment_of(place, study), search.space("single"), "looking-00000003", 30)
    place.wait_for("its member", lambda: bool(list(members.begun(place.store))))
    [member] = members.begun(place.store)
    place.wait_for("a checkpoint", lambda: place.has(f"members/{member}/resume/newest.json"))
    place.kubectl("delete", "pod", "looking-00000003-master-0", "--wait=false")
    found = metrics_of(ended(place, "looking-00000003"))
    trained = members.read_record(place.store, member)
    assert trained is not None and trained.attempts == 2, "it was interrupted once, and went on"
    record = record_of(place, networks)
    assert found[OBJECTIVE] == record.reward and found["accuracy"] == record.accuracy
