"""The answer in words that an engineer understands at once."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from consort.answer.amounts import count_word, format_bytes, format_count, format_ms, format_share
from consort.answer.budgets import within_words
from consort.answer.choices import Candidate, Choice, Choices, Costs, Gain
from consort.answer.metric import MOST, as_good, gained, goodness, shown, signed, size, unit
from consort.ensembles.bounds import images_needed
from consort.ensembles.metrics import temperature_note
from consort.plurals import counted

FEW_VALIDATION_IMAGES = 200


def named(one: Candidate) -> str:
    """Such as "two wrn-16-1 and one wrn-16-2", or, in the order in which it asks, "a cascade of one wrn-16-1, then one
    wrn-16-2"."""
    if one.kind == "cascade":
        in_order = (f"{count_word(len(list(group)))} {name}" for name, group in groupby(one.architectures))
        return f"a cascade of {', then '.join(in_order)}"
    return _listed(_counted(one.architectures))


def headline(budget: Mapping[str, float], chosen: Candidate, other: Candidate | None, gain: Gain | None,
             found: Choices) -> str:
    """What to deploy within the budget, how good it is, and what it is held against."""
    return f"{within_words(budget)}: {deploy(chosen, found)} {held_against(chosen, other, gain, found)}"


def why(chosen: Candidate, best: Candidate, val_images: int, metric: str = "accuracy", only: bool = False) -> str:
    """One sentence on why this candidate and not another. only: there is no other."""
    if only:
        return "It is the only network of the run: another seed or architecture would give a choice."
    if chosen is best and chosen.kind == "single":
        return f"Of all that fits it is {MOST[metric]} on validation."
    if chosen is best:
        return (f"Of all that fits it is {MOST[metric]} on validation, and nothing simpler comes within one standard "
                "error of it.")
    lead = goodness(metric, best.val.value) - goodness(metric, chosen.val.value)
    fewer = len(best.members) - len(chosen.members)
    simpler = f"asks {count_word(fewer)} network{'s' if fewer > 1 else ''} fewer" if fewer > 0 else \
        f"costs {format_count(chosen.costs.macs)} MACs instead of {format_count(best.costs.macs)}"
    if lead <= 0:
        return f"On validation it is {as_good(metric)} {named(best)}, and {simpler}."
    return (f"{_capital(MOST[metric])}, {named(best)}, is only {size(metric, lead)} better on validation (too close to "
            f"call on {counted(val_images, 'image')}); this {simpler}.")


def notes(chosen: Candidate, versus_majority: Gain, found: Choices) -> list[str]:
    """Chance level, the majority class, few validation images; usually nothing."""
    said, metric, images = [], found.metric, found.test_images
    if not _above_chance(chosen, found):
        chance = math.log(len(found.classes)) if metric == "nll" else 1 / len(found.classes)
        said.append(f"This is chance level: guessing among {counted(len(found.classes), 'class')} gives "
                    f"{shown(metric, chance, images)}.")
    if versus_majority.low <= 0:
        always = "the shares that the classes have of the validation images" if metric == "nll" else \
            f'"{found.majority.label}"'
        said.append(f"Not better than always answering {always}: that alone has "
                    f"{shown(metric, found.majority.test_value, images)} on test.")
    if found.val_images < FEW_VALIDATION_IMAGES and len(found.candidates) != 1:
        said.append(f"Chosen on {counted(found.val_images, 'validation image')} only: another {found.val_images} could "
                    f"choose another candidate. {FEW_VALIDATION_IMAGES} or more settle more.")
    if bounds := [note for note in map(temperature_note, chosen.temperatures) if note is not None]:
        said.append(f"Calibration: {bounds[-1]}.")
    return said


def _above_chance(one: Candidate, found: Choices) -> bool:
    """Whether the interval of its value leaves out what guessing gives."""
    if found.metric == "nll":
        return one.test.value_high < math.log(len(found.classes))
    return one.test.value_low > 1 / len(found.classes)


def costs(one: Candidate) -> str:
    """What the candidate costs, in one line."""
    of, parts = one.costs, []
    cascade = one.kind == "cascade"
    worst = f" on average ({format_count(of.macs_worst)} at worst)" if cascade else ""
    parts.append(f"{format_count(of.macs)} MACs{worst}")
    if of.serial_ms is not None and of.serial_p99_ms is not None and of.serial_worst_ms is not None:
        slow_ms, worst_ms = format_ms(of.serial_p99_ms), format_ms(of.serial_worst_ms)
        tail = f"{slow_ms} for 99 % of the images, " * (slow_ms != worst_ms) + f"{worst_ms} at worst"
        parts.append(f"{format_ms(of.serial_ms)}{f' on average, {tail}' if cascade else ' one after the other'}")
    if of.parallel_ms is not None and len(one.members) > 1 and not cascade:
        parts.append(f"{format_ms(of.parallel_ms)} with one device per member")
    if of.concurrent_ms is not None:
        parts.append(f"{format_ms(of.concurrent_ms)} with all members on one GPU at the same time")
    if batched := in_batches(of, cascade):
        parts.append(batched)
    parts.append(f"{format_count(of.params)} parameters")
    if of.bytes is not None:
        parts.append(f"{format_bytes(of.bytes)} of weights")
    return "costs: " + "; ".join(parts)


def in_batches(of: Costs, cascade: bool) -> str:
    """What an image of the largest batch costs, and for a cascade how much stopping early is worth there beside one
    image at a time; empty where that was not measured."""
    if not of.batch_ms or not of.batch_worst_ms:
        return ""
    size = max(of.batch_ms, key=int)
    text = f"{format_ms(of.batch_ms[size])} an image in batches of {int(size):,}"
    if not cascade or of.serial_ms is None or of.serial_worst_ms is None:
        return text
    alone, batch = (100 * (1 - mean / worst) for mean, worst in ((of.serial_ms, of.serial_worst_ms),
                                                                 (of.batch_ms[size], of.batch_worst_ms[size])))
    return f"{text}, where stopping early saves {batch:.0f} % of the time (one at a time {alone:.0f} %)"


def promise(one: Candidate, found: Choices) -> list[str]:
    """Of a cascade: what it promises to lose at most; else which one with a promise there is, or why there is none."""
    if one.kind != "cascade":
        return []
    if one.promise is not None:
        return [f"Promise: it {one.promise.text}."]
    none = f"No promise: where it stops was chosen for its cost, and what that loses against {named_all(one)} is open."
    same = next((other for other in found.candidates if other.promise and set(other.members) == set(one.members)), None)
    if same is not None and same.promise is not None:
        reached = shown(found.metric, same.test.value, found.test_images)
        return [f"{none} {same.id} has one: {asked(same)}: {reached} at {format_count(same.costs.macs)} MACs on "
                f"average; it {same.promise.text}."]
    needed = images_needed(found.cascade_loss, among=found.promises_share)
    few = f"; that takes {needed:,} or more" if found.val_images < needed else ""
    return [f"{none} With {found.val_images:,} validation images none of these networks' cascades can promise to lose "
            f"at most {size('accuracy', found.cascade_loss)}{of_accuracy(found.metric)}{few}."]


def of_accuracy(metric: str) -> str:
    """What is said of accuracy whatever the metric is, such as a promise, says so where it is another."""
    return "" if metric == "accuracy" else " of accuracy"


def named_all(one: Candidate) -> str:
    """Such as "asking all three"."""
    return f"asking {'both' if len(one.members) == 2 else f'all {count_word(len(one.members))}'}"


def intervals(choice: Choice, found: Choices) -> list[str]:
    """The difference to the alternative with each of its two intervals, named."""
    gain, metric = choice.gain, found.metric
    if gain is None or choice.alternative is None:
        return []
    level = f"{100 * found.interval:g} %"
    one, other = named(found.candidate(choice.candidate)), named(found.candidate(choice.alternative))
    anew = gain.anew_unknown or "unknown" if gain.anew is None else \
        f"{signed(metric, gain.anew.low)} to {signed(metric, gain.anew.high)}"
    return [f"{_capital(one)} against {other}: {'a gain of ' if metric == 'nll' else ''}"
            f"{signed(metric, gain.value)} {unit(metric)}s",
            f"  these very networks, on other images like the test images: {signed(metric, gain.low)} to "
            f"{signed(metric, gain.high)} ({level})",
            f"  the same recipe trained again, on average over seeds:      {anew}"]


def deploy(one: Candidate, found: Choices) -> str:
    """What runs, and how good it is."""
    reached, of = shown(found.metric, one.test.value, found.test_images), one.costs
    if one.kind != "cascade":
        return f"{named(one)} ({reached})."
    ms = "" if of.serial_ms is None else f" and {format_ms(of.serial_ms)}"
    worst_ms = "" if of.serial_worst_ms is None else f" and {format_ms(of.serial_worst_ms)}"
    return (f"{asked(one)}: {reached} at {format_count(of.macs)} MACs{ms} on average, {format_count(of.macs_worst)}"
            f"{worst_ms} at worst.")


def asked(one: Candidate) -> str:
    """How a cascade is run: "run wrn-16-1, ask wrn-16-2 only below 0.84 confidence"."""
    parts = [f"run {one.architectures[0]}"]
    for place, threshold in enumerate(one.thresholds, 1):
        architecture = one.architectures[place]
        name = f"another {architecture}" if architecture in one.architectures[:place] else architecture
        if threshold is None:  # nobody stops before this member
            parts[-1] += f" and {name}"
        else:
            parts.append(f"ask {name} only {_unsure(one.confidence, threshold)}")
    return ", ".join(parts)


def _unsure(confidence: str | None, threshold: float) -> str:
    """When the next network is asked; see `ensembles.cascades.CONFIDENCES`."""
    if confidence == "margin":
        return f"where the two likeliest classes are less than {format_share(threshold)} apart"
    if confidence == "agreement":
        return f"where less than {100 * threshold:.0f} % of those asked agree"
    if confidence == "entropy":
        return f"where the answer is unsure (entropy above {format_share(-threshold)} nats)"
    return f"below {format_share(threshold)} confidence"


def held_against(chosen: Candidate, other: Candidate | None, gain: Gain | None, found: Choices) -> str:
    """How it stands to the alternative, or that there is none."""
    if other is None or gain is None:
        return "No ensemble or cascade that fits is better." if chosen.kind == "single" else "No single network fits."
    metric, images, single, one = found.metric, found.test_images, chosen.kind == "single", _is_one(other)
    reached = shown(metric, other.test.value, images)
    against = gained(metric, gain, images, -1 if single else 1)
    if not gain.resolved:
        close = f"with it (too close to call on {counted(images, 'image')}: {against}{_equivalence(gain, found)})."
        return (f"{_capital(named(other))} {'ties' if one else 'tie'} {close}" if single else
                f"The best single network that fits, {named(other)} ({reached}), ties {close}")
    if gain.value < 0:
        return (f"On the test images {named(other)} {'is' if one else 'are'} better: {reached}, "
                f"{gained(metric, gain, images, -1)}; the validation images did not show it.")
    if single:
        return f"{_capital(named(other))} {'has' if one else 'have'} {reached}: {against}."
    return f"The best single network that fits, {named(other)}, has {reached}: {against}."


def _equivalence(gain: Gain, found: Choices) -> str:
    """What can be said of a tie with a margin."""
    if found.margin is None or not (gain.as_good or gain.not_worse):
        return ""
    return f"; {'as good within' if gain.as_good else 'not worse by more than'} {size(found.metric, found.margin)}"


def _counted(architectures: Sequence[str]) -> list[str]:
    return [f"{count_word(count)} {name}" for name, count in Counter(architectures).items()]


def _is_one(one: Candidate) -> bool:
    return len(one.members) == 1 or one.kind == "cascade"


def _listed(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
