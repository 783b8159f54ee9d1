"""Positions: each committed event gets one, by whichever process is there, and those that listen are told."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from service.database import Database
from service.events import store
from service.events.numbering import Numbering, number_and_tell
from service.events.store import Numbered
from tests.tasks.conftest import AsApp
from tests.tasks.seed import Shop, open_shop


@pytest.fixture(params=["18", "15"])
def either_database_url(request: pytest.FixtureRequest) -> str:
    """A database on the newest and on the oldest PostgreSQL that is supported."""
    url: str = request.getfixturevalue("database_url" if request.param == "18" else "pg15_database_url")
    return url


def test_numbering_on_either_postgresql_gives_each_committed_event_one_position(either_database_url: str) -> None:
    app = AsApp(either_database_url)
    with psycopg.connect(either_database_url, autocommit=True) as connection:
        shop = open_shop(connection)
        ids = [shop.accept() for _ in range(3)]
        with psycopg.connect(either_database_url) as late:  # not committed while the others are numbered
            late_id = Shop(late, shop.account_id, shop.data_set_id, shop.agent_id).accept()
            numbered = app.connected(store.number_events)
            assert (sorted(numbered.executions), numbered.accounts) == (ids, [shop.account_id])
            assert app.connected(store.number_events) == Numbered(is_ours=True, numbered=0, executions=[], accounts=[])
            late.commit()
        shop.accept()
        assert app.connected(lambda each: store.number_events(each, limit=1)).numbered == 1
        assert app.connected(store.number_events).numbered == 1
        rows = connection.execute("SELECT execution_id, position FROM events ORDER BY position").fetchall()
        assert [position for _, position in rows] == [1, 2, 3, 4, 5]
        assert rows[3][0] == late_id


def test_numbering_while_another_process_is_at_it_comes_back(database_url: str) -> None:
    app = AsApp(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection, psycopg.connect(database_url) as other:
        open_shop(connection).accept()
        other.execute("SELECT pg_advisory_xact_lock(7003)")
        assert app.pooled(number_and_tell) is True
        other.rollback()
        assert app.pooled(number_and_tell) is True
        assert app.pooled(number_and_tell) is False


def test_numbering_tells_whose_events_it_numbered_after_the_commit(database_url: str) -> None:
    app = AsApp(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        shop = open_shop(connection)
        connection.execute(f"LISTEN {store.CHANNEL}".encode())
        execution_id = shop.accept()

        async def number(database: Database) -> None:
            numbering = Numbering(database)
            for _ in range(3):
                numbering.events_added()
            await asyncio.wait_for(numbering.close(), 10)

        app.pooled(number)
        told = [each.payload for each in connection.notifies(timeout=5, stop_after=1)]
        assert told == [f"e{execution_id} a{shop.account_id}"]
        assert connection.execute("SELECT count(*) FROM events WHERE position IS NULL").fetchone() == (0,)


def test_notification_that_would_be_too_long_says_look_at_everything() -> None:
    many = Numbered(is_ours=True, numbered=500, executions=range(10**16, 10**16 + 500), accounts=[])
    assert store.payload(many) == store.EVERYTHING
