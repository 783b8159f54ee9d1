"""How long an answer about a token is kept, and that equal questions are asked once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg
import pytest

from service.accounts import access
from service.accounts.access import Authenticator, Principal
from service.database import Connection, Database
from service.settings import Settings
from tests import http


class CountingDatabase(Database):
    """Counts how often a connection was taken, and tells when one was."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, application_name="test")
        self.taken = 0
        self.was_asked = asyncio.Event()

    @asynccontextmanager
    async def connection(
        self, *, answer_seconds: float | None = None, party: int | None = None
    ) -> AsyncIterator[Connection]:
        self.taken += 1
        self.was_asked.set()
        async with super().connection(answer_seconds=answer_seconds, party=party) as connection:
            yield connection


def check(database_url: str, body: Callable[[CountingDatabase, Authenticator], Awaitable[None]]) -> None:
    async def run() -> None:
        database = CountingDatabase(Settings.read({"DATABASE_URL": database_url}))
        await database.open()
        try:
            await body(database, Authenticator(database))
        finally:
            await database.close()

    asyncio.run(run())


def test_second_look_at_a_token_asks_no_database(database_url: str, connection: psycopg.Connection) -> None:
    account = http.create_account(connection, "user")

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        first = await authenticator.principal(account.token)
        assert first == await authenticator.principal(account.token) == Principal(account.id, is_admin=False)
        assert database.taken == 1

    check(database_url, body)


def test_equal_questions_at_once_share_one_query(database_url: str, connection: psycopg.Connection) -> None:
    account = http.create_account(connection, "user")

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        found = await asyncio.gather(*(authenticator.principal(account.token) for _ in range(20)))
        assert len(set(found)) == 1
        assert database.taken == 1

    check(database_url, body)


def test_malformed_token_asks_no_database(database_url: str) -> None:
    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        assert await authenticator.principal("agt_" + "a" * 49) is None
        assert database.taken == 0

    check(database_url, body)


def test_unknown_token_is_not_remembered(database_url: str, connection: psycopg.Connection) -> None:
    account = http.create_account(connection, "user")
    connection.execute("UPDATE accounts SET is_active = false")

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        assert await authenticator.principal(account.token) is None
        connection.execute("UPDATE accounts SET is_active = true")
        assert await authenticator.principal(account.token) is not None

    check(database_url, body)


def test_disabled_account_is_refused_when_the_cache_has_run_out(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "CACHE_SECONDS", 0.05)
    account = http.create_account(connection, "user")

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        assert await authenticator.principal(account.token) is not None
        connection.execute("UPDATE accounts SET is_active = false")
        deadline = time.monotonic() + 5
        while await authenticator.principal(account.token) is not None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    check(database_url, body)


def test_token_that_expires_is_not_kept_longer_than_it_lives(database_url: str, connection: psycopg.Connection) -> None:
    account = http.create_account(connection, "user")
    connection.execute("UPDATE tokens SET expires_at = now() + interval '0.3 s'")

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        assert await authenticator.principal(account.token) is not None
        started = time.monotonic()
        while await authenticator.principal(account.token) is not None:
            assert time.monotonic() - started < access.CACHE_SECONDS / 2
            await asyncio.sleep(0.01)

    check(database_url, body)


def test_forgotten_tokens_are_looked_up_again(database_url: str, connection: psycopg.Connection) -> None:
    account = http.create_account(connection, "user")

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        await authenticator.principal(account.token)
        authenticator.forget()
        await authenticator.principal(account.token)
        assert database.taken == 2

    check(database_url, body)


def test_answer_that_was_under_way_when_told_to_forget_is_not_kept(
    database_url: str, connection: psycopg.Connection
) -> None:
    account = http.create_account(connection, "user")

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        asked = asyncio.ensure_future(authenticator.principal(account.token))
        await database.was_asked.wait()
        authenticator.forget()
        assert await asked is not None
        await authenticator.principal(account.token)
        assert database.taken == 2

    check(database_url, body)


def test_cache_is_bounded(database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "CACHE_SIZE", 2)
    tokens = [http.create_account(connection, f"user {number}").token for number in range(3)]

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        for token in [*tokens, tokens[2], tokens[0]]:
            assert await authenticator.principal(token) is not None
        assert database.taken == 4  # the oldest was given up, the newest not

    check(database_url, body)


def test_caller_who_gives_up_does_not_end_the_query_of_others(
    database_url: str, connection: psycopg.Connection
) -> None:
    account = http.create_account(connection, "user")

    async def body(database: CountingDatabase, authenticator: Authenticator) -> None:
        impatient = asyncio.ensure_future(authenticator.principal(account.token))
        patient = asyncio.ensure_future(authenticator.principal(account.token))
        await database.was_asked.wait()
        impatient.cancel()
        assert await patient == Principal(account.id, is_admin=False)

    check(database_url, body)
