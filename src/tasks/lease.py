"""This worker's lease: registered and renewed by a thread of its own, for as long as the event loop ticks.

A worker whose loop is blocked, or whose process is stopped, lets its lease run out and is swept by the others. When
it comes back it finds its row gone, registers under a new identity, and what it ran is no longer its own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable

import psycopg
from psycopg.rows import dict_row

from service.database import direct_conninfo
from service.workers.store import Identity, SyncConnection, WorkerDescription, register, renew, unregister
from tasks.outage import pauses

log = logging.getLogger(__name__)

RENEWALS_PER_LEASE = 5
STOP_SECONDS = 5.0


class Lease:
    """The thread and the tick that it watches. `on_identity` is called in the event loop, at first and after each
    time that this worker was swept."""

    def __init__(
        self,
        url: str,
        description: WorkerDescription,
        *,
        lease_seconds: float,
        on_identity: Callable[[Identity], None],
    ) -> None:
        self._url = url
        self._description = description
        self._lease_seconds = lease_seconds
        self._interval = lease_seconds / RENEWALS_PER_LEASE
        self._on_identity = on_identity
        self._identity: Identity | None = None
        self._ticked_at = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def start(self) -> None:
        """Begin to register, from the event loop that is to be watched. Waits for the database as long as it takes."""
        self._loop = asyncio.get_running_loop()
        self._tick()
        self._thread.start()

    async def end(self) -> None:
        """Unregister and stop, best effort: a row that stays is swept when its lease has run out."""
        self._ending.set()
        deadline = time.monotonic() + STOP_SECONDS
        # Not joined in a thread of the pool: those may all hang in author code.
        while self._thread.is_alive() and time.monotonic() < deadline:  # noqa: ASYNC110 - a thread tells no event
            await asyncio.sleep(0.02)
        self._next_tick.cancel()

    def _tick(self) -> None:
        self._ticked_at = time.monotonic()
        self._next_tick = self._loop.call_later(self._interval / 2, self._tick)

    def _run(self) -> None:
        failures = 0
        while not self._ending.is_set():
            try:
                with psycopg.connect(
                    direct_conninfo(self._url, "agentic-worker-lease"),
                    autocommit=True,
                    row_factory=dict_row,
                    prepare_threshold=None,
                ) as connection:
                    self._hold(connection)
                    failures = 0
            except psycopg.Error as error:
                if failures == 0:
                    log.warning("lease cannot be renewed: %s", str(error).strip().splitlines()[:1])
                self._ending.wait(min(pauses(failures), self._interval))
                failures += 1

    def _hold(self, connection: SyncConnection) -> None:
        while True:
            if self._identity is None:
                self._register(connection)
            elif self._is_ticking():
                worker_id = self._identity.worker_id
                if not renew(connection, worker_id, lease_seconds=self._lease_seconds):
                    log.warning("worker was taken for dead; registering anew", extra={"worker_id": worker_id})
                    self._identity = None
                    continue
            else:
                log.warning("event loop is blocked; the lease is not renewed")
            if self._ending.wait(self._interval):
                break
        if self._identity is not None:
            unregister(connection, self._identity.worker_id)

    def _register(self, connection: SyncConnection) -> None:
        identity = register(connection, self._description, lease_seconds=self._lease_seconds)
        self._identity = identity
        log.info("worker registered", extra={"worker_id": identity.worker_id})
        self._loop.call_soon_threadsafe(self._on_identity, identity)

    def _is_ticking(self) -> bool:
        return time.monotonic() - self._ticked_at < self._lease_seconds
