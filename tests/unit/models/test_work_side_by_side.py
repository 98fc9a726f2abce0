"""Pieces of work that a GPU does at the same time, on the path that has no GPU."""

import pytest
import torch

from consort.models import cuda_graphs
from consort.models.families import build

CPU = torch.device("cpu")


def test_on_a_cpu_they_are_done_one_after_the_other():
    done: list[str] = []
    cuda_graphs.side_by_side([lambda: done.append("one"), lambda: done.append("other")], CPU, first=3)
    assert done == ["one", "other"]


def test_members_side_by_side_give_what_each_gives_alone():
    networks = [build(name, 10).eval() for name in ("wrn-10-1", "wrn-10-1", "wrn-10-2")]
    images = [torch.randn(2, 3, 8, 8) for _ in networks]
    given: list[torch.Tensor] = []
    with torch.inference_mode():
        cuda_graphs.side_by_side([lambda n=n, x=x: given.append(n(x)) for n, x in zip(networks, images, strict=True)],
                                 CPU)
        alone = [network(x) for network, x in zip(networks, images, strict=True)]
    assert len(given) == 3 and all(torch.equal(a, b) for a, b in zip(given, alone, strict=True))


def test_what_one_raises_ends_the_others():
    done: list[str] = []
    with pytest.raises(ZeroDivisionError):
        cuda_graphs.side_by_side([lambda: 1 / 0, lambda: done.append("other")], CPU)
    assert done == []
