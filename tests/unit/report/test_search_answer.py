"""The answer of a search in words."""

import copy

import pytest

from consort.report.search_answer import answer
from search_results import RESULTS, SINGLE, changed, with_difference

WITHIN = "within 0.8 ms for the slowest member, three networks chosen together reach"


def test_mixed_wins():
    found = answer(RESULTS)
    assert found.verdict == "mixed-wins"
    assert found.headline == (f"Mixing pays: {WITHIN} 71.20 % on test against 70.10 % for three copies of one, +1.10 "
                              "points [+0.30, +1.90].")
    assert found.sentences[:2] == (
        "Against three copies of the best single network the mixed ensemble has +1.20 points [+0.40, +2.00].",
        "Against that network alone it has +3.20 points [+2.40, +4.00], for 3 times its MACs.")


def test_mixed_loses():
    found = answer(with_difference(-0.008, -0.015, -0.001))
    assert found.verdict == "mixed-loses"
    assert found.headline == (f"Copies are better: {WITHIN} 69.30 % on test against 70.10 % for three copies of one, "
                              "-0.80 points [-1.50, -0.10].")


@pytest.mark.parametrize(("low", "high"), [(-0.004, 0.008), (0.0, 0.004), (-0.004, 0.0)])
def test_an_interval_that_contains_0_shows_no_difference(low, high):
    found = answer(with_difference(0.002, low, high))
    assert found.verdict == "unresolved"
    assert "+0.20 points [" in found.headline
    assert found.headline.startswith("No difference is shown: within 0.8 ms")
    assert found.headline.endswith("The interval contains 0, so 10\u202f000 test images do not tell them apart.")


def test_before_the_winners_are_trained_again_nothing_is_claimed():
    found = answer(changed(final=None))
    assert found.verdict == "no-final"
    assert found.headline == "Nothing is claimed yet: the winners have not been trained again."
    assert "%" not in found.headline + " ".join(found.sentences)
    assert found.sentences[0].startswith("144 trials have ended.")


def control_is(reward: float, kinds: tuple[str, ...] = ("single", "uniform", "joint")) -> dict:
    """The results where of these kinds the control's first trial has this reward."""
    results = copy.deepcopy(RESULTS)
    for arm in results["arms"]:
        if arm["control"] and arm["kind"] in kinds:
            arm["trials"][0]["reward"] = reward
    return results


def test_a_sampler_ahead_of_its_control():
    text = " ".join(answer(control_is(0.1)).sentences)
    assert "Evolution found more than random search for single network (best reward 0." in text
    assert "after 24 trials); one search each, so luck is not ruled out." in text


def test_a_control_that_is_as_good_is_said_to_be():
    best = max(t["reward"] for t in RESULTS["arms"][4]["trials"] if t["reward"] is not None)
    for reward in (best, best + 0.1):
        text = " ".join(answer(control_is(reward, ("joint",))).sentences)
        assert ("Random search was as good as evolution or better for networks chosen together (best reward "
                f"{best:.4f} against {reward:.4f} after 24 trials).") in text


def test_arms_are_compared_after_as_many_trials():
    results = control_is(0.1)
    control = results["arms"][5]
    control["trials"] = control["trials"][:7]
    assert "after 7 trials" in " ".join(answer(results).sentences)


def test_without_a_control_nothing_is_said_about_it():
    results = copy.deepcopy(RESULTS)
    results["arms"] = [arm for arm in results["arms"] if not arm["control"]]
    assert "andom" not in " ".join(answer(results).sentences)


def final_of(*kinds: str) -> dict:
    results = copy.deepcopy(RESULTS)
    results["final"]["ensembles"] = [row for row in results["final"]["ensembles"] if row["kind"] in kinds]
    for row in results["final"]["ensembles"]:
        row["differences"] = [d for d in row["differences"] if d["minus"] in kinds]
    return results


def test_a_joint_search_that_chose_copies_is_no_mixed_ensemble():
    results = copy.deepcopy(RESULTS)
    results["final"]["ensembles"][3]["networks"] = [SINGLE] * 3
    found = answer(results)
    assert found.verdict == "not-mixed"
    assert "the joint search chose three copies of one network itself: 71.20 % on test." in found.headline


def test_copies_of_the_best_single_stand_in_for_a_uniform_search():
    found = answer(final_of("single", "copies", "joint"))
    assert found.verdict == "mixed-wins"
    assert "against 70.00 % for three copies of one, +1.20 points" in found.headline
    assert found.sentences[0] == ("Against the best single network the mixed ensemble has +3.20 points [+2.40, +4.00], "
                                  "for 3 times its MACs.")


@pytest.mark.parametrize("kinds", [(), ("single",), ("single", "uniform"), ("joint",)])
def test_without_both_sides_nothing_is_said_about_mixing(kinds):
    found = answer(final_of(*kinds))
    assert found.verdict == "no-comparison"
    assert "nothing is said about mixing" in found.headline


def test_a_winner_that_is_too_slow_when_measured_is_named():
    results = copy.deepcopy(RESULTS)
    results["final"]["ensembles"][1]["parallel_latency_ms"] = 0.93
    assert ("Measured again, some are slower than the target of 0.8 ms: copies of one network 0.93 ms."
            in answer(results).sentences)
