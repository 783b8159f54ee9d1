"""The queue's application: `PROCRASTINATE_APP=tasks.app.app procrastinate worker`."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NoReturn

from procrastinate import App, PsycopgConnector, utils
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from service.attached import settings_with_database
from service.database import RECONNECT_SECONDS, configure
from service.errors import SetupError
from service.queue import QUEUE, TASK
from service.settings import Settings
from tasks.queue_worker import PatientJobManager, QueueWorker

POOL_SIZE = 4
POOL_TIMEOUT_SECONDS = 2.0
AUTHOR_THREAD = "author"
THREADS_SECONDS = 1.0

log = logging.getLogger(__name__)


class ExecutionsApp(App):
    """Procrastinate's App with settings read when it is opened, a worker that outlives outages, and what our runs
    need around it. Flags and environment variables of the stock command win over our settings."""

    settings: Settings
    run_ticket: Callable[[], Awaitable[None]]

    def __init__(self) -> None:
        super().__init__(connector=PsycopgConnector())
        self._patient = PatientJobManager(self.connector)
        self.job_manager = self._patient
        self._queue_pool: AsyncConnectionPool[AsyncConnection[Any]] | None = None

    def open_async(self, pool: Any = None) -> utils.AwaitableContext[App]:
        """Opens without waiting for the database. Exits with 2 where none is named."""
        return utils.AwaitableContext(open_coro=self._open, close_coro=self.close_async, return_value=self)

    async def close_async(self) -> None:
        """Close the queue's connections."""
        await self.connector.close_async()
        if self._queue_pool is not None:
            await self._queue_pool.close()

    async def run_worker_async(self, **options: Any) -> None:
        """The worker until it is told to stop. Exits with 2 if a definition cannot be used, saying which."""
        from service.definitions.registry import Registry
        from service.logs import configure_logging

        configure_logging(self.settings)
        try:
            registry = Registry.discover()
        except SetupError as error:
            _refuse(error)
        await self._work(registry, options)

    async def _work(self, registry: Any, options: dict[str, Any]) -> None:
        from service.workers.store import WorkerDescription
        from tasks.lifetime import Lifetime
        from tasks.llm.models import unknown_names
        from tasks.run_execution import run_ticket

        for definition in registry:
            for name in unknown_names(definition.models, self.settings):
                # No reason to refuse: agents may name another model, and only some runs escalate.
                log.warning("no such model here", extra={"definition": definition.reference, "model": name})
        worker = QueueWorker(self, **{**self.defaults(), **options})
        description = WorkerDescription(
            name=worker.worker_name or "worker",
            host=socket.gethostname(),
            pid=os.getpid(),
            offers=[definition.reference for definition in registry],
            models=[definition.model or self.settings.model for definition in registry],
            concurrency=worker.concurrency,
        )
        lifetime = Lifetime(self.settings, registry, description, worker)
        self._patient.worker = worker
        worker.registered, worker.on_stop = lifetime.registered, lifetime.told_to_stop
        worker.on_cancel = lifetime.cancel_asked.set
        worker.offers = list(description.offers)
        self.run_ticket = lambda: run_ticket(lifetime)
        threads = _author_threads(worker.concurrency)
        await lifetime.begin()
        try:
            await worker.run()
        finally:
            await lifetime.end()
            await _end(threads)

    def defaults(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "queues": [QUEUE],
            "name": settings.worker_name or f"{socket.gethostname()}-{os.getpid()}",
            "concurrency": settings.worker_concurrency,
            "fetch_job_polling_interval": settings.poll_seconds,
            "shutdown_graceful_timeout": settings.drain_seconds,
            "delete_jobs": "always",
        }

    async def _open(self) -> None:
        try:
            self.settings = settings_with_database()
        except SetupError as error:
            _refuse(error)
        self._queue_pool = AsyncConnectionPool(
            self.settings.direct_url,
            min_size=1,
            max_size=POOL_SIZE,
            open=False,
            timeout=POOL_TIMEOUT_SECONDS,
            reconnect_timeout=RECONNECT_SECONDS,
            configure=configure,
            kwargs={"application_name": "agentic-worker-queue"},
        )
        await self._queue_pool.open(wait=False)
        await self.connector.open_async(self._queue_pool)


def _author_threads(concurrency: int) -> ThreadPoolExecutor:
    """Threads for author code that blocks: more than runs, because one that timed out still occupies its thread."""
    threads = ThreadPoolExecutor(max_workers=2 * concurrency + 8, thread_name_prefix=AUTHOR_THREAD)
    asyncio.get_running_loop().set_default_executor(threads)
    return threads


async def _end(threads: ThreadPoolExecutor) -> None:
    """Let idle threads end. One that hangs in author code would keep the process for ever: then it is left at once,
    as everything that it ran has been given back."""
    threads.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + THREADS_SECONDS
    while any(thread.name.startswith(AUTHOR_THREAD) for thread in threading.enumerate()):
        if time.monotonic() > deadline:
            log.warning("threads hang in author code; leaving them")
            logging.shutdown()
            os._exit(0)
        await asyncio.sleep(0.02)


def _refuse(error: SetupError) -> NoReturn:
    print(error.detail, file=sys.stderr)  # noqa: T201 - the stock command's own way of telling
    raise SystemExit(2)


app = ExecutionsApp()


@app.task(name=TASK, queue=QUEUE)
async def run_execution() -> None:
    """One ticket: something may be startable."""
    await app.run_ticket()
