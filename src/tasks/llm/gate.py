"""How many questions a worker has open at one model at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Lets so many in at once; the rest wait in the order in which they came."""

    def __init__(self, concurrency: int) -> None:
        self._places = asyncio.Semaphore(concurrency)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One place, held as long as the context."""
        async with self._places:
            yield
