"""The pool, in the moments when its server is not what it was."""

from __future__ import annotations

import asyncio
from functools import partial
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from service.database import BOUNDS, Connection, Database
from service.errors import Unavailable
from service.settings import Settings
from tests.postgres import frozen


async def write(database: Database) -> None:
    async with database.connection() as connection:
        await connection.execute("INSERT INTO data_sets (name) VALUES ('one')")


async def write_before_long(database: Database) -> None:
    """Within some attempts, though nobody waits for a connection to be told that it broke."""
    for _ in range(100):
        try:
            return await write(database)
        except Unavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("the database never came back")


def test_write_where_the_server_became_a_standby_is_unavailable_until_it_is_a_primary_again(database_url: str) -> None:
    name = sql.Identifier(urlsplit(database_url).path.removeprefix("/"))

    def set_read_only(value: str) -> None:
        with psycopg.connect(database_url, autocommit=True, options="-c default_transaction_read_only=off") as owner:
            owner.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = {}").format(name, value))

    async def fail_over() -> None:
        database = Database(Settings.read({"DATABASE_URL": database_url}), application_name="test")
        set_read_only("on")
        await database.open()
        try:
            with pytest.raises(Unavailable):
                await write(database)
            await asyncio.to_thread(set_read_only, "off")
            await write_before_long(database)  # connections to the standby were closed
        finally:
            await database.close()

    asyncio.run(fail_over())


def test_write_where_every_connection_was_ended_fails_and_soon_goes_on(
    database_url: str, connection: psycopg.Connection
) -> None:
    async def outlive() -> None:
        database = Database(Settings.read({"DATABASE_URL": database_url}), application_name="test")
        await database.open()
        try:
            await write(database)
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'test'")
            with pytest.raises(Unavailable):
                await write(database)
            await write_before_long(database)
        finally:
            await database.close()

    asyncio.run(outlive())
    assert connection.execute("SELECT count(*) FROM data_sets").fetchone() == (2,)


async def backend_of(connection: Connection) -> int:
    row = await (await connection.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    assert row is not None
    return int(row["pid"])


def test_write_where_the_server_says_nothing_any_more_is_unavailable_and_others_take_the_place_of_its_connections(
    database_url: str,
) -> None:
    async def outlive() -> None:
        settings = Settings.read({"DATABASE_URL": database_url, "AGENTIC_POOL_SIZE": "3"})
        database = Database(settings, application_name="test", answer_seconds=0.2)
        await database.open()
        try:
            async with database.connection() as one, database.connection() as two, database.connection() as three:
                processes = {await backend_of(each) for each in (one, two, three)}
            with frozen(*processes):
                async with asyncio.timeout(10):
                    with pytest.raises(Unavailable):
                        await write(database)
                    await write_before_long(database)
                    patient = partial(database.connection, answer_seconds=10)
                    async with patient() as one, patient() as two, patient() as three:
                        assert processes.isdisjoint({await backend_of(each) for each in (one, two, three)})
        finally:
            await database.close()

    asyncio.run(outlive())


def test_transaction_of_a_process_that_is_stopped_within_it_is_ended_by_the_server_and_lets_its_locks_go(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.database.BOUNDS", BOUNDS.replace("10s", "100ms"))
    connection.execute("INSERT INTO data_sets (name) VALUES ('one')")
    connection.execute("SET lock_timeout = '10s'")

    async def write_and_stop(database: Database) -> None:
        async with database.transaction() as stopped:
            await stopped.execute("UPDATE data_sets SET name = 'two'")
            connection.execute("UPDATE data_sets SET name = 'three'")  # meanwhile this process does nothing
            await stopped.execute("SELECT 1")

    async def go_on() -> None:
        database = Database(Settings.read({"DATABASE_URL": database_url}), application_name="test")
        await database.open()
        try:
            with pytest.raises(Unavailable):
                await write_and_stop(database)
            await write_before_long(database)
        finally:
            await database.close()

    asyncio.run(go_on())
    names = connection.execute("SELECT name FROM data_sets ORDER BY id").fetchall()
    assert names == [("three",), ("one",)]


def test_statement_that_waits_for_a_lock_is_given_up_by_the_server_too(
    database_url: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.database.BOUNDS", BOUNDS.replace("10s", "100ms"))

    async def wait() -> None:
        database = Database(Settings.read({"DATABASE_URL": database_url}), application_name="test")
        await database.open()
        try:
            async with asyncio.timeout(10):
                with pytest.raises(Unavailable):
                    await write(database)
        finally:
            await database.close()

    with connection.transaction():
        connection.execute("LOCK TABLE data_sets")
        asyncio.run(wait())
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test' AND state = 'active'"
        assert connection.execute(waiting).fetchone() == (0,)
