"""Samplers: what they promise together, and what each is for."""

import json
import os
import random
import subprocess
import sys
import warnings

import pytest

from consort import samplers
from consort.errors import InputError
from consort.samplers import NAMES, FinishedTrial, check_settings, suggest
from consort.space.choices import Space, StageChoices
from consort.space.objective import Objective

OWN = ("random", "evolution", "local-search", "reinforce")
STAGE = StageChoices(("wide", "mbconv"), (8, 16), (1, 2), (3, 5), (2, 4), (True, False))
ONE = StageChoices(("wide",), (8,), (1,), (3,), (1,), (True,))
SPACE = Space("small", (STAGE, ONE, ONE))
"""40 networks."""
PAIRS = Space("small", (STAGE, ONE, ONE), 2)
LARGE = Space("small", (STAGE, STAGE, STAGE), 3)
OBJECTIVE = Objective(target_latency_ms=1.0)
FAILED = (None, None, None)
SMALL_SETTINGS = {"evolution": {"population": 6, "sample": 3, "initial": 3}, "local-search": {"initial": 3},
                  "tpe": {"startup": 3}, "gp": {"startup": 3}, "nsga2": {"population": 4}}


def judged(space, encoding):
    """A smooth landscape, whose optimum is the last choice of everything."""
    height = sum(encoding) / sum(len(p.choices) - 1 for p in space.parameters)
    return FinishedTrial(encoding, height, height, 0.5 + height)


def history(space, number, seed=0):
    rng, seen = random.Random(seed), {}
    while len(seen) < number:
        seen[space.draw_unseen(rng, seen)] = None
    return [judged(space, encoding) for encoding in seen]


def searched(name, space, trials, at_a_time=1, **options):
    finished = []
    while len(finished) < trials:
        number = min(at_a_time, trials - len(finished))
        finished += [judged(space, e) for e in suggest(name, space, finished, number, **options)]
    return finished


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("objective", [None, OBJECTIVE])
def test_equal_arguments_give_equal_suggestions_and_another_seed_others(name, objective):
    finished, pending = history(LARGE, 12), [e.encoding for e in history(LARGE, 3, seed=1)]
    options = {"pending": pending, "objective": objective, "settings": SMALL_SETTINGS.get(name, {})}
    one, same = (suggest(name, LARGE, finished, 3, seed=5, **options) for _ in range(2))
    assert one == same
    assert suggest(name, LARGE, finished, 3, seed=5, **{**options, "pending": set(pending)}) == one
    assert suggest(name, LARGE, finished, 3, seed=6, **options) != one


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("space", [SPACE, PAIRS, LARGE], ids=["one", "pairs", "large"])
def test_sixteen_at_a_time_are_canonical_and_none_was_proposed_before(name, space):
    finished, pending = history(space, 8), []
    for _ in range(2):
        proposed = suggest(name, space, finished, 16, pending=pending, settings=SMALL_SETTINGS.get(name, {}))
        assert len(proposed) == len(set(proposed)) == 16
        assert all(space.canonical(encoding) == encoding for encoding in proposed)
        assert not set(proposed) & {*pending, *(trial.encoding for trial in finished)}
        pending = proposed


@pytest.mark.parametrize("name", NAMES)
def test_a_space_is_searched_to_its_end_and_then_the_best_come_again(name):
    finished = history(SPACE, SPACE.size - 3)
    rest = suggest(name, SPACE, finished, 8)
    everything = {trial.encoding for trial in finished} | set(rest[:3])
    assert len(everything) == SPACE.size
    best = sorted(finished, key=lambda trial: -trial.reward)
    assert [judged(SPACE, e).reward for e in rest[3:]] == [trial.reward for trial in best[:5]]
    assert suggest(name, SPACE, finished, 2, pending=rest[:3]) == rest[3:5]


@pytest.mark.parametrize("name", NAMES)
def test_a_space_of_one_candidate_is_answered_too(name):
    space = Space("small", (ONE, ONE, ONE), 2)
    only = next(space.candidates())
    assert suggest(name, space, [], 3) == [only] * 3
    assert suggest(name, space, [FinishedTrial(only, *FAILED)], 2, pending=[only]) == [only] * 2
    assert suggest(name, space, [judged(space, only) if False else FinishedTrial(only, 0.5, 0.5, 1.0)], 1) == [only]


@pytest.mark.parametrize("name", NAMES)
def test_failed_trials_are_not_repeated_and_break_nothing(name):
    settings = SMALL_SETTINGS.get(name, {})
    failed = [FinishedTrial(trial.encoding, *FAILED) for trial in history(SPACE, 10)]
    broken = [FinishedTrial(trial.encoding, float("nan"), None, None) for trial in history(SPACE, 14)[10:]]
    known = [FinishedTrial(trial.encoding, 0.5, None, None) for trial in history(SPACE, 18)[14:]]
    for finished in (failed, failed + broken, failed + broken + known):
        proposed = suggest(name, SPACE, finished, 5, settings=settings, objective=OBJECTIVE)
        assert len(set(proposed)) == 5
        assert not set(proposed) & {trial.encoding for trial in finished}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [0, 1, 7])
def test_exactly_as_many_as_asked_for(name, number):
    assert len(suggest(name, PAIRS, [], number)) == number


@pytest.mark.parametrize("name", OWN)
def test_suggestions_one_by_one_are_the_suggestions_at_once(name):
    finished, pending = history(LARGE, 20), []
    for _ in range(6):
        pending += suggest(name, LARGE, finished, 1, pending=pending, seed=3)
    assert suggest(name, LARGE, finished, 6, seed=3) == pending


@pytest.mark.parametrize("name", NAMES)
def test_a_restart_in_the_middle_changes_nothing(name):
    """Another process, with another seed of Python's hashes, goes on where this one stopped."""
    settings = SMALL_SETTINGS.get(name, {})
    whole = searched(name, SPACE, 12, 2, settings=settings, objective=OBJECTIVE)
    program = ("import json, sys; from test_samplers import *; name = sys.argv[1]\n"
               "finished = [judged(SPACE, tuple(e)) for e in json.loads(sys.argv[2])]\n"
               "print(json.dumps(suggest(name, SPACE, finished, 2, settings=SMALL_SETTINGS.get(name, {}),"
               " objective=OBJECTIVE)))")
    encodings = [trial.encoding for trial in whole]
    answer = subprocess.run([sys.executable, "-c", program, name, json.dumps(encodings[:8])], check=True, timeout=120,
                            capture_output=True, text=True, cwd=os.path.dirname(__file__),  # noqa: PTH120
                            env={**os.environ, "PYTHONHASHSEED": "7"}).stdout
    assert [tuple(e) for e in json.loads(answer)] == encodings[8:10]


@pytest.mark.parametrize("name", sorted(set(OWN) - {"random"}))
def test_what_learns_finds_more_than_random_in_a_smooth_landscape(name):
    def found(sampler):
        return sum(max(t.reward for t in searched(sampler, LARGE, 80, 2, seed=seed)) for seed in range(8)) / 8

    assert found(name) > found("random") + 0.02


def test_evolution_mutates_the_best_of_the_youngest():
    old, young = history(LARGE, 10)[0], history(LARGE, 10)[1:]
    finished = [FinishedTrial(old.encoding, 99.0, 1.0, 1.0), *young]
    settings = {"population": 9, "sample": 9, "initial": 1}
    child, = suggest("evolution", LARGE, finished, 1, settings=settings)
    best = max(young, key=lambda trial: trial.reward)
    assert child in LARGE.neighbours(best.encoding) and child not in LARGE.neighbours(old.encoding)


def test_local_search_asks_for_all_neighbours_of_the_best_and_then_of_the_second():
    first, second = sorted(history(LARGE, 10), key=lambda trial: -trial.reward)[:2]
    around = set(LARGE.neighbours(first.encoding))
    finished = history(LARGE, 10)
    left = len(around - {trial.encoding for trial in finished})
    proposed = suggest("local-search", LARGE, finished, left + 1)
    assert set(proposed[:left]) <= around
    assert proposed[left] in LARGE.neighbours(second.encoding)


def test_reinforce_learns_from_each_candidate_what_it_chose():
    good = {i: LARGE.canonical([1] * len(LARGE.parameters)) for i in range(1)}[0]
    bad = LARGE.canonical([0] * len(LARGE.parameters))
    finished = [FinishedTrial(e, r, r, 1.0) for _ in range(60) for e, r in ((good, 1.0), (bad, 0.0))]
    proposed = suggest("reinforce", LARGE, finished, 20)
    assert sum(map(sum, proposed)) / 20 > 0.75 * sum(good)


@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2"])
def test_optuna_keeps_to_the_target_latency(name):
    """Networks of the first width are within the target, all others far beyond it and more accurate."""
    space = Space("small", (StageChoices(("wide",), (8, 16), (1, 2, 3), (3, 5, 7), (1,), (True, False)), ONE, ONE), 2)
    def made(encoding):
        slow = encoding[1] + encoding[19]
        return FinishedTrial(encoding, 0.5 + slow / 8, 0.5 + slow / 8, 0.5 + 5 * slow)

    finished = [made(trial.encoding) for trial in history(space, 60)]
    settings = {"population": 20} if name == "nsga2" else {}
    proposed = suggest(name, space, finished, 8, settings=settings, objective=OBJECTIVE)
    free = suggest(name, space, [FinishedTrial(t.encoding, t.reward, None, None) for t in finished], 8,
                   settings=settings)
    assert sum(e[1] + e[19] for e in proposed) < sum(e[1] + e[19] for e in free)


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_optuna_says_nothing_and_leaves_its_log_level_as_it_was(name, capfd):
    import optuna

    before = optuna.logging.get_verbosity()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        suggest(name, SPACE, history(SPACE, 12), 2, objective=OBJECTIVE)
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "missing"), [("tpe", "optuna"), ("gp", "torch")])
def test_a_package_that_is_not_installed_is_named(name, missing, monkeypatch):
    from consort.samplers import optuna_samplers

    found = optuna_samplers.importlib.util.find_spec
    monkeypatch.setattr(optuna_samplers.importlib.util, "find_spec",
                        lambda package: None if package == missing else found(package))
    with pytest.raises(InputError, match=f"{name} needs {missing}, which is not installed here: pip install"):
        suggest(name, SPACE, [], 1)


@pytest.mark.parametrize(("name", "settings", "rule"), [
    ("evolve", {}, "unknown sampler 'evolve': did you mean .*evolution"),
    ("evolution", {"popluation": 3}, "unknown setting of the sampler evolution 'popluation': did you mean population"),
    ("random", {"population": 3}, "unknown setting of the sampler random"),
    ("evolution", {"population": 0}, "population is a whole number from 1 to 10000, got 0"),
    ("evolution", {"population": "2.5"}, "whole number from 1 to 10000, got '2.5'"),
    ("evolution", {"population": "many"}, "whole number .*, got 'many'"),
    ("evolution", {"population": True}, "whole number .*, got True"),
    ("evolution", {"population": "nan"}, "whole number .*, got 'nan'"),
    ("evolution", {"population": 5, "sample": 6}, "sample is at most population, got 6 of 5"),
    ("local-search", {"initial": "-1"}, "initial is a whole number from 1"),
    ("reinforce", {"learning_rate": 0}, "learning_rate is a number from 0.0001 to 10, got 0"),
    ("reinforce", {"baseline_decay": "1"}, "baseline_decay is a number from 0 to 0.999"),
    ("tpe", {"startup": "inf"}, "startup is a whole number"), ("gp", {"startup": ""}, "startup is a whole number"),
    ("nsga2", {"population": 1}, "population is a whole number from 2")])
def test_settings_are_refused_with_the_rule(name, settings, rule):
    with pytest.raises(InputError, match=rule):
        check_settings(name, settings)
    with pytest.raises(InputError, match=rule):
        suggest(name, SPACE, [], 1, settings=settings)


def test_settings_may_come_as_text():
    for name in NAMES:
        check_settings(name, {})
        check_settings(name, {k: str(v) for k, v in SMALL_SETTINGS.get(name, {}).items()})
    text, numbers = ({"population": kind(6), "sample": kind(3), "initial": kind(3)} for kind in (str, int))
    finished = history(LARGE, 12)
    assert suggest("evolution", LARGE, finished, 4, settings=text) == suggest("evolution", LARGE, finished, 4,
                                                                             settings=numbers)


def test_a_negative_number_is_refused():
    with pytest.raises(InputError, match="0 or more, got -1"):
        suggest("random", SPACE, [], -1)


def test_every_name_has_a_module_with_its_settings():
    assert all(name in samplers._module(name).SETTINGS for name in NAMES)
