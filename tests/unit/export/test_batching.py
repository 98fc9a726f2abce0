"""Requests that arrive together run together, and each gets its own answer."""

import asyncio

import numpy as np

from consort.export.batching import Batcher, Full
from consort.export.counts import Counts


def mirrored(images: np.ndarray):
    """Stands for a graph: every image's first pixel, and as many members asked."""
    firsts = images[:, 0].astype(np.float32)
    return firsts[:, None], firsts.astype(np.int32)


def requests(*sizes: int) -> list[np.ndarray]:
    """Images [n, 1] that all differ."""
    return np.split(np.arange(sum(sizes))[:, None], np.cumsum(sizes)[:-1])


def answered(batcher: Batcher, asked: list[np.ndarray], deadline: float = 60.0):
    """The answers, or errors, of requests that are made at once."""
    async def all_of_them():
        worker = asyncio.create_task(batcher.work())
        found = await asyncio.gather(*(batcher.answer(images, deadline) for images in asked), return_exceptions=True)
        worker.cancel()
        return found
    return asyncio.run(all_of_them())


def test_each_request_gets_the_answers_to_its_own_images():
    asked = requests(1, 3, 2, 70, 1)
    for images, (probabilities, counts) in zip(asked, answered(Batcher(mirrored, largest=4), asked), strict=True):
        np.testing.assert_array_equal(probabilities, images)
        np.testing.assert_array_equal(counts, images[:, 0])


def test_what_arrives_together_is_one_pass_up_to_the_largest():
    passes = []
    batcher = Batcher(mirrored, largest=4, delay_seconds=0.2, seen=lambda images, seconds: passes.append(images))
    answered(batcher, requests(1, 1, 1, 1, 3, 2, 9))
    assert passes == [4, 3, 2, 9], "none is split, none overtakes another"


def test_more_than_may_wait_is_refused_and_what_was_answered_makes_room():
    batcher = Batcher(mirrored, most_waiting=5)
    first, second, third = answered(batcher, requests(3, 3, 2))
    assert isinstance(second, Full) and not isinstance(first, BaseException) and not isinstance(third, BaseException)
    assert batcher.num_waiting == 0


def test_an_error_of_the_graph_is_told_to_those_who_asked_and_the_next_are_served():
    def only_even(images: np.ndarray):
        if images[0, 0] % 2:
            raise RuntimeError("odd")
        return mirrored(images)

    even, odd, again = answered(Batcher(only_even, largest=1), requests(1, 1, 1))
    assert isinstance(odd, RuntimeError)
    assert even[1].tolist() == [0] and again[1].tolist() == [2]


def test_who_waits_too_long_is_told_and_not_computed():
    passes = []
    batcher = Batcher(mirrored, delay_seconds=0.3, seen=lambda images, seconds: passes.append(images))
    (late,) = answered(batcher, requests(1), deadline=0.01)
    assert isinstance(late, TimeoutError) and passes == []


def test_counts_are_prometheus_text():
    counts = Counts()
    counts.requests["/metrics", 200] += 2
    counts.images[1] += 5
    for seconds in (0.0005, 0.001, 0.3, 99):
        counts.seconds.see(seconds)
    lines = counts.text(waiting=7).splitlines()
    assert 'consort_requests_total{route="/metrics",code="200"} 2' in lines
    assert 'consort_images_total{members_asked="1"} 5' in lines and "consort_images_waiting 7" in lines
    assert 'consort_request_seconds_bucket{le="0.001"} 2' in lines, "bounds are inclusive"
    assert 'consort_request_seconds_bucket{le="0.5"} 3' in lines
    assert 'consort_request_seconds_bucket{le="+Inf"} 4' in lines and "consort_request_seconds_count 4" in lines
