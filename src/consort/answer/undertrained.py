"""Signs that networks were trained too briefly: the usual reason for a first study's surprising answer."""

import math
from collections.abc import Sequence

from consort.answer.choices import Candidate
from consort.answer.evidence import Evidence, behind
from consort.answer.metric import against
from consort.members.history import Epoch

STEEP = 0.05
"""A loss that falls by this share in the last epoch still falls."""


def still_improving(epochs: Sequence[Epoch], val_images: int) -> bool:
    """Whether a training ended while its network still improved.

    By the accuracy on validation where it is known of more than the last epoch: whether the last is above all before by
    more than a standard error. Else by the loss of the last two epochs.
    """
    judged = [epoch.val_accuracy for epoch in epochs if epoch.val_accuracy is not None]
    if len(judged) > 1:
        *before, last = judged
        return last - max(before) > math.sqrt(last * (1 - last) / val_images)
    return len(epochs) > 1 and epochs[-1].loss < (1 - STEEP) * epochs[-2].loss


def undertrained(candidates: Sequence[Candidate], evidence: Evidence, improving: Sequence[str],
                 metric: str = "accuracy") -> list[str]:
    """What is to be said of it. improving: architectures whose training ended while they still improved."""
    said = _smaller_is_better(candidates, evidence, metric)
    if improving:
        verb, they = ("was", "it") if len(improving) == 1 else ("were", "they")
        said.append(f"{', '.join(improving)} {verb} still improving when training ended: {they} may be undertrained.")
    return said


def _smaller_is_better(candidates: Sequence[Candidate], evidence: Evidence, metric: str) -> list[str]:
    """The dearest single that validation puts clearly (by two standard errors) below a cheaper one."""
    singles = sorted((i for i, one in enumerate(candidates) if one.kind == "single"),
                     key=lambda i: candidates[i].costs.macs)
    for place, large in reversed(list(enumerate(singles))):
        for small in singles[:place]:
            lead, error = behind(evidence.val, small, [large], evidence.one_image[0])
            if lead[0] > 2 * error[0] and candidates[small].costs.macs < candidates[large].costs.macs:
                return [_below(candidates[large], candidates[small], metric)]
    return []


def _below(large: Candidate, small: Candidate, metric: str) -> str:
    values = against(metric, large.val.value, small.val.value)
    return (f"{large.architectures[0]} is {'worse than' if metric == 'nll' else 'below'} the smaller "
            f"{small.architectures[0]} on validation ({values}): it may be undertrained. Train it longer before "
            "concluding that large networks lose.")
