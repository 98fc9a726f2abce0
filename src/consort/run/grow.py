"""Growing a study: each re-run adds seeds, until the answer is narrow enough or there are enough of them.

Level k of a study is the same study with k times `grow.seeds` more seeds of every architecture that is trained. The
store knows which levels were evaluated, so the next one is a function of it: a re-run that was interrupted, or that
another machine makes, takes the same level.
"""

import json
from dataclasses import dataclass
from itertools import count, islice

from consort import members
from consort.run.plan import Plan, replan, run_name
from consort.store import Store, keys
from consort.study.file import Architecture, Study


@dataclass(frozen=True)
class Growth:
    """What a re-run does."""

    level: int
    plan: Plan
    words: str
    """The same for people."""


def grown(store: Store, base: Plan) -> Growth:
    """The first level that has no complete summary, planned; or the last one where growing has come to its end."""
    if base.study.grow is None:
        return Growth(0, base, "the study has no `grow`: it stays as it is")
    level, study, summary = 0, base.study, _summary(store, base, base.study)
    while summary is not None:
        following = at_level(base.study, level + 1)
        if following == study:
            return _at(store, base, level, f"every architecture has its {base.study.grow.max_seeds} seeds or more: "
                                           "nothing to train")
        next_summary = _summary(store, base, following)
        limit, width = base.study.grow.until_width, headline_width(summary)
        if next_summary is None and limit is not None and width is not None and width < limit:
            return _at(store, base, level, f"the interval is {100 * width:.3g} points wide, narrower than "
                                           f"{100 * limit:.3g}: nothing to train")
        level, study, summary = level + 1, following, next_summary
    return _at(store, base, level, _added(base.study, level))


def at_level(study: Study, level: int) -> Study:
    """The study with level x grow.seeds more seeds of each trained architecture, up to max_seeds in total."""
    assert study.grow is not None
    more, most = level * study.grow.seeds, study.grow.max_seeds
    architectures = {name: a if a.weights else _with_seeds(a, min(more, max(0, most - len(a.seeds))))
                     for name, a in study.architectures.items()}
    return study.model_copy(update={"architectures": architectures})


def headline_width(summary: dict) -> float | None:
    """Width of the interval of the gain that the answer names, as a fraction; None where it names none."""
    answer = summary["answers"][0]
    return None if answer["low"] is None else answer["high"] - answer["low"]


def _with_seeds(architecture: Architecture, more: int) -> Architecture:
    """The next integers that are no seeds of it yet."""
    taken = set(architecture.seeds)
    new = islice((seed for seed in count() if seed not in taken), more)
    return architecture.model_copy(update={"seeds": (*architecture.seeds, *new)})


def _summary(store: Store, base: Plan, study: Study) -> dict | None:
    """The summary of this level, where it is complete: of the planned members it lacks only those that cannot be
    trained."""
    key = keys.study_file(study.name, run_name(study, [base.data, *base.also.values()]), "summary.json")
    if not store.exists(key):
        return None
    summary = json.loads(store.read(key))
    lacking = [m for m in summary["missing"] if members.read_failure(store, m) is None]
    return summary if not lacking else None


def _at(store: Store, base: Plan, level: int, words: str) -> Growth:
    if level == 0:
        return Growth(level, base, f"level {level}: {words}")
    study = at_level(base.study, level)
    note = ", ".join(f"{len(a.seeds)} of {name}" for name, a in study.architectures.items())
    planned = replan(store, base, study, f"# grown to level {level}, members: {note}\n{base.study_text}")
    return Growth(level, planned, f"level {level}: {words}")


def _added(study: Study, level: int) -> str:
    if level == 0:
        return "the study as it is written"
    before, after = at_level(study, level - 1).architectures, at_level(study, level).architectures
    added = {name: len(after[name].seeds) - len(before[name].seeds) for name in after}
    growing = [number for number in added.values() if number]
    seeds = "one more seed" if max(growing) == 1 else f"{max(growing)} more seeds"
    if min(growing) != max(growing):
        seeds = f"{min(growing)} to {seeds}"
    return f"{seeds} of {len(growing)} architecture{'s' if len(growing) > 1 else ''}"
