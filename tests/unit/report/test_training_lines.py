"""Small lines of how trainings went."""

import re

from consort.report.training_lines import HEIGHT, MAX_POINTS, WIDTH, training_lines


def history(losses: list[float], accuracies: dict[int, float]) -> list[dict]:
    return [{"epoch": i, "loss": loss, "val_accuracy": accuracies.get(i)} for i, loss in enumerate(losses, 1)]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+),([\d.]+)", path)]


def test_lines_share_their_axes_and_what_is_not_known_is_not_drawn():
    found = training_lines([{"id": "a", "history": history([2.0, 1.0, 0.0], {1: 0.5, 3: 0.9})},
                            {"id": "b", "history": history([1.0, 1.0], {2: 0.7})}, {"id": "imported"}])
    assert list(found) == ["a", "b"]
    assert points(found["a"].loss) == [(2, 2), (WIDTH / 2, HEIGHT / 2), (WIDTH - 2, HEIGHT - 2)]
    assert points(found["a"].accuracy) == [(2, HEIGHT - 2), (WIDTH - 2, 2)]
    assert points(found["b"].loss) == [(2, HEIGHT / 2), (WIDTH / 2, HEIGHT / 2)]
    assert found["b"].accuracy == ""
    assert found["a"].words == "loss 2 after the first epoch, 0 after epoch 3, 90.00 % on validation at the end"


def test_of_many_epochs_some_are_drawn_and_the_last_always_is():
    line = points(training_lines([{"id": "a", "history": history([float(i) for i in range(500)], {})}])["a"].loss)
    assert len(line) <= MAX_POINTS and line[-1] == (WIDTH - 2, 2)
