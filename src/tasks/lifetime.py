"""What a worker process has for as long as it lives: database, models, definitions, lease, sweep, and its runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Protocol

from service.database import Database
from service.definitions.registry import Registry
from service.executions.recovery import Swept
from service.executions.runtime import Claim
from service.loops import end_all
from service.queue import Notifier
from service.settings import Settings
from service.workers.store import Identity, WorkerDescription
from tasks.attached_files import FileTexts
from tasks.chores import forget_keys, forget_periods, number_events, reconcile, stop_cancelled, sweep_blobs
from tasks.delivering import Deliverer
from tasks.lease import Lease
from tasks.llm.models import Models
from tasks.retaining import retain
from tasks.run_execution import Held
from tasks.scheduling import Scheduler
from tasks.sweep import Sweeper
from tasks.web_pages import WebPages

log = logging.getLogger(__name__)


class Queue(Protocol):
    """What we ask of the queue's worker: which tickets it has in hand, that it takes on a new number, and that it
    knows whether its last ticket found something to claim."""

    def job_ids(self) -> set[int]: ...

    def adopt(self, queue_worker_id: int) -> None: ...

    def ticket_ended(self, *, found: bool) -> None: ...


class Lifetime:
    """Everything that must outlast the last run: ended only after the queue has stopped."""

    def __init__(self, settings: Settings, registry: Registry, description: WorkerDescription, queue: Queue) -> None:
        self.settings = settings
        self.registry = registry
        self.offers = tuple(description.offers)
        self.queue = queue
        self.database = Database(settings, application_name="agentic-worker")
        self.events_added = asyncio.Event()
        self.notifier = Notifier(self.database, on_events=self.events_added.set)
        self.files = FileTexts(settings, self.database)
        self.web = WebPages(settings)
        self.deliverer = Deliverer(settings, self.database)
        self.models = Models(settings, self.files.bytes_of)
        self.is_stopping = False
        self.identity: Identity | None = None
        self.held: dict[Claim, Held] = {}
        self.cancel_asked = asyncio.Event()
        self._identified = asyncio.Event()
        self._lease = Lease(
            settings.direct_url, description, lease_seconds=settings.lease_seconds, on_identity=self._identify
        )
        self._loops: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Start everything; returns at once, also without a database."""
        await self.database.open()
        self._lease.start()
        scheduler = Scheduler(self.settings, self.database, self.registry, self.notifier)
        sweeper = Sweeper(self.settings, on_swept=self._swept)
        for name, coroutine in (
            ("sweep", sweeper.run()),
            ("reconcile", reconcile(self)),
            ("stop cancelled", stop_cancelled(self)),
            ("number events", number_events(self)),
            ("sweep blobs", sweep_blobs(self)),
            ("forget keys", forget_keys(self)),
            ("retention", retain(self.database)),
            ("forget periods", forget_periods(self)),
            ("start schedules", scheduler.run()),
            ("deliver webhooks", self.deliverer.run()),
        ):
            self._loops.append(_keep(name, coroutine))

    async def end(self) -> None:
        """Give up the lease, then the rest. What could not be given back is found by the others' sweep."""
        await end_all(self._loops)
        await self._lease.end()
        await self.notifier.close()
        await self.models.close()
        await self.web.close()
        await self.database.close()

    async def registered(self) -> Identity:
        """This worker's identity, as soon as the database has given one."""
        await self._identified.wait()
        assert self.identity is not None
        return self.identity

    def told_to_stop(self) -> None:
        """From here on a run that stands between two steps gives its execution back."""
        self.is_stopping = True

    def _identify(self, identity: Identity) -> None:
        is_first = self.identity is None
        self.identity = identity
        self._identified.set()
        if is_first:
            return
        self.queue.adopt(identity.queue_worker_id)
        for held in self.held.values():
            held.lose()

    def _swept(self, swept: Swept) -> None:
        if swept.tickets_added:
            self.notifier.ticket_added()
        if swept.events_added:
            self.events_added.set()
        if swept.overdue:
            log.info("overdue executions ended", extra={"ended": swept.overdue})
        if swept.returned or swept.ended:
            log.warning("executions of dead workers", extra={"returned": swept.returned, "ended": swept.ended})


def _keep(name: str, coroutine: Coroutine[None, None, None]) -> asyncio.Task[None]:
    task = asyncio.ensure_future(coroutine)
    task.set_name(name)
    task.add_done_callback(_complain)
    return task


def _complain(task: asyncio.Task[None]) -> None:
    """These loops outlive outages; one that ended otherwise is a defect, and should not end in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s ended", task.get_name(), exc_info=error)
