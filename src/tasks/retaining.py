"""Retention in the worker: one process at a time forgets what is due, a batch per transaction, and closes days."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import psycopg

from service.database import Connection, Database
from service.errors import Unavailable
from service.retention import store

log = logging.getLogger(__name__)

LOOK_SECONDS = 60.0
BATCH = 100
PAUSE_SECONDS = 0.05  # between batches: what runs comes first


async def retain(database: Database, *, every_seconds: float = LOOK_SECONDS) -> None:
    """Once a minute, all that is due. Waits out an outage and goes on."""
    while True:
        await asyncio.sleep(every_seconds)
        try:
            await retain_once(database)
        except Unavailable:
            continue
        except psycopg.Error as error:
            log.error("retention failed", exc_info=error)


async def retain_once(database: Database) -> None:
    """Everything that is due now, batch after batch; nothing while another process is at it."""
    for step in (store.close_day, _erase_contents, _delete_executions):
        has_more = True
        while has_more:
            has_more = await _step(database, step)
            await asyncio.sleep(PAUSE_SECONDS)


async def _step(database: Database, step: Callable[[Connection], Awaitable[bool | int]]) -> bool:
    async with database.transaction() as connection:
        return await store.lock(connection) and bool(await step(connection))


async def _erase_contents(connection: Connection) -> int:
    erased = await store.erase_contents(connection, await store.due_contents(connection, limit=BATCH))
    if erased:
        log.info("contents erased, their time was over", extra={"executions": erased})
    return erased


async def _delete_executions(connection: Connection) -> int:
    ids = await store.due_executions(connection, limit=BATCH)
    deleted = await store.delete(connection, ids) if ids else 0
    if deleted:
        log.info("executions deleted, their time was over", extra={"executions": deleted})
    return deleted
