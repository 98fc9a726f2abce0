"""The answer of a search in words."""

import copy

import pytest

from consort.answer.search import answer
from search_results import RESULTS, SINGLE, UNIFORM, changed, with_difference

WITHIN = "within 0.8 ms for the slowest member, three networks chosen together reach"
RIVAL = "three copies of one network"


def test_mixed_wins_where_it_beats_the_copies_of_every_network_if_trained_again():
    found = answer(RESULTS)
    assert found.verdict == "mixed-wins"
    assert found.headline == (
        f"Mixing pays: {WITHIN} 71.20 % on test, more than the copies of any network that was trained again. Against "
        f"{RIVAL}: +1.10 points [+0.10, +2.10] if trained again.")
    assert found.sentences[:2] == (
        f"Of all single networks within that latency, 1 x {SINGLE} is the best on validation and has 68.00 %: "
        "+3.20 points [+2.40, +4.00] for 3 times its MACs.",
        f"Those copies are 3 x {UNIFORM}, the best on validation of 2 kinds. Of these very networks, on other images "
        "like the test images, the difference is +1.10 points [+0.60, +1.60].")


def test_one_network_whose_copies_are_not_beaten_is_enough_to_say_nothing():
    """Mixing must not be praised for networks that are simply better."""
    found = answer(with_difference(-0.004, -0.010, 0.002, rival=1))
    assert found.verdict == "unresolved"
    assert found.headline.startswith(f"Whether mixing pays is not shown: {WITHIN} 71.20 %")
    assert found.sentences[2] == f"The copies that are best on test are 3 x {SINGLE}: -0.40 points [-1.00, +0.20]."


def test_mixed_loses():
    found = answer(with_difference(-0.008, -0.015, -0.001))
    assert found.verdict == "mixed-loses"
    assert found.headline.startswith(f"Copies are better: {WITHIN} 69.30 % on test. Against {RIVAL}: -0.80 points "
                                     "[-1.50, -0.10] if trained again.")


@pytest.mark.parametrize(("low", "high"), [(-0.004, 0.008), (0.0, 0.004), (-0.004, 0.0)])
def test_an_interval_that_contains_0_shows_no_difference(low, high):
    found = answer(with_difference(0.002, low, high))
    assert found.verdict == "unresolved" and "+0.20 points [" in found.headline


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("why", ["unknown until some network is trained with two seeds",
                                 "unknown from so few seeds, train more of net-a"])
def test_too_few_seeds_give_no_verdict_on_architectures(sign, why):
    """However sure these very networks are."""
    results = copy.deepcopy(RESULTS)
    for one in results["final"]["mixing"]:
        one.update(accuracy=sign * 0.011, low=sign * 0.011 - 0.001, high=sign * 0.011 + 0.001, anew=None,
                   anew_unknown=why)
    found = answer(results)
    assert found.verdict == "unresolved"
    assert f"one network: {1.1 * sign:+.2f} points (trained again: {why})." in found.headline


def test_one_rival_of_which_too_little_is_known_keeps_mixing_from_paying():
    results = copy.deepcopy(RESULTS)
    assert answer(results).verdict == "mixed-wins"
    results["final"]["mixing"][1].update(anew=None, anew_unknown="unknown from so few seeds, train more of net-a")
    assert answer(results).verdict == "unresolved"


def test_a_search_is_held_against_the_best_single_of_all_not_against_its_own():
    """+13.3 points over the winner of its single-network search were claimed, where its final study has a single at
    86.3 %: the gain is 8.1."""
    results = copy.deepcopy(RESULTS)
    by_kind = {row["kind"]: row for row in results["final"]["ensembles"]}
    by_kind["single"]["accuracy"], by_kind["joint"]["accuracy"] = 0.811, 0.944
    best = copy.deepcopy(by_kind["single"]) | {"kind": "best", "ensemble": "1 x net-b", "accuracy": 0.863,
                                               "networks": ["net-b"]}
    results["final"]["ensembles"].append(best)
    by_kind["joint"]["differences"] = [
        {"minus": "single", "accuracy": 0.133, "low": 0.125, "high": 0.141, "anew": None, "anew_unknown": "unknown"},
        {"minus": "best", "accuracy": 0.081, "low": 0.074, "high": 0.088, "anew": None, "anew_unknown": "unknown"}]
    found = answer(results)
    assert found.sentences[0] == ("Of all single networks within that latency, 1 x net-b is the best on validation "
                                   "and has 86.30 %: +8.10 points [+7.40, +8.80] for 3 times its MACs.")
    assert "13.3" not in " ".join([found.headline, *found.sentences])


def test_it_says_how_many_trials_and_how_much_training_each_arm_had():
    text = " ".join(answer(RESULTS).sentences)
    assert ("Trials: single network: evolution 24 (2.00 T MACs of training) and random 24 (2.00 T MACs of training), "
            "3.90 T with the second trainings; copies of one network: evolution 24") in text


def test_training_is_rounded_as_in_the_reports_table():
    results = copy.deepcopy(RESULTS)
    for arm in results["arms"]:
        arm["train_macs"] = 2.491e9
    assert "24 (2.49 G MACs of training)" in " ".join(answer(results).sentences)


def test_it_says_that_the_best_were_trained_twice_and_whom_that_changed():
    assert ("The best 2 candidates of each kind were trained a second time with new seeds; the winner has the best "
            "mean of both rewards. It named another for single network.") in answer(RESULTS).sentences
    results = copy.deepcopy(RESULTS)
    for row in results["retraining"]["rows"]:
        row["winner"] = row is next(r for r in results["retraining"]["rows"] if r["kind"] == row["kind"])
    assert answer(results).sentences[4].endswith("It named no other.")
    results["retraining"]["rows"][0].update(state=None, reward_second=None, reward_mean=None)
    assert "Of the second trainings that name the winners, 5 of 6 have ended." in answer(results).sentences


@pytest.mark.parametrize("older", [{}, {"retraining": None}])
def test_a_search_without_second_trainings_says_so(older):
    results = {k: v for k, v in RESULTS.items() if k not in ("retraining", "train_macs")} | older
    sentences = answer(results).sentences
    assert ("No candidate was trained a second time before the winners were named, so each may be the luckiest of many."
            ) in sentences
    assert not any("second trainings" in sentence for sentence in sentences)


def test_what_an_earlier_version_compared_gets_no_verdict():
    results = copy.deepcopy(RESULTS)
    del results["final"]["mixing"]
    found = answer(results)
    assert found.verdict == "no-comparison" and "earlier version of Consort" in found.headline


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
    if not {"uniform", "copies"} & set(kinds):
        results["final"]["mixing"] = []
    return results


def test_a_joint_search_that_chose_copies_is_no_mixed_ensemble():
    results = copy.deepcopy(RESULTS)
    results["final"]["ensembles"][3]["networks"] = [SINGLE] * 3
    found = answer(results)
    assert found.verdict == "not-mixed"
    assert "the joint search chose three copies of one network itself: 71.20 % on test." in found.headline


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
