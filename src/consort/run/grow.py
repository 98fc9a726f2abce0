"""Growing a study: each re-run adds seeds, until the answer is narrow enough or there are enough of them.

Level k of a study is the same study with k times `grow.seeds` more seeds of every architecture that is trained. The
store knows which levels were evaluated, so the next one is a function of it: a re-run that was interrupted, or that
another machine makes, takes the same level.
"""

import json
import math
from dataclasses import dataclass
from itertools import count, islice

from consort import members
from consort.answer.metric import scale, unit
from consort.errors import IntegrityError
from consort.run.plan import run_name
from consort.run.run import Run
from consort.store import keys
from consort.study.file import Architecture, Study

FEWEST_SEEDS = 3
"""Of each trained architecture, before `until_width` may stop: the variance between two seeds is a guess."""


@dataclass(frozen=True)
class Growth:
    """What a re-run does."""

    level: int
    run: Run
    words: str
    """A sentence to print: the level, and either what it adds or why nothing has to be trained."""


def plan_growth(base: Run) -> Growth:
    """Plan the first level that has no complete summary; or the last one where growing has come to its end."""
    if base.study.grow is None:
        return Growth(0, base, "the study has no `grow`: it stays as it is")
    level, study, summary = 0, base.study, _summary(base, base.study)
    while summary is not None:
        following = at_level(base.study, level + 1)
        if following == study:
            return _at(base, level, f"every architecture has its {base.study.grow.max_seeds} seeds or more: "
                                    "nothing to train")
        next_summary = _summary(base, following)
        limit, width = base.study.grow.until_width, headline_width(summary)
        if next_summary is None and limit is not None and _settled(study, width, limit):
            metric = base.study.answer.metric
            wide, narrow = (f"{scale(metric) * one:.3g}" for one in (width, limit))
            return _at(base, level, f"trained again, the gain has an interval {wide} {unit(metric)}s wide, narrower "
                                    f"than {narrow}: nothing to train")
        level, study, summary = level + 1, following, next_summary
    return _at(base, level, _added(base.study, level))


def at_level(study: Study, level: int) -> Study:
    """The study with level x grow.seeds more seeds of each trained architecture, up to max_seeds in total."""
    assert study.grow is not None
    more, most = level * study.grow.seeds, study.grow.max_seeds
    architectures = {name: a if a.weights else _with_seeds(a, min(more, max(0, most - len(a.seeds))))
                     for name, a in study.architectures.items()}
    return study.model_copy(update={"architectures": architectures})


def headline_width(summary: dict) -> float:
    """Width, as a fraction or in nats, of the interval that the headline's gain has if the same recipes are trained
    again: the one that more seeds settle. inf where it has none: nothing to compare, or evaluated before there were
    any."""
    again = summary["answers"][0].get("anew")
    return math.inf if again is None else again["high"] - again["low"]


def _settled(study: Study, width: float, limit: float) -> bool:
    """Narrow enough, and from enough seeds; equal predictions, which have no width, say that something is wrong."""
    fewest = min((len(a.seeds) for a in study.architectures.values() if not a.weights), default=0)
    return 0 < width < limit and fewest >= FEWEST_SEEDS


def _with_seeds(architecture: Architecture, more: int) -> Architecture:
    """The next integers that are no seeds of it yet."""
    taken = set(architecture.seeds)
    new = islice((seed for seed in count() if seed not in taken), more)
    return architecture.model_copy(update={"seeds": (*architecture.seeds, *new)})


def _summary(base: Run, study: Study) -> dict | None:
    """The summary of this level, where it is complete: of the planned members it lacks only those that cannot be
    trained."""
    key = keys.study_file(study.name, run_name(study, [base.plan.data, *base.plan.also.values()]), "summary.json")
    if not base.store.exists(key):
        return None
    try:
        summary = json.loads(base.store.read(key))
        lacking = [m for m in summary["missing"] if members.read_failure(base.store, m) is None]
    except (ValueError, KeyError, TypeError) as e:
        raise IntegrityError(f"{key} is not a readable summary ({e}). Delete it and run the study again.") from e
    return summary if not lacking else None


def _at(base: Run, level: int, words: str) -> Growth:
    if level == 0:
        return Growth(level, base, f"level {level}: {words}")
    study = at_level(base.study, level)
    note = ", ".join(f"{len(a.seeds)} of {name}" for name, a in study.architectures.items())
    run = base.replan(study, f"# grown to level {level}, members: {note}\n{base.plan.study_text}")
    return Growth(level, run, f"level {level}: {words}")


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
