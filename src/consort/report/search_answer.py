"""What a search answers, in words. Accuracies only of winners that were trained again, on the test split."""

from dataclasses import dataclass

from consort.report import units
from consort.report.search_select import KINDS, LATENCIES, arms_of, best_within, difference, ensembles, is_mixed, kinds

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class Answer:
    """A headline, and sentences that qualify it."""

    verdict: str
    """mixed-wins, mixed-loses, unresolved, not-mixed, no-comparison or no-final."""
    headline: str
    sentences: tuple[str, ...]


def answer(results: dict) -> Answer:
    """Whether networks chosen together beat copies of one at the target latency, and whether searching paid."""
    control = _control_sentences(results)
    if not results["final"]:
        trials = sum(len(arm["trials"]) for arm in results["arms"])
        return Answer("no-final", "Nothing is claimed yet: the winners have not been trained again.", (
            f"{trials} trials have ended. Their accuracies are of short trainings, and the best of many is partly "
            "luck: only winners that are trained again with new seeds count, and only on test images.", *control))
    found = ensembles(results)
    verdict, headline = _comparison(results, found)
    return Answer(verdict, headline, (*_further(found, results["final"]["confidence"]), *_slow(results, found),
                                      *control))


def _comparison(results: dict, found: dict[str, dict]) -> tuple[str, str]:
    within = _within(results["objective"])
    joint = found.get("joint")
    other = next((kind for kind in ("uniform", "copies") if kind in found), None)
    if joint is not None and not is_mixed(joint):
        return "not-mixed", (f"{within}, the joint search chose {_copies(joint)} of one network itself: "
                             f"{units.percent(joint['accuracy'])} on test. Mixing was not worth it to the search.")
    if joint is None or other is None or (gain := difference(joint, other)) is None:
        best = " and ".join(f"{KINDS[kind]} {units.percent(row['accuracy'])}" for kind, row in found.items())
        return "no-comparison", (f"{within}, on test: {best or 'no winner was trained'}. There is no mixed ensemble "
                                 "beside copies of one network, so nothing is said about mixing.")
    beside = f"{_size(joint)} networks chosen together reach {units.percent(joint['accuracy'])} on test against " \
             f"{units.percent(found[other]['accuracy'])} for {_copies(found[other])} of one, {_points(gain)}."
    if gain["low"] > 0:
        return "mixed-wins", f"Mixing pays: {_lower(within)}, {beside}"
    if gain["high"] < 0:
        return "mixed-loses", f"Copies are better: {_lower(within)}, {beside}"
    return "unresolved", (f"No difference is shown: {_lower(within)}, {beside} The interval contains 0, so "
                          f"{units.plain(results['final']['test_images'])} test images do not tell them apart.")


def _further(found: dict[str, dict], confidence: float) -> list[str]:
    """What the headline leaves out: copies of the best single network, and what any ensemble adds to it."""
    sentences = []
    joint, uniform = found.get("joint"), found.get("uniform")
    if joint and uniform and (gain := difference(joint, "copies")):
        sentences.append(f"Against {_copies(found['copies'])} of the best single network the mixed ensemble has "
                         f"{_points(gain)}.")
    best = joint or uniform
    if best and (gain := difference(best, "single")):
        times = best["macs"] / found["single"]["macs"]
        sentences.append(f"Against that network alone it has {_points(gain)}, for {times:.2g} times its MACs."
                         if len(sentences) else
                         f"Against the best single network {'the mixed ensemble' if joint else 'copies of one'} "
                         f"{'has' if joint else 'have'} {_points(gain)}, for {times:.2g} times its MACs.")
    if sentences:
        sentences.append(f"Brackets are {100 * confidence:g} % paired-bootstrap intervals over the test images; they "
                         "do not say what another search would find.")
    return sentences


def _slow(results: dict, found: dict[str, dict]) -> list[str]:
    """Winners that, measured as a whole, are slower than the target that the search kept."""
    objective = results["objective"]
    column, target = LATENCIES[objective["latency"]], objective["target_latency_ms"]
    late = [f"{KINDS[kind]} {units.milliseconds(row[column])}" for kind, row in found.items()
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
        text = f"{KINDS[kind]} (best reward {searched:.4f} against {control:.4f} after {count} trials)"
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
    return f"{units.points(gain['accuracy'])} points {units.interval(gain['low'], gain['high'], signed=True)}"


def _size(row: dict) -> str:
    count = len(row["networks"])
    return NUMBERS[count] if count < len(NUMBERS) else str(count)


def _copies(row: dict) -> str:
    return f"{_size(row)} copies" if len(row["networks"]) > 1 else "one copy"


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _listed(texts: list[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
