"""The trials of a search on a cluster: a Katib Experiment for each arm, one after the other, followed to its end.

Katib leads the trials; their records lie in the store, as those of a search on one machine do. What Katib tried is
written down as the arm's proposals when it has ended, so that all that comes after a search reads the same files.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from consort.cluster.adopt import create_or_adopt
from consort.cluster.explain import failure_reason
from consort.cluster.follow import Happening, feed
from consort.cluster.jobs import run_job
from consort.cluster.second_trainings import bring_second_trainings
from consort.cluster.silence import Silence
from consort.errors import ClusterUnavailable, IncompleteRun, InputError
from consort.events import Listener, Said, Started, unheard
from consort.kube import names
from consort.kube.experiment import experiment
from consort.kube.images import Images
from consort.kube.katib_status import KatibTrial, experiment_status, katib_trial, suggestion_failure
from consort.kube.status import pod_status
from consort.kube.step_jobs import latency_table_job
from consort.kube.training import MEMBER_JOB
from consort.plurals import counted, have
from consort.run.run import Run
from consort.search import trials
from consort.search.arms import Arm, Proposal, add_proposal, arms_of, stored
from consort.search.latencies import NetworkLatencies
from consort.search.records import TrialRecord
from consort.search.told import SearchBegun, SearchEnded, TrialRecorded
from consort.study.search import Search

if TYPE_CHECKING:
    from consort.cluster.api import KubernetesApi

START_SECONDS = 600.0
"""From an Experiment's creation to its first trial: the suggestion's image is pulled and its pod becomes ready."""
WORD_SECONDS = 60.0
"""When no trial has begun for so long, the user is told what may hold the Experiment up."""
GRACE_SECONDS = 600.0
"""Beyond a trial's own deadline, before silence is an error."""
QUEUED_SECONDS = 30 * 86_400.0
"""Where a queue decides when trials start, silence is an error only after this: they may wait for days."""
CLEAR_SECONDS = 300.0


@dataclass
class ClusterSearch:
    """The trials of a planned search as Katib Experiments. `sampler`: another than the study's, or katib-<algorithm>.

    owner: reference to what the Experiments shall not outlive.
    """

    api: "KubernetesApi"
    run: Run
    images: Images
    listen: Listener
    owner: Mapping[str, Any] | None = None
    sampler: str | None = None
    arms: list[Arm] = field(default_factory=list)
    ended: dict[str, TrialRecord] = field(default_factory=dict)
    """Trial -> its record, of those that an arm tried."""
    hardware_id: str | None = None
    """The hardware that latencies are of; known when the first trial has ended."""

    @cached_property
    def search(self) -> Search:
        return trials.search_of(self.run.plan)

    def try_all(self) -> None:
        """All trials of all arms. Raises IncompleteRun where an Experiment fails."""
        self.hardware_id = self.run.study.latency.hardware
        self.arms = self.all_arms()
        wanted = [experiment(self.run.store.uri, self.run.study, self.run.plan.run, arm.kind, arm.sampler, self.images)
                  for arm in self.arms]  # all, before anything is created
        if self.search.objective.source == "table" and self.hardware_id is None:
            self.listen(Said("measuring the blocks of the space in the cluster"))
            job = latency_table_job(self.run.store.uri, self.run.study, self.run.plan.run, self.images)
            run_job(self.api, job, self.owner, self.listen)
        self.listen(SearchBegun(self.arms, self.search, self.ended))
        for arm, manifest in zip(self.arms, wanted, strict=True):
            if not self._known(arm, manifest):
                followed = _ArmFollowed(self, arm)
                with Silence(self.api, self.listen, followed.awaited) as silence:
                    followed.listen = silence.listen
                    followed.run(manifest)
        self.listen(SearchEnded())

    def retrain(self, second: Sequence[Arm]) -> None:
        """Second trainings, those that have no record, as jobs of their own. Raises IncompleteRun where one could not
        be brought to its end."""
        bring_second_trainings(self.api, self.run, self.images, self.listen, second, self.owner)

    def all_arms(self) -> list[Arm]:
        """Every arm, without what it has tried."""
        return arms_of(self.search, self.sampler)

    def _known(self, arm: Arm, manifest: dict) -> bool:
        """Whether the store has all trials of an arm whose Experiment is gone."""
        found = stored(self.run, arm.name)
        records = [trials.read(self.run.store, proposal.trial) for proposal, _ in found]
        whole = len(found) >= self.search.trials and None not in records
        if not whole or self.api.get("Experiment", manifest["metadata"]["name"]) is not None:
            return False
        arm.proposals = [proposal for proposal, _ in found]
        self.hardware_id = self.hardware_id or found[0][1]
        self.ended |= {record.id: record for record in records if record is not None}
        return True


@dataclass
class _ArmFollowed:
    """One Experiment, from its creation to its end."""

    of: ClusterSearch
    arm: Arm
    seen: dict[str, KatibTrial] = field(default_factory=dict)
    noted: set[str] = field(default_factory=set)
    """Names of Katib's trials that are among the arm's proposals."""
    worded: bool = False
    listen: Listener = unheard

    def run(self, manifest: dict) -> None:
        api, name = self.of.api, manifest["metadata"]["name"]
        current = self._create_or_adopt(manifest)
        selectors = {"Experiment": _run_selector(manifest), "Trial": f"{names.EXPERIMENT_LABEL}={name}"}
        quiet_seconds, heard = START_SECONDS, time.monotonic()
        with feed(api, selectors) as events:
            synced = False
            while True:
                happening = events.next(1.0)
                if happening is None:
                    self._mind_silence(name, time.monotonic() - heard, quiet_seconds)
                    continue
                heard = time.monotonic()
                if happening.source == "Trial" and happening.type != "DELETED":
                    quiet_seconds = self._quiet_seconds
                    self._seen(katib_trial(happening.object))
                synced = synced or (happening.source == "synced" and happening.name == "Trial")
                if synced:
                    self._note_ended()
                end = _ended(happening, name, current)
                if end:
                    current = happening.object
                if synced and current and experiment_status(current).end != "running":
                    break
        for trial in api.list("Trial", selectors["Trial"]):
            self._seen(katib_trial(trial))
        self._note_ended()
        self._conclude(current)

    def awaited(self) -> str:
        """What is waited for now."""
        running = [trial.name for trial in list(self.seen.values()) if trial.end == "running"]
        return (f"of {self.arm.name}, {counted(len(running), 'trial')} {'runs' if len(running) == 1 else 'run'} and "
                f"{len(self.noted)} of {self.of.search.trials} {have(len(self.noted))} ended"
                if self.seen else f"Katib has not begun a trial of {self.arm.name}")

    @property
    def _quiet_seconds(self) -> float:
        cluster = self.of.run.study.cluster
        return QUEUED_SECONDS if cluster.queue else cluster.deadline_seconds + GRACE_SECONDS

    def _create_or_adopt(self, manifest: dict) -> dict:
        """The new Experiment, or the one that is there; one that failed is replaced, as its finished trials stay."""
        current = create_or_adopt(self.of.api, manifest, self.of.owner,
                                  lambda known: experiment_status(known).end == "failed", CLEAR_SECONDS,
                                  lambda known: self._refuse_other_settings(known, manifest))
        changed = {key: manifest["spec"][key] for key in names.EDITABLE
                   if current["spec"].get(key) != manifest["spec"][key]}
        if changed and experiment_status(current).end == "running":
            self.of.api.patch("Experiment", manifest["metadata"]["name"], {"spec": changed})
        return current

    def _refuse_other_settings(self, known: dict, wanted: dict) -> None:
        label = names.SPEC_HASH_LABEL
        if known["metadata"].get("labels", {}).get(label) != wanted["metadata"]["labels"][label]:
            raise InputError(f"the Experiment {wanted['metadata']['name']} in namespace {self.of.api.namespace} was "
                             "made with other images, store or [cluster] settings. `consort cancel "
                             f"{self.of.run.ref}` ends it; what its trials found stays, and the same search goes on "
                             "from there.")

    def _seen(self, trial: KatibTrial) -> None:
        if trial.end == "running" and trial.name not in self.seen:
            self.listen(Started(trial.name))
        self.seen[trial.name] = trial

    def _note_ended(self) -> None:
        """Note the trials that have ended, in their order; a first failure waits for one that tells the hardware."""
        for trial in sorted(self.seen.values(), key=lambda t: (t.ended_at, t.name)):
            if trial.end != "running" and trial.name not in self.noted:
                self._note(trial)

    def _note(self, trial: KatibTrial) -> None:
        """Make an ended trial one of the arm's proposals."""
        of, space = self.of, self.of.search.space(self.arm.kind)
        encoding = space.canonical(space.encoding_of(trial.assignments))
        networks = of.search.networks_of(self.arm.kind, encoding)
        record = trials.find(of.run, networks, of.hardware_id)
        if record is None and of.hardware_id is None:
            return
        of.hardware_id = of.hardware_id or (record.hardware_id if record else None)
        assert of.hardware_id is not None
        if record is None:
            record = self._lost(trial, networks, of.hardware_id)
        self.noted.add(trial.name)
        proposal = Proposal(len(self.arm.proposals), encoding, networks, record.id)
        add_proposal(of.run, self.arm, proposal, of.hardware_id, katib=trial.name)
        of.ended[record.id] = record
        self.listen(TrialRecorded(record.id, ran_as=trial.name))

    def _lost(self, trial: KatibTrial, networks: tuple[str, ...], hardware_id: str) -> TrialRecord:
        """The record of a trial that ended without one."""
        of = self.of
        tried = trials.Candidate(self.arm.kind, networks)
        known = NetworkLatencies({}, None, of.search.objective.source, hardware_id)
        job = of.api.get(MEMBER_JOB.kind, trial.name)
        why = failure_reason(of.api, trial.name, "", MEMBER_JOB.status(job)) if job else trial.reason
        if trial.end == "succeeded":
            why = (f"its record is not in {of.run.store.uri} for hardware {hardware_id}: do trials run on nodes of "
                   "several kinds? Milliseconds of different machines do not compare; [cluster] node_selector chooses "
                   "one kind")
        record = trials.unsuccessful(of.run.plan, tried, known, trials.FAILED, why or "Katib does not say why")
        trials.write(of.run.store, record)
        return record

    def _conclude(self, current: dict) -> None:
        status = experiment_status(current)
        lost = [trial for trial in self.seen.values() if trial.end != "running" and trial.name not in self.noted]
        if status.end == "succeeded" and not lost:
            return
        name = current["metadata"]["name"]
        failed = [f"  {trial.name}: {self._why(trial)}" for trial in self.seen.values() if trial.end == "failed"]
        said = suggestion_failure(self.of.api.get("Suggestion", name)) if not self.seen else ""
        raise IncompleteRun("\n".join([
            f"the Experiment {name} {status.end}: {status.message or status.reason}", *([f"  {said}"] if said else []),
            *failed[:10], "What was trained is kept; the same command tries again."]))

    def _why(self, trial: KatibTrial) -> str:
        job = self.of.api.get(MEMBER_JOB.kind, trial.name)
        return failure_reason(self.of.api, trial.name, "", MEMBER_JOB.status(job)) if job else trial.reason

    def _mind_silence(self, name: str, seconds: float, longest_seconds: float) -> None:
        """Say once what an Experiment without a trial may wait for; raises ClusterUnavailable after too long."""
        if seconds > longest_seconds:
            raise ClusterUnavailable(
                f"nothing was heard of the Experiment {name} for {seconds:.0f} s. {self._known_of(name)} `kubectl "
                f"describe experiment,suggestion {name} -n {self.of.api.namespace}` tells more; does Katib's "
                "controller run?")
        if seconds > WORD_SECONDS and not self.seen and not self.worded:
            self.worded = True
            self.listen(Said(f"the Experiment {name} has no trial yet. {self._known_of(name)}", warns=True))

    def _known_of(self, name: str) -> str:
        """What its Suggestion, its pods and the events of its objects say."""
        api = self.of.api
        pods = api.list("Pod", f"{names.EXPERIMENT_LABEL}={name}")
        stuck = [text for pod in pods if (text := pod_status(pod).stuck)]
        warnings = [f"{e.get('reason')}: {e.get('message')}" for e in api.list("Event") if e.get("type") == "Warning"
                    and str(e.get("involvedObject", {}).get("name", "")).startswith(name)]
        known = [suggestion_failure(api.get("Suggestion", name)), *stuck[:2], *dict.fromkeys(warnings[-2:])]
        return " ".join(text.rstrip(".") + "." for text in known if text)


def _run_selector(manifest: dict) -> str:
    labels = manifest["metadata"]["labels"]
    return ",".join(f"{key}={labels[key]}" for key in (names.MANAGED_BY_LABEL, names.RUN_LABEL, names.ARM_LABEL))


def _ended(happening: Happening, name: str, current: dict) -> bool:
    """Whether this is a change of the Experiment; raises IncompleteRun where it was deleted."""
    if happening.source != "Experiment" or happening.name != name:
        return False
    if happening.object["metadata"]["uid"] != current["metadata"]["uid"]:
        return False
    if happening.type == "DELETED":
        raise IncompleteRun(f"the Experiment {name} was deleted; what was trained is kept. The same command creates it "
                            "again.")
    return True
