"""A run: one execution of a study, wherever its members train. What it has, what it lacks, and its own files."""

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from consort import members
from consort.errors import IntegrityError
from consort.events import without_name
from consort.members.records import MemberRecord
from consort.members.spec import MemberSpec
from consort.run.plan import Plan, open_plan, replan
from consort.store import Store, keys
from consort.study.file import Study

NOT_IMPORTED = ("its weights are imported by a command that has torch: `consort run --only members`, with the same "
                "--target, where torch is installed")


@dataclass(frozen=True)
class Run:
    """A planned study, the store that it fills, and the folder for copies of the store's files."""

    plan: Plan
    store: Store
    cache: Path

    @property
    def study(self) -> Study:
        """What is asked."""
        return self.plan.study

    @property
    def ref(self) -> str:
        """NAME/RUN: what commands take in place of the study file."""
        return self.plan.ref

    @property
    def ids(self) -> list[str]:
        """The members' ids, in the order of the study file."""
        return [spec.id for spec in self.plan.specs]

    def records(self) -> list[MemberRecord]:
        """Of the members that are finished, in the order of the study file."""
        done = [member for member, state in self.states().items() if state == "done"]
        return [record for member in done if (record := members.read_record(self.store, member)) is not None]

    def states(self) -> dict[str, str]:
        """Member -> done, failed, to import or to train."""
        present = members.files(self.store, self.ids)
        return {member: "done" if "member.json" in names else "failed" if "failed.json" in names
                else "to import" if member in self.plan.weights else "to train" for member, names in present.items()}

    def to_train(self) -> list[MemberSpec]:
        """Members that are not there and can be trained: one that failed before would fail again."""
        states = self.states()
        return [spec for spec in self.plan.specs if states[spec.id] == "to train"]

    def unfinished(self, failed: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
        """Planned member -> why it is not there: what this process (`failed`) or the store knows, without its name."""
        return {member: without_name(member, failed.get(member) or members.why_missing(self.store, member)
                                     or (NOT_IMPORTED if member in self.plan.weights else "not finished"))
                for member, state in self.states().items() if state != "done"}

    def import_members(self) -> None:
        """Make members of the weights that the study imports, where torch is installed."""
        for spec in self.plan.specs:
            absent = spec.id in self.plan.weights and members.read_record(self.store, spec.id) is None
            if absent and importlib.util.find_spec("torch"):
                from consort.train.imported_weights import import_member  # torch is needed only here

                import_member(self.store, spec, self.plan.data, self.plan.weights[spec.id])

    def key(self, name: str) -> str:
        """The store's key of one of the run's own files: studies/<study>/<run>/<name>."""
        return keys.study_file(self.study.name, self.plan.run, name)

    def read(self, name: str) -> bytes:
        """One of the run's own files; raises MissingKey where there is none."""
        return self.store.read(self.key(name))

    def write(self, name: str, data: bytes) -> None:
        """Create or replace one of the run's own files."""
        self.store.write(self.key(name), data)

    def has(self, name: str) -> bool:
        """Whether it has this file."""
        return self.store.exists(self.key(name))

    def summary(self) -> dict:
        """What the evaluation found; MissingKey where the run was not evaluated, IntegrityError where it is damaged."""
        try:
            return dict(json.loads(self.read("summary.json")))
        except (ValueError, TypeError) as e:
            raise IntegrityError(f"{self.key('summary.json')} is not readable JSON ({e}). `consort evaluate "
                                 f"{self.ref}` writes it anew.") from e

    def replan(self, study: Study, study_text: str) -> "Run":
        """The planned run of a study that differs in its seeds, on the data that is prepared already."""
        return replace(self, plan=replan(self.store, self.plan, study, study_text))


def open_run(store: Store, ref: str, cache: Path) -> Run:
    """The planned run NAME/RUN, from the store alone; raises MissingKey listing the nearest runs where it is none."""
    return Run(open_plan(store, ref, cache), store, cache)
