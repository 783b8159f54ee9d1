"""The only door to Procrastinate from our side: the queue's names, and the notification that follows a commit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from service.database import Database
from service.errors import Unavailable

log = logging.getLogger(__name__)

QUEUE = "executions"
TASK = "run_execution"
CHANNEL = f"procrastinate_queue_v1#{QUEUE}"  # a worker with a queue list listens to this one alone
NOTIFICATION = '{"type": "job_inserted", "job_id": 0}'
CANCEL_REQUESTED = "cancel_requested"
CANCELS = f'{{"type": "{CANCEL_REQUESTED}", "job_id": 0}}'
"""The second notification on the channel, which Procrastinate passes over: a run is to be cancelled."""

TICKET = f"procrastinate_defer_jobs_v1(ARRAY[ROW('{QUEUE}', '{TASK}', 0, NULL, NULL, '{{}}', NULL)" \
    "::procrastinate_job_to_defer_v1])"  # fmt: skip
"""SQL expression that defers one ticket: "something may be startable". It carries nothing; the claim picks."""

NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%s, %s)"
COALESCE_SECONDS = 0.002


class Notifier:
    """Sends one notification for all tickets committed within two milliseconds, after their commits.

    A commit with a pending NOTIFY holds a lock of the whole database through its flush; so no transaction that writes
    a fact issues one. A notification that is lost costs latency: workers also poll.
    """

    def __init__(self, database: Database, *, on_events: Callable[[], None] = lambda: None) -> None:
        """`on_events` is called after every commit that this one is told of: each of them wrote events as well."""
        self._database = database
        self._on_events = on_events
        self._sending: dict[str, asyncio.Task[None]] = {}

    def ticket_added(self) -> None:
        """Call after the commit that added a ticket, and an event. Returns at once."""
        self.events_added()
        self._notify(NOTIFICATION)

    def cancel_asked(self) -> None:
        """The same after a cancel was asked of a run that a worker has."""
        self.events_added()
        self._notify(CANCELS)

    def events_added(self) -> None:
        """Call after a commit that added an event and no ticket. Returns at once."""
        self._on_events()

    async def close(self) -> None:
        """Wait for notifications under way."""
        if self._sending:
            await asyncio.wait(self._sending.values())

    def _notify(self, payload: str) -> None:
        sending = self._sending.get(payload)
        if sending is None or sending.done():
            self._sending[payload] = asyncio.ensure_future(self._send(payload))

    async def _send(self, payload: str) -> None:
        await asyncio.sleep(COALESCE_SECONDS)
        self._sending.pop(payload, None)  # what commits from here on needs a notification of its own
        try:
            async with self._database.connection() as connection:
                await connection.execute(NOTIFY, (CHANNEL, payload))
        except Unavailable:
            log.info("notification not sent; workers poll")
