"""Procrastinate's worker, made to outlive its database.

Stock, it ends when the database is away for a minute, loses a wake-up that arrives while it fetches, and takes a
deleted ticket for an outage. The names that this file leans on are checked by a test, because the release is pinned.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import psycopg
from procrastinate import PsycopgConnector, exceptions, jobs, manager, worker
from procrastinate.app import App
from psycopg_pool import PoolTimeout

from service.poolers import is_pooled_async
from service.queue import CANCEL_REQUESTED, QUEUE, TASK
from service.workers.store import Identity
from tasks.outage import pauses

log = logging.getLogger(__name__)

T = TypeVar("T")

OUTAGES = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,  # a standby, until the URL leads to the primary again
    PoolTimeout,
    OSError,
)
LAST_WORDS_SECONDS = 5.0


# Among hosts with different definitions, those without the wanted one take most tickets and find nothing. So a worker
# that gets no ticket looks for itself, and makes one in its own hand. A worker that found nothing startable, because
# limits are reached, looks again at its next poll.
TAKE_READY = """
INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id)
SELECT %(queue)s, %(task)s, 'doing', %(worker_id)s
 WHERE EXISTS (SELECT FROM execution_runtime WHERE phase = 'ready' AND definition = ANY (%(offers)s::text[]))
RETURNING id, status::text, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts,
          worker_id
"""


class WakeUp(asyncio.Event):
    """An event whose clear() keeps a set() that came after the fetch began: that fetch may not have seen the job."""

    def __init__(self) -> None:
        super().__init__()
        self._is_new = False

    def fetch_begins(self) -> None:
        """What is set from here on outlives the next clear()."""
        self._is_new = False

    def set(self) -> None:
        self._is_new = True
        super().set()

    def clear(self) -> None:
        if self._is_new:
            self._is_new = False
        else:
            super().clear()


class PatientJobManager(manager.JobManager):
    """Retries while the database is away, until a stop has outlived its grace period. Liveness is the lease's
    business: Procrastinate's heartbeat, pruning and aborts are not used."""

    worker: QueueWorker

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """None when nothing waits, or when told to stop."""
        attempt = 0
        while not self.worker.is_stopping:
            self.worker.wake_up.fetch_begins()
            try:
                # The number may have changed while we waited: a worker that was swept gets a new one.
                current_id = self.worker.worker_id or worker_id
                return await super().fetch_job(queues, current_id) or await self._take_ready(current_id)
            except exceptions.ConnectorException as error:
                if not isinstance(error.__cause__, OUTAGES):
                    raise
            await self.worker.pause(pauses(attempt))
            attempt += 1
        return None

    async def _take_ready(self, worker_id: int) -> jobs.Job | None:
        if not self.worker.may_take:
            return None
        rows = await self.connector.execute_query_all_async(
            TAKE_READY, queue=QUEUE, task=TASK, worker_id=worker_id, offers=self.worker.offers
        )
        return jobs.Job.from_row(rows[0]) if rows else None

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        """A ticket that is gone is finished: another process deleted it, or the reply to our own delete was lost."""
        try:
            await self._outlast(lambda: super(PatientJobManager, self).finish_job(job, status, delete_job))
        except exceptions.ConnectorException as error:
            if not isinstance(error.__cause__, psycopg.errors.RaiseException):
                raise

    async def register_worker(self) -> int:
        """The lease's thread registers with both lists at once."""
        identity = await self.worker.registered()
        return identity.queue_worker_id

    async def unregister_worker(self, worker_id: int) -> None:
        """The lease's thread does it when the last run has ended."""

    async def update_heartbeat(self, worker_id: int) -> None:
        """Not used."""

    async def prune_stalled_workers(self, seconds_since_heartbeat: float) -> list[int]:
        """Not used."""
        return []

    async def list_jobs_to_abort_async(self, queue: str | None = None) -> Iterable[int]:
        """Not used: executions are cancelled, not tickets."""
        return []

    async def listen_for_jobs(
        self, *, on_notification: manager.NotificationCallback, queues: Iterable[str] | None = None
    ) -> None:
        """Listens again whenever listening ends; where LISTEN cannot work, polling does it all."""

        async def tell(*, channel: str, notification: jobs.Notification) -> None:
            if str(notification["type"]) == CANCEL_REQUESTED:
                self.worker.on_cancel()
            else:
                await on_notification(channel=channel, notification=notification)

        attempt = 0
        while True:
            began = time.monotonic()
            try:
                if await self._is_pooled():
                    log.info("not listening through a pooler; polling alone finds tickets")
                    await asyncio.Event().wait()
                await super().listen_for_jobs(on_notification=tell, queues=queues)
            except (exceptions.ConnectorException, *OUTAGES) as error:
                log.info("not listening: %s", str(error.__cause__ or error).strip().splitlines()[:1])
            attempt = 0 if time.monotonic() - began > 1 else attempt + 1
            await asyncio.sleep(pauses(attempt))

    async def _is_pooled(self) -> bool:
        """What LISTEN leaves on a pooler's connection would reach whoever is lent that next."""
        assert isinstance(self.connector, PsycopgConnector)
        async with self.connector.pool.connection() as connection:
            return await is_pooled_async(connection)

    async def _outlast(self, call: Callable[[], Awaitable[T]]) -> T | None:
        attempt = 0
        while True:
            try:
                return await call()
            except exceptions.ConnectorException as error:
                if not isinstance(error.__cause__, OUTAGES):
                    raise
            if self.worker.is_out_of_time:
                return None  # the sweep deletes the ticket
            await asyncio.sleep(pauses(attempt))
            attempt += 1


class QueueWorker(worker.Worker):
    """The stock worker over PatientJobManager. `on_stop` is called once, when told to stop; `on_cancel` when somewhere
    a run is to be cancelled."""

    registered: Callable[[], Awaitable[Identity]]
    on_stop: Callable[[], None]
    on_cancel: Callable[[], None]
    offers: list[str]

    def __init__(self, app: App, **options: Any) -> None:
        super().__init__(app, **options)
        self.wake_up = WakeUp()
        self._new_job_event = self.wake_up
        self._told_to_stop_at: float | None = None
        self._found_nothing_at: float | None = None

    @property
    def may_take(self) -> bool:
        """Whether to look for something startable without a ticket."""
        if self.queues and QUEUE not in self.queues:
            return False
        since = self._found_nothing_at
        return since is None or time.monotonic() - since >= self.fetch_job_polling_interval

    def ticket_ended(self, *, found: bool) -> None:
        """Note whether a ticket found something to claim."""
        self._found_nothing_at = None if found else time.monotonic()

    @property
    def is_stopping(self) -> bool:
        return self._stop_event.is_set()

    @property
    def is_out_of_time(self) -> bool:
        """Whether the grace period of a stop has passed, and a moment more."""
        if self._told_to_stop_at is None:
            return False
        grace = self.shutdown_graceful_timeout
        return grace is not None and time.monotonic() - self._told_to_stop_at > grace + LAST_WORDS_SECONDS

    def stop(self) -> None:
        if self._told_to_stop_at is None:
            self._told_to_stop_at = time.monotonic()
            self.on_stop()
        super().stop()  # type: ignore[no-untyped-call]

    async def pause(self, seconds: float) -> None:
        """Sleep, unless told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop_event.wait()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Outlives errors that are no outage, such as a schema that is about to be migrated."""
        while True:
            try:
                await super().run()  # type: ignore[no-untyped-call]
                return
            except Exception:  # the worker must not end while it may still be of use
                log.exception("queue worker failed; starting it again")
            if self._told_to_stop_at is not None:
                return
            await asyncio.sleep(1.0)

    def job_ids(self) -> set[int]:
        """Tickets in hand."""
        return {context.job.id for context in self._running_jobs.values() if context.job.id is not None}

    def adopt(self, queue_worker_id: int) -> None:
        """Fetch under this number from now on."""
        self.worker_id = queue_worker_id
