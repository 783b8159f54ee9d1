"""Taking turns: how much of what all share one party may have at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from service.errors import Unavailable

BUSY = "Too much is being written for the account at once; try again shortly."


@dataclass
class _Queue:
    turns: asyncio.Semaphore
    callers: int = 0


class Turns:
    """Each party, an account or a data set, may have `most` turns at a time; what more it asks for waits in order."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queues: dict[int, _Queue] = {}

    @asynccontextmanager
    async def turn(self, party: int | None, seconds: float | None) -> AsyncIterator[None]:
        """Wait for the party's turn, and have it for the block. Raises Unavailable where it does not come in time.

        None is no party, and waits for nobody; or no bound on the wait.
        """
        if party is None:
            yield
            return
        queue = self._queues.setdefault(party, _Queue(asyncio.Semaphore(self._most)))
        queue.callers += 1
        try:
            await _come(queue.turns, seconds)
            try:
                yield
            finally:
                queue.turns.release()
        finally:
            queue.callers -= 1
            if not queue.callers:
                del self._queues[party]


async def _come(turns: asyncio.Semaphore, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await turns.acquire()
    except TimeoutError:
        raise Unavailable(BUSY) from None
