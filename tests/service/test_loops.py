"""Cancellations that get lost, as `asyncio.wait_for` of Python 3.11 loses them: they are heeded all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from service import loops
from service.database import Database
from service.loops import end_all
from service.settings import Settings


def cancelled(work: Coroutine[Any, Any, None]) -> bool:
    """Whether it ends as cancelled."""

    async def run() -> bool:
        task = asyncio.ensure_future(work)
        await asyncio.wait([task])
        return task.cancelled()

    return asyncio.run(run())


async def lose_a_cancellation() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(0)


def test_end_all_when_a_loop_loses_its_cancellation_then_it_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "REPEAT_SECONDS", 0.01)
    ended: list[str] = []

    async def deaf() -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("deaf")

    async def run() -> None:
        running = [asyncio.ensure_future(deaf())]
        await asyncio.sleep(0)
        await end_all(running)

    asyncio.run(asyncio.wait_for(run(), 10))
    assert ended == ["deaf"]


def test_end_all_when_a_loop_broke_before_then_it_ends_the_others() -> None:
    async def broken() -> None:
        raise KeyError

    async def run() -> None:
        running = [asyncio.ensure_future(broken()), asyncio.ensure_future(asyncio.Event().wait())]
        await asyncio.sleep(0)
        await end_all(running)  # type: ignore[arg-type]
        assert all(loop.done() for loop in running)

    asyncio.run(run())


@pytest.mark.parametrize("is_statements", [True, False])
def test_connection_when_the_pool_or_a_statement_loses_a_cancellation_then_it_comes_after_it(
    is_statements: bool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    went_on: list[str] = []

    async def work() -> None:
        database = Database(Settings.read({"DATABASE_URL": database_url}), application_name="test")
        await database.open()
        try:
            if not is_statements:
                getconn = database._pool.getconn

                async def losing(timeout: float | None = None) -> Any:
                    await lose_a_cancellation()
                    return await getconn(timeout)

                monkeypatch.setattr(database._pool, "getconn", losing)
            async with database.connection() as connection:
                went_on.append("in the block")
                await connection.execute("SELECT 1")
                await lose_a_cancellation()
            went_on.append("after the block")
        finally:
            await database.close()

    assert cancelled(work())
    assert went_on == (["in the block"] if is_statements else [])
