"""Turns: a party has so many at a time, others do not wait for it, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from service.errors import Unavailable
from service.turns import Turns
from tests import http
from tests.http import Client
from tests.service.conftest import World, make_registry

ASKED = {"execution_key": "summary", "input": {"text": "a"}}


def with_a_held_turn(work: Callable[[Turns], Awaitable[None]]) -> None:
    """Do it while party 1 has its only turn."""

    async def run() -> None:
        turns = Turns(1)
        async with turns.turn(1, None):
            await work(turns)

    asyncio.run(run())


def test_party_that_asks_for_more_than_it_may_have_waits_and_is_told_when_that_takes_too_long() -> None:
    async def ask(turns: Turns) -> None:
        with pytest.raises(Unavailable, match="for the account"):
            async with turns.turn(1, 0.01):
                raise AssertionError("it had a second turn")

    with_a_held_turn(ask)


def test_other_party_and_what_is_nobodys_do_not_wait() -> None:
    async def ask(turns: Turns) -> None:
        async with asyncio.timeout(5), turns.turn(2, None), turns.turn(None, None), turns.turn(None, None):
            pass

    with_a_held_turn(ask)


def test_turn_comes_when_the_one_before_ends_even_with_an_error_or_a_caller_that_left() -> None:
    async def run() -> None:
        turns = Turns(1)

        async def fail() -> None:
            async with turns.turn(1, None):
                await asyncio.sleep(0)
                raise ValueError

        first, left, last = (asyncio.ensure_future(fail()) for _ in range(3))
        await asyncio.sleep(0)
        left.cancel()
        async with asyncio.timeout(5):
            ended = await asyncio.gather(first, left, last, return_exceptions=True)
        assert [type(each) for each in ended] == [ValueError, asyncio.CancelledError, ValueError]

    asyncio.run(run())


@pytest.fixture
def client(database_url: str) -> Iterator[Client]:
    """Of an API with two connections."""
    with http.serving(database_url, make_registry(), AGENTIC_POOL_SIZE="2") as opened:
        yield opened


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
@pytest.mark.parametrize("path", ["", "batch/"])
def test_starts_that_wait_for_a_lock_of_their_account_leave_others_a_connection(
    client: Client, world: World, connection: psycopg.Connection, headers: dict[str, str], path: str
) -> None:
    connection.execute("INSERT INTO limits (scope, scope_id, max_queued) VALUES ('account', %s, 100)", (world.user.id,))
    body = {"items": [ASKED]} if path else ASKED

    def start(_: int) -> int:
        given = {**world.user.headers, **headers}
        return client.post(f"/api/agents/{world.one}/agentic-executions/{path}", json=body, headers=given).status_code

    with ThreadPoolExecutor(4) as callers:
        with connection.transaction():
            connection.execute("SELECT FROM limits FOR UPDATE")
            answers = [callers.submit(start, number) for number in range(4)]
            wait_for_a_waiter(connection)
            for _ in range(5):
                other = client.get("/api/agentic-executions/", headers=world.stranger.headers)
                assert other.status_code == 200, other.text
        assert [answer.result() for answer in answers] == [202] * 4


def wait_for_a_waiter(connection: psycopg.Connection) -> None:
    """Until a statement of the API waits for a lock."""
    waiting = "SELECT FROM pg_stat_activity WHERE application_name = 'agentic-api' AND wait_event_type = 'Lock'"
    for _ in range(1000):
        if connection.execute(waiting).fetchone() is not None:
            return
        connection.execute("SELECT pg_stat_clear_snapshot(), pg_sleep(0.01)")
    raise AssertionError("nothing waits")
