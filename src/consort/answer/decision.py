"""From candidates and budgets to choices: what is chosen, how sure that is, and the words for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from consort.answer import sentences
from consort.answer.budgets import default_budgets, within_words
from consort.answer.choice import choose
from consort.answer.choices import Candidate, Choice, Choices, Confidences, Majority
from consort.answer.evidence import Evidence
from consort.answer.gains import gain, paired
from consort.answer.undertrained import undertrained
from consort.ensembles.intervals import Seeds
from consort.errors import InputError
from consort.study.answer import Answer


@dataclass(frozen=True)
class About:
    """What a reader has to know of the run beside its candidates."""

    study: str
    run: str
    question: str
    interval: float
    classes: tuple[str, ...]
    majority: Majority
    seeds: Seeds | None
    """What another training of the members changes; None where all have one seed."""
    improving: tuple[str, ...]
    """Architectures whose training ended while they still improved."""
    asked: Answer
    promises_share: int = 1
    """So many ensembles share the error that a promise is allowed."""
    confidences: Confidences | None = None


def choices(about: About, candidates: Sequence[Candidate], evidence: Evidence) -> Choices:
    """All of choices.json: the budgets of the study, or those of `default_budgets`; where nothing fits, a note says
    so."""
    asked = about.asked
    found = Choices(about.study, about.run, about.question, asked.metric, about.interval, evidence.val.shape[1],
                    evidence.test.shape[1], about.classes, about.majority, about.seeds, about.improving,
                    asked.margin, asked.cascade_loss, (), tuple(candidates), (), about.promises_share,
                    about.confidences)
    made: list[Choice] = []
    unmet: list[str] = []
    for budget in asked.budgets or default_budgets(candidates):
        try:
            choice = decide(found, evidence, budget)
        except InputError as e:
            unmet.append(str(e))
            continue
        if asked.budgets or not (made and _same(made[-1], choice)):
            made.append(choice)
    made = made or [decide(found, evidence, {})]
    return replace(found, choices=tuple(made), notes=(*notes(found, evidence, made[0]), *unmet))


def decide(found: Choices, evidence: Evidence, budget: Mapping[str, float]) -> Choice:
    """The choice within one budget; raises InputError where nothing fits, naming the cheapest."""
    candidates = found.candidates
    chosen = choose(found, evidence, budget)
    if chosen is None:
        raise InputError(_nothing_fits(candidates, budget))
    one, best = candidates[chosen.candidate], candidates[chosen.best]
    other = None if chosen.alternative is None else candidates[chosen.alternative]
    over = None if other is None else gain(one, other, paired(evidence, chosen.candidate, chosen.alternative), found)
    versus = paired(evidence, chosen.candidate, None).gain(found.interval)
    return Choice(dict(budget), one.id, best.id, None if chosen.partner is None else candidates[chosen.partner].id,
                  None if other is None else other.id, over, versus,
                  sentences.why(one, best, found.val_images, found.metric, len(candidates) == 1),
                  sentences.headline(budget, one, other, over, found))


def notes(found: Choices, evidence: Evidence, choice: Choice) -> list[str]:
    """What a reader has to know before believing this choice; usually nothing."""
    return [*sentences.notes(found.candidate(choice.candidate), choice.versus_majority, found),
            *undertrained(found.candidates, evidence, found.improving, found.metric)]


def _same(one: Choice, other: Choice) -> bool:
    """Whether a smaller bound on the same cost changes nothing."""
    return (one.budget.keys() == other.budget.keys() and one.candidate == other.candidate
            and one.alternative == other.alternative)


def _nothing_fits(candidates: Sequence[Candidate], budget: Mapping[str, float]) -> str:
    cheapest: dict[str, float] = {}
    for name in budget:
        known = [cost for one in candidates if (cost := getattr(one.costs, name)) is not None]
        if not known:
            return (f"{within_words(budget)} nothing can be chosen: this cost is not known of any candidate. Latencies "
                    "are measured by `consort predict`.")
        cheapest[name] = min(known)
    least = within_words(cheapest).removeprefix("Within ")
    return (f"{within_words(budget)} nothing fits: what costs least takes {least}. Allow more, or train smaller "
            "networks.")
