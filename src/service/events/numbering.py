"""Committed events get their positions and are told to every process that listens.

Any process does it that has just committed events, right after; workers also look once a second, for those of a process
that died in between. A notification that is lost costs latency: whoever reads events also polls.
"""

from __future__ import annotations

import asyncio
import logging

from service.database import Database
from service.errors import Unavailable
from service.events import store

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.02
"""Between two looks: so many events in a row are numbered and told together."""


async def number_and_tell(database: Database) -> bool:
    """Number a page of events and notify of them, in two transactions. Whether to look again soon: there may be more,
    or another process holds the lock and does not see what was just committed. Raises Unavailable."""
    async with database.connection() as connection:
        numbered = await store.number_events(connection)
        if numbered.executions:
            await store.tell(connection, numbered)
    return bool(numbered.executions) or not numbered.is_ours


class Numbering:
    """Numbers and tells what this process committed, until nothing is left."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._added = False
        self._task: asyncio.Task[None] | None = None

    def events_added(self) -> None:
        """Call after a commit that wrote events. Returns at once."""
        self._added = True
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    async def close(self) -> None:
        """Wait for what is under way."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._added:
            self._added = False
            try:
                self._added = await number_and_tell(self._database) or self._added
            except Unavailable:
                log.info("events not numbered; a worker does it within a second")
                return
            await asyncio.sleep(PAUSE_SECONDS)
