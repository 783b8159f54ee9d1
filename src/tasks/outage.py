"""Waiting out a database outage: what a run has in hand is kept in memory until the database takes it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from service.database import Connection, Database
from service.errors import Unavailable

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0
REFUSED_CLASS = "54"  # program limit exceeded: psycopg files it under outages, but it would fail for ever


def pauses(attempt: int) -> float:
    """Seconds to wait after this many failed attempts: doubling, at most one second, spread over its upper half."""
    longest = min(FIRST_PAUSE_SECONDS * 2.0 ** min(attempt, 10), LONGEST_PAUSE_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter


async def outlast(database: Database, operation: Callable[[Connection], Awaitable[T]]) -> T:
    """Do it, and do it again for as long as the database is away. It must be safe to repeat: a reply may be lost
    after the commit. Ends by success, by another error, or by being cancelled."""
    attempt = 0
    while True:
        try:
            async with database.connection() as connection:
                return await operation(connection)
        except Unavailable as error:
            if is_refusal(error.__cause__):
                raise
        except psycopg.errors.ReadOnlySqlTransaction:
            pass  # a standby, until the URL leads to the primary again
        await asyncio.sleep(pauses(attempt))
        attempt += 1


def is_refusal(error: BaseException | None) -> bool:
    """Whether the database refused the statement for its size, and would again."""
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(REFUSED_CLASS)
