"""What arrives together runs together: images of several requests in one pass of a bundle's graph.

This file is part of every bundle, beside what uses it, and needs numpy alone.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from consort.plurals import are, counted

Answer = tuple[np.ndarray, np.ndarray]
"""Probabilities [n, classes] and members_asked [n]."""


class Full(Exception):
    """More images wait than may."""


@dataclass
class Waiting:
    """The images of one request."""

    images: np.ndarray
    answer: asyncio.Future[Answer]
    since: float = field(default_factory=time.perf_counter)


class Batcher:
    """One pass at a time, of at most `largest` images; a pass waits up to `delay_seconds` for more to arrive."""

    def __init__(self, run: Callable[[np.ndarray], Answer], largest: int = 64, delay_seconds: float = 0.002,
                 most_waiting: int = 4096, seen: Callable[[int, float], None] = lambda images, seconds: None) -> None:
        self.run, self.largest, self.delay_seconds, self.most_waiting, self.seen = (
            run, largest, delay_seconds, most_waiting, seen)
        self.queue: asyncio.Queue[Waiting] = asyncio.Queue()
        self.num_waiting = 0
        self.thread = ThreadPoolExecutor(1)

    async def answer(self, images: np.ndarray, deadline_seconds: float) -> Answer:
        """The answer to uint8 [n, height, width, 3]; raises Full, and TimeoutError after the deadline."""
        if self.num_waiting + len(images) > self.most_waiting:
            raise Full(f"{counted(self.num_waiting, 'image')} {are(self.num_waiting)} waiting already, and at most "
                       f"{self.most_waiting} may")
        request = Waiting(images, asyncio.get_running_loop().create_future())
        self.num_waiting += len(images)
        try:
            self.queue.put_nowait(request)
            return await asyncio.wait_for(request.answer, deadline_seconds)
        finally:
            self.num_waiting -= len(images)

    async def work(self) -> None:
        """Answer requests until it is cancelled."""
        loop, left = asyncio.get_running_loop(), None
        while True:
            requests, left = await self._together(left)
            if not requests:
                continue
            started = time.perf_counter()
            images = np.concatenate([request.images for request in requests])
            try:
                probabilities, asked = await loop.run_in_executor(self.thread, self.run, images)
            except Exception as e:  # whatever the graph raises is the answer to those who asked
                for request in requests:
                    if not request.answer.done():
                        request.answer.set_exception(e)
                continue
            self.seen(len(images), time.perf_counter() - started)
            first = 0
            for request in requests:
                last = first + len(request.images)
                if not request.answer.done():
                    request.answer.set_result((probabilities[first:last], asked[first:last]))
                first = last

    async def _together(self, left: Waiting | None) -> tuple[list[Waiting], Waiting | None]:
        """Requests for one pass, and one that came too and does not fit into it. Those that nobody waits for any more
        are dropped; a request larger than a pass has one of its own."""
        requests = [left if left is not None else await self.queue.get()]
        count, until = len(requests[0].images), time.perf_counter() + self.delay_seconds
        left = None
        while count < self.largest:
            try:
                further = self.queue.get_nowait()
            except asyncio.QueueEmpty:
                remaining = until - time.perf_counter()
                if remaining <= 0:
                    break
                try:
                    further = await asyncio.wait_for(self.queue.get(), remaining)
                except TimeoutError:
                    break
            if count + len(further.images) > self.largest:
                left = further
                break
            requests.append(further)
            count += len(further.images)
        return [request for request in requests if not request.answer.done()], left
