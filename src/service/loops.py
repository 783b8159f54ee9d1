"""Loops that a process has beside its work, and cancellations that get lost.

`asyncio.wait_for` of Python 3.11 returns what it waited for where that came in the very moment of a cancellation, and
the cancellation is gone. Drivers and pools wait with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

REPEAT_SECONDS = 6.0
"""Longer than what any loop does last when it is told to end."""


async def end_all(loops: Iterable[asyncio.Task[None]]) -> None:
    """Cancel them until each has ended."""
    loops = list(loops)
    pending = {loop for loop in loops if not loop.done()}
    while pending:
        for loop in pending:
            loop.cancel()
        _, pending = await asyncio.wait(pending, timeout=REPEAT_SECONDS)
    await asyncio.gather(*loops, return_exceptions=True)


class Cancellations:
    """What this task was asked since the object was made, by anybody: looked at after waits that may lose it."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._before = self._task.cancelling() if self._task else 0

    def heed(self) -> None:
        """Raises asyncio.CancelledError where one was asked and nobody has raised it."""
        if self._task is not None and self._task.cancelling() > self._before:
            raise asyncio.CancelledError
