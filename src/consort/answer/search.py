"""What a search answers, in words. Accuracies only of winners that were trained again, on the test split.

The verdict on mixing is about architectures, so it stands on the interval of the same recipes trained again, and the
mixed winner has to beat the copies of every network that was trained again: networks that are simply better are no
reason to mix them.
"""

from dataclasses import dataclass

from consort.answer.amounts import count_word, format_ms, format_nearest
from consort.answer.search_rows import (
    KINDS,
    LATENCIES,
    arms_of,
    best_within,
    difference,
    ensembles,
    is_mixed,
    kinds,
    second_trainings,
)
from consort.plurals import counted, have


@dataclass(frozen=True)
class Answer:
    """A headline, and sentences that qualify it."""

    verdict: str
    """mixed-wins, mixed-loses, unresolved, not-mixed, no-comparison or no-final."""
    headline: str
    sentences: tuple[str, ...]


def answer(results: dict) -> Answer:
    """Whether networks chosen together beat copies of one within the target latency, what an ensemble adds to the best
    single network, and whether searching paid."""
    effort = (*_effort(results), *_second_sentences(results), *_control_sentences(results))
    if not results["final"]:
        trials = sum(len(arm["trials"]) for arm in results["arms"])
        return Answer("no-final", "Nothing is claimed yet: the winners have not been trained again.", (
            f"{counted(trials, 'trial')} {have(trials)} ended. Their accuracies are of short trainings, and the best "
            "of many is partly luck: only winners that are trained again with new seeds count, and only on test "
            "images.",
            *effort))
    found = ensembles(results)
    verdict, headline, further = _verdict(results, found)
    sentences = (*_against_single(found), *further, *_intervals(results["final"]["confidence"]), *_slow(results, found))
    return Answer(verdict, headline, (*sentences, *effort))


def _verdict(results: dict, found: dict[str, dict]) -> tuple[str, str, list[str]]:
    """The verdict on mixing, its sentence, and what the sentence leaves out."""
    within, joint = _within(results["objective"]), found.get("joint")
    if joint is not None and not is_mixed(joint):
        return "not-mixed", (f"{within}, the joint search chose {_copies(joint)} of one network itself: "
                             f"{_percent(joint['accuracy'])} on test. Mixing was not worth it to the search."), []
    mixing = results["final"].get("mixing")
    if joint is None or not mixing:
        best = " and ".join(f"{KINDS[kind]} {_percent(row['accuracy'])}" for kind, row in found.items()
                            if kind != "best")
        why = "They were compared by an earlier version of Consort" if mixing is None else \
            "There is no mixed ensemble beside copies of one network"
        return "no-comparison", (f"{within}, on test: {best or 'no winner was trained'}. {why}, so nothing is said "
                                 "about mixing."), []
    first, closest = mixing[0], min(mixing, key=lambda one: one["accuracy"])
    reach = f"{_size(joint)} networks chosen together reach {_percent(joint['accuracy'])} on test"
    against = f"Against {_copies(joint)} of one network: {_again(first)}."
    further = [f"Those copies are {first['ensemble']}, the best on validation of {counted(len(mixing), 'kind')}. Of "
               f"these very networks, on other images like the test images, the difference is {_points(first)}."]
    if closest is not first:
        further.append(f"The copies that are best on test are {closest['ensemble']}: {_points(closest)}.")
    if all(one["anew"] and one["anew"][0] > 0 for one in mixing):
        return "mixed-wins", (f"Mixing pays: {_lower(within)}, {reach}, more than the copies of any network that was "
                              f"trained again. {against}"), further
    if first["anew"] and first["anew"][1] < 0:
        return "mixed-loses", f"Copies are better: {_lower(within)}, {reach}. {against}", further
    return "unresolved", f"Whether mixing pays is not shown: {_lower(within)}, {reach}. {against}", further


def _against_single(found: dict[str, dict]) -> list[str]:
    """The ensemble that the search is about, against the best single that was trained anywhere in it."""
    ensemble = next((found[kind] for kind in ("joint", "uniform", "copies") if kind in found), None)
    kind = "best" if "best" in found else "single"
    if ensemble is None or len(ensemble["networks"]) == 1 or (gain := difference(ensemble, kind)) is None:
        return []
    single = found[kind]
    close = "" if gain["low"] > 0 or gain["high"] < 0 else ": too close to call"
    return [f"Of all single networks within that latency, {single['ensemble']} is the best on validation and has "
            f"{_percent(single['accuracy'])}: {_points(gain)} for {ensemble['macs'] / single['macs']:.2g} times its "
            f"MACs{close}."]


def _intervals(confidence: float) -> list[str]:
    return [f"Brackets are {100 * confidence:g} % intervals: of these very networks on other test images, or, where it "
            "says so, of the same recipes trained again, on average over seeds. They do not say what another search "
            "would find."]


def _effort(results: dict) -> list[str]:
    """How many trials each arm had, and what they cost: equal trials are not equal training."""
    parts = []
    for kind in kinds(results):
        arms = [f"{arm['sampler']} {len(arm['trials'])}" + (f" ({format_nearest(cost)} MACs of training)" if (
            cost := arm.get("train_macs")) else "") for arm in arms_of(results, kind)]
        seconds = sum(row["kind"] == kind and row["state"] is not None for row in second_trainings(results))
        cost = (results.get("train_macs") or {}).get(kind)
        together = f", {format_nearest(cost)} with the second trainings" if seconds and cost else ""
        parts.append(f"{KINDS[kind]}: {' and '.join(arms)}{together}")
    return [f"Trials: {'; '.join(parts)}."] if parts else []


def _second_sentences(results: dict) -> list[str]:
    """Whether the winners were named by two trainings, and where the second named another."""
    rows = second_trainings(results)
    ended = [row for row in rows if row["state"] is not None]
    if not ended:
        return ["No candidate was trained a second time before the winners were named, so each may be the luckiest of "
                "many."] if any(arm["trials"] for arm in results["arms"]) else []
    if len(ended) < len(rows):
        return [f"Of the second trainings that name the winners, {len(ended)} of {len(rows)} have ended."]
    first = {kind: next(row for row in rows if row["kind"] == kind) for kind in {row["kind"] for row in rows}}
    others = [KINDS[row["kind"]] for row in rows if row["winner"] and row is not first[row["kind"]]]
    most = max(sum(row["kind"] == kind for row in rows) for kind in first)
    named = f" It named another for {_listed(others)}." if others else " It named no other."
    best = "The best candidate of each kind was" if most == 1 else f"The best {most} candidates of each kind were"
    return [f"{best} trained a second time with new seeds; the winner has the "
            f"best mean of both rewards.{named}"]


def _slow(results: dict, found: dict[str, dict]) -> list[str]:
    """Winners that, measured as a whole, are slower than the target that the search kept."""
    objective = results["objective"]
    column, target = LATENCIES[objective["latency"]], objective["target_latency_ms"]
    late = [f"{KINDS[kind]} {format_ms(row[column])}" for kind, row in found.items()
            if row[column] is not None and row[column] > target]
    return [f"Measured again, some are slower than the target of {target:g} ms: {', '.join(late)}."] if late else []


def _control_sentences(results: dict) -> list[str]:
    """Whether the sampler found more than random search in as many trials. Validation rewards, one search each."""
    ahead: list[str] = []
    behind: list[str] = []
    name = ""
    for kind in kinds(results):
        by_control = {arm["control"]: arm for arm in arms_of(results, kind)}
        if len(by_control) < 2:
            continue
        count = min(len(arm["trials"]) for arm in by_control.values())
        searched, control = (best_within(by_control[c]["trials"], count) for c in (False, True))
        if searched is None or control is None:
            continue
        name = by_control[False]["sampler"]
        text = f"{KINDS[kind]} (best reward {searched:.4f} against {control:.4f} after {counted(count, 'trial')})"
        (ahead if searched > control else behind).append(text)
    sentences = []
    if ahead:
        sentences.append(f"{name} found more than random search for {_listed(ahead)}; one search each, so luck is not "
                         "ruled out.")
    if behind:
        sentences.append(f"Random search was as good as {name} or better for {_listed(behind)}.")
    return [sentence[0].upper() + sentence[1:] for sentence in sentences]


def _within(objective: dict) -> str:
    how = "the slowest member" if objective["latency"] == "parallel" else "all members in turn"
    return f"Within {objective['target_latency_ms']:g} ms for {how}"


def _points(gain: dict) -> str:
    return f"{100 * gain['accuracy']:+.2f} points [{100 * gain['low']:+.2f}, {100 * gain['high']:+.2f}]"


def _again(gain: dict) -> str:
    """The difference with the interval of the same recipes trained again."""
    if not gain["anew"]:
        return f"{100 * gain['accuracy']:+.2f} points (trained again: {gain['anew_unknown']})"
    low, high = gain["anew"]
    return f"{100 * gain['accuracy']:+.2f} points [{100 * low:+.2f}, {100 * high:+.2f}] if trained again"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _size(row: dict) -> str:
    return count_word(len(row["networks"]))


def _copies(row: dict) -> str:
    return f"{_size(row)} copies" if len(row["networks"]) > 1 else "one copy"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
