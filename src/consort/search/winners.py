"""The winners of a search, and the study that trains them again. No torch here.

A search picks the luckiest of many short trainings, so its own accuracies flatter the winners. They are trained again
with the study's own recipe and seeds that no trial has, as an ordinary study `<name>-final`; only that is an answer.
What it shows of them is in `comparison`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

from consort.documents import to_toml
from consort.errors import IncompleteRun
from consort.run.plan import Plan
from consort.run.run import Run
from consort.search.arms import Arm, records_of
from consort.search.records import TrialRecord
from consort.search.retraining import best, finalists, ranked, second_arms
from consort.search.trials import DONE, search_of
from consort.study.file import Study, parse_study
from consort.study.search import FINAL, Search

FIRST_SEED = 1000
"""Of the winners' new members; trials have the seeds 0, 1, ..., one per copy, and second trainings 500, 501, ..."""


def winners(run: Run, arms: Sequence[Arm]) -> dict[str, TrialRecord]:
    """Kind -> its winner, of all arms, among the trials that keep the target latency: the one of the best mean reward
    of those that were trained twice, and of the highest reward where that was not done, or is not yet.

    A kind without such a trial is left out; raises IncompleteRun where none has one.
    """
    of_kinds, twice = ranked(run, arms), finalists(run, arms)
    if not of_kinds:
        target = search_of(run.plan).objective.target_latency_ms
        raise IncompleteRun(f"no trial of {run.ref} keeps the target latency of {target:g} ms, so there is no winner "
                            'to train again. More trials, or reward = "constrained", look closer to the target.')
    return {kind: found.first if (found := best(twice.get(kind, ()))) else records[0]
            for kind, records in of_kinds.items()}


def best_singles(search: Search, records: Iterable[TrialRecord]) -> list[str]:
    """The `[search.final] singles` networks that were best alone on validation, in the mean over their trainings in the
    trials of every kind, of those that keep the target latency: the single networks that an ensemble has to beat."""
    seen: dict[str, dict[str, float]] = {}
    for record in records:
        for network, member, accuracy in zip(record.networks, record.members, record.member_accuracies, strict=False):
            if record.state == DONE and record.network_latencies_ms[network] <= search.objective.target_latency_ms:
                seen.setdefault(network, {})[member] = accuracy  # once, although several trials may have the member
    return sorted(seen, key=lambda name: (-fmean(seen[name].values()), name))[:search.singles]


def compositions(search: Search, won: Mapping[str, TrialRecord]) -> dict[str, Counter[str]]:
    """What is compared in the end: kind -> network -> copies. `copies` are as many of the best single network as an
    ensemble of the search has members."""
    found = {kind: Counter(record.networks) for kind, record in won.items()}
    if "single" in found:
        copies = Counter(dict.fromkeys(found["single"], search.members))
        if copies not in found.values():
            found["copies"] = copies
    return found


def plan_final(run: Run, won: Mapping[str, TrialRecord], arms: Sequence[Arm]) -> Run:
    """Plan the study of the winners, on the same prepared data. arms: the search's, with what they tried."""
    tried = [*arms, *second_arms(finalists(run, arms))]
    records = [record for _, _, record in records_of(run.store, tried)]
    text = final_text(run.plan, won, best_singles(search_of(run.plan), records))
    return run.replan(parse_study(text, f"{run.study.name}{FINAL}"), text)


def final_text(plan: Plan, won: Mapping[str, TrialRecord], singles: Sequence[str] = ()) -> str:
    """Its study file: complete, so that it can be run again by itself. singles: networks beside the winners'."""
    study, search = plan.study, search_of(plan)
    composed = compositions(search, won)
    rivals = search.members if "joint" in composed else 0  # mixing has to beat so many copies of every network
    seeds = {name: max(search.final.seeds, rivals, *(of_kind[name] for of_kind in composed.values()))
             for name in sorted({*singles, *(name for of_kind in composed.values() for name in of_kind)})}
    largest = max(sum(of_kind.values()) for of_kind in composed.values())
    found = "\n".join(f"#   {kind}: {' + '.join(record.networks)} (trial {record.id})" for kind, record in won.items())
    tables: dict[str, Any] = {
        "data": {"source": f"store:{plan.data.fingerprint}",
                 "also": [{"name": name, "source": f"store:{d.fingerprint}"} for name, d in plan.also.items()]},
        "recipe": {"name": "wrn-reference", "ema_warmup": study.recipe.ema_warmup, **study.recipe.identity()},
        "architectures": {**_references(study), **{name: {"seeds": list(range(FIRST_SEED, FIRST_SEED + count))}
                                                   for name, count in seeds.items()}},
        "evaluate": {**_given(study.evaluate), "mixed_members": max(study.evaluate.mixed_members, largest)},
        "latency": _given(study.latency), "run": _given(study.run), "cluster": _given(study.cluster),
    }
    return f"# The winners of the search {plan.ref}, trained again with new seeds:\n{found}\n" + to_toml(
        {"name": study.name + FINAL, "question": study.question, **tables})


def _references(study: Study) -> dict[str, dict]:
    """The study's own architectures, compared with the winners as they stand."""
    return {name: _given(architecture) | {"seeds": list(architecture.seeds)}
            for name, architecture in study.architectures.items()}


def _given(table: Any) -> dict:
    return table.model_dump(mode="json", exclude_defaults=True)
