"""Fixtures of the worker's tests: a shop in a database of the test's own, and connections as the worker has them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from service.database import Connection, Database
from service.settings import Settings
from tests import postgres
from tests.tasks.seed import Shop, open_shop

T = TypeVar("T")


@pytest.fixture
def shop(connection: psycopg.Connection[Any]) -> Shop:
    return open_shop(connection)


class AsApp:
    """Runs coroutines that need the database, as the app role."""

    def __init__(self, url: str) -> None:
        self.url = postgres.as_role(url, postgres.APP)
        self.settings = Settings.read({"DATABASE_URL": self.url, "AGENTIC_LEASE_SECONDS": "10"})

    def connected(self, use: Callable[[Connection], Awaitable[T]]) -> T:
        """What `use` returns, given a connection in autocommit."""

        async def run() -> T:
            async with await AsyncConnection.connect(self.url, autocommit=True, row_factory=dict_row) as connection:
                return await use(connection)

        return asyncio.run(run())

    def pooled(self, use: Callable[[Database], Awaitable[T]]) -> T:
        """What `use` returns, given an open pool."""

        async def run() -> T:
            database = Database(self.settings, application_name="test")
            await database.open()
            try:
                return await use(database)
            finally:
                await database.close()

        return asyncio.run(run())


@pytest.fixture
def app(database_url: str) -> AsApp:
    return AsApp(database_url)


@pytest.fixture(params=["18", "15"])
def either_database_url(request: pytest.FixtureRequest) -> str:
    """A database on the newest and on the oldest PostgreSQL that is supported."""
    url: str = request.getfixturevalue("database_url" if request.param == "18" else "pg15_database_url")
    return url


def sync_connection(url: str) -> psycopg.Connection[dict[str, Any]]:
    """A connection as the lease's thread has it."""
    return psycopg.connect(url, autocommit=True, row_factory=dict_row)
