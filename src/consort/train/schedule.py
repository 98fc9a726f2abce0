"""The learning rate of every step, and the decay of the average. Pure arithmetic."""

from consort.study.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of step 0..steps-1.

    one-cycle: rises linearly to the peak over the first `warmup` share, then falls linearly to 0 (Smith 2018, in its
    triangular form). step: the peak times `decay` after each milestone (Zagoruyko and Komodakis 2016, section 3).
    """
    progress = (step + 0.5) / steps
    if recipe.schedule == "one-cycle":
        share = progress / recipe.warmup if progress < recipe.warmup else (1 - progress) / (1 - recipe.warmup)
        return recipe.learning_rate * share
    passed = sum(progress >= milestone for milestone in recipe.milestones)
    return recipe.learning_rate * recipe.decay**passed


def average_decay(recipe: Recipe, step: int) -> float:
    """What the average keeps of itself in step 0..steps-1: `ema`, and while it is warmed up at most (1 + t) / (10 + t)
    in step t, so that it is the mean of about the last ninth of the steps so far and forgets its random beginning.

    As TensorFlow's ExponentialMovingAverage does that is told the step, and EfficientNet's own training tells it.
    """
    return min(recipe.ema, (1 + step) / (10 + step)) if recipe.ema_warmup else recipe.ema
