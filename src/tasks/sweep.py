"""The sweep: each second one of the workers takes from dead ones what they held, and moves on what is due.

Nothing is taken on the strength of one look. A worker that was paused, or a database that was away, makes every
lease look expired; so a sweeper trusts expired leases only after it has looked, without a gap, for a whole lease.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from service.database import Connection, direct_conninfo
from service.executions import recovery
from service.executions.recovery import Swept
from service.settings import Settings
from service.workers import store as workers

log = logging.getLogger(__name__)

LONGEST_INTERVAL_SECONDS = 1.0


class Trust:
    """Whether expired leases may be believed: after looks without a gap over half a lease, for one lease."""

    def __init__(self, lease_seconds: float, *, now: Callable[[], float] = time.monotonic) -> None:
        self._lease_seconds = lease_seconds
        self._now = now
        self._since: float | None = None
        self._last = 0.0

    def looked(self) -> bool:
        """Note a look that reached the database. Call it after the first reply of the look: then a database or a
        process that hung in between shows as the gap that it was."""
        now = self._now()
        if self._since is None or now - self._last > self._lease_seconds / 2:
            self._since = now
        self._last = now
        return now - self._since >= self._lease_seconds

    def reset(self) -> None:
        """Note a look that failed."""
        self._since = None


class Sweeper:
    """Sweeps until cancelled, on a connection of its own. `on_swept` is told what each sweep did."""

    def __init__(self, settings: Settings, *, on_swept: Callable[[Swept], None]) -> None:
        self._settings = settings
        self._trust = Trust(settings.lease_seconds)
        self._interval = min(LONGEST_INTERVAL_SECONDS, settings.lease_seconds / 5)
        self._on_swept = on_swept

    async def run(self) -> None:
        """Outlives every error: without a sweep, what a dead worker held would stay held."""
        while True:
            try:
                async with await AsyncConnection.connect(
                    direct_conninfo(self._settings.direct_url, "agentic-worker-sweep"),
                    autocommit=True,
                    row_factory=dict_row,
                    prepare_threshold=None,
                ) as connection:
                    await self._sweep_each_interval(connection)
            except psycopg.Error as error:
                log.warning("sweep failed: %s", str(error).strip().splitlines()[:1])
            self._trust.reset()
            await asyncio.sleep(self._interval)

    async def _sweep_each_interval(self, connection: Connection) -> None:
        while True:
            self._on_swept(await self._sweep(connection))
            await asyncio.sleep(self._interval)

    async def _sweep(self, connection: Connection) -> Swept:
        """One look. Leases are compared with the transaction's start, which is before `looked`: a pause after it
        makes no further lease look expired."""
        async with connection.transaction():
            is_locked = await recovery.lock(connection, idle_seconds=self._settings.lease_seconds / 2)
            is_trusted = self._trust.looked()
            if not is_locked:
                return Swept()
            if is_trusted:
                for name in await workers.delete_expired(connection):
                    log.warning("worker is dead; taking over what it held", extra={"worker": name})
            swept = await recovery.sweep(
                connection,
                max_losses=self._settings.max_losses,
                unavailable_seconds=self._settings.unavailable_seconds,
            )
            await workers.delete_leftovers(connection)
            return swept
