"""What a sweep takes from dead workers, and when it believes that they are dead."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import psycopg
import pytest

from service.database import Connection
from service.executions import recovery, runtime
from service.executions.recovery import Swept
from service.executions.runtime import Claim
from service.workers import store as workers
from tasks.budget import Spend
from tasks.database_journal import DatabaseJournal
from tasks.sweep import Trust
from tests.tasks.conftest import AsApp
from tests.tasks.holding import add_worker, claim, hold
from tests.tasks.seed import Shop, open_shop
from tests.tasks.test_journal import ANSWER, CALL, journalled, turn


def sweep(app: AsApp, *, max_losses: int = 3, unavailable_seconds: float = 3600, is_trusted: bool = True) -> Swept:
    async def once(connection: Connection) -> Swept:
        async with connection.transaction():
            assert await recovery.lock(connection, idle_seconds=10)
            if is_trusted:
                await workers.delete_expired(connection)
            swept = await recovery.sweep(connection, max_losses=max_losses, unavailable_seconds=unavailable_seconds)
            await workers.delete_leftovers(connection)
            return swept

    return app.connected(once)


def expire(connection: psycopg.Connection[Any]) -> None:
    connection.execute("UPDATE workers SET lease_until = now() - interval '1 second'")


def one(connection: psycopg.Connection[Any], statement: str) -> Any:
    return connection.execute(statement).fetchone()


async def release(held: Claim, seconds: float, connection: Connection) -> bool:
    return await runtime.release(connection, held, resume_in_seconds=seconds)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def looks(trust: Trust, clock: Clock, *gaps: float) -> list[bool]:
    seen = []
    for gap in gaps:
        clock.now += gap
        seen.append(trust.looked())
    return seen


def test_trust_comes_after_a_lease_of_looks_without_a_gap() -> None:
    clock = Clock()
    assert looks(Trust(10, now=clock), clock, 0, 4, 4, 4) == [False, False, False, True]


def test_trust_is_lost_by_a_gap_over_half_a_lease() -> None:
    clock = Clock()
    trust = Trust(10, now=clock)
    assert looks(trust, clock, 0, 5, 5, 5.1, 5, 4.9, 0.2) == [False, False, True, False, False, False, True]


def test_trust_is_lost_by_a_failed_look() -> None:
    clock = Clock()
    trust = Trust(10, now=clock)
    assert looks(trust, clock, 0, 5, 5)[-1]
    trust.reset()
    assert looks(trust, clock, 1, 5, 4.9, 0.2) == [False, False, False, True]


def test_sweep_on_either_postgresql_returns_what_a_dead_worker_held(either_database_url: str) -> None:
    app = AsApp(either_database_url)
    with psycopg.connect(either_database_url, autocommit=True) as connection:
        execution_id = open_shop(connection).accept()
        lost = hold(app, add_worker(app))
        connection.execute("DELETE FROM procrastinate_jobs")
        expire(connection)
        assert sweep(app).returned == 1
        assert one(connection, "SELECT phase, worker_id, losses FROM execution_runtime") == ("ready", None, 1)
        assert one(connection, "SELECT status FROM executions") == ("in_progress",)
        assert one(connection, "SELECT count(*) FROM procrastinate_jobs") == (1,)
        kinds = connection.execute("SELECT kind FROM events WHERE execution_id = %s ORDER BY seq", (execution_id,))
        assert [kind for (kind,) in kinds] == ["accepted", "started", "worker_lost"]
        assert hold(app, add_worker(app)).epoch == lost.epoch + 2


def test_sweep_without_trust_leaves_expired_leases(app: AsApp, shop: Shop) -> None:
    shop.accept()
    held = hold(app, add_worker(app))
    expire(shop.connection)
    assert sweep(app, is_trusted=False).returned == 0
    assert app.connected(lambda connection: runtime.claims_of(connection, held.worker_id)) == {held}


def test_sweep_leaves_live_workers(app: AsApp, shop: Shop) -> None:
    shop.accept()
    held = hold(app, add_worker(app))
    assert sweep(app).returned == 0
    assert app.connected(lambda connection: runtime.claims_of(connection, held.worker_id)) == {held}


def test_sweep_by_two_at_once_is_done_by_one(app: AsApp) -> None:
    async def both(connection: Connection) -> tuple[bool, bool]:
        async with connection.transaction():
            first = await recovery.lock(connection, idle_seconds=10)
            async with await psycopg.AsyncConnection.connect(app.url, row_factory=psycopg.rows.dict_row) as other:
                return first, await recovery.lock(other, idle_seconds=10)

    assert app.connected(both) == (True, False)


def test_sweep_that_stops_half_way_keeps_no_other_from_sweeping(app: AsApp) -> None:
    async def other_gets_it(connection: Connection) -> None:
        stopped = psycopg.connect(app.url)
        stopped.execute(recovery.LOCK, {"idle_milliseconds": 200})
        async with asyncio.timeout(10):
            while not await recovery.lock(connection, idle_seconds=10):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.05)
        stopped.close()

    app.connected(other_gets_it)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (0, "before its first turn"),
        (1, "while the model was asked in turn 1"),
        (2, "after turn 1, while its answer was judged or the next step was prepared"),
        (3, "while tool 'look' ran in turn 1"),
        (4, "after turn 1, while its answer was judged or the next step was prepared"),
    ],
)
def test_sweep_after_the_last_loss_ends_the_execution_naming_the_step(
    app: AsApp, shop: Shop, steps: int, words: str
) -> None:
    execution_id = shop.accept()
    held = hold(app, add_worker(app))

    async def write(journal: DatabaseJournal) -> None:
        if steps >= 1:
            await journal.start_turn(turn(1))
        if steps >= 2:
            await journal.finish_turn(1, ANSWER, spent=Spend(), lost=Spend())
        if steps >= 3:
            await journal.start_tool_call(CALL)
        if steps >= 4:
            await journal.finish_tool_call(CALL, result="1", succeeded=True)

    journalled(app, held, write)
    expire(shop.connection)
    assert sweep(app, max_losses=1).ended == 1
    explanation = f"The worker process was lost 1 times, the last time {words}."
    assert one(shop.connection, "SELECT status, failure_code, failure_explanation, retryable FROM executions") == (
        ("failed", "worker_lost", explanation, False)
    )
    assert one(shop.connection, "SELECT count(*) FROM execution_runtime") == (0,)
    rows = shop.connection.execute(
        "SELECT seq, kind FROM events WHERE execution_id = %s ORDER BY seq", (execution_id,)
    ).fetchall()
    assert rows[:2] == [(1, "accepted"), (2, "started")]
    assert rows[-1] == (3 + steps, "failed")


def test_sweep_wakes_what_is_due_and_only_that(app: AsApp, shop: Shop) -> None:
    worker = add_worker(app)
    due, later = shop.accept(), shop.accept()
    for seconds in (-1, 3600):
        held = hold(app, worker)
        app.connected(functools.partial(release, held, seconds))
    assert sweep(app).woken == 1
    phases = shop.connection.execute("SELECT execution_id, phase FROM execution_runtime ORDER BY execution_id")
    assert phases.fetchall() == [(due, "ready"), (later, "waiting")]
    assert hold(app, worker).execution_id == due


def test_sweep_ends_what_no_live_worker_can_run_after_its_time(app: AsApp, shop: Shop) -> None:
    shop.accept("gone", version=3)
    shop.accept("echo")
    shop.connection.execute("UPDATE execution_runtime SET ready_since = now() - interval '2 hours'")
    assert sweep(app).ended == 0  # no live worker at all: then it is the workers that are missing
    add_worker(app)
    assert sweep(app).ended == 1
    rows = shop.connection.execute("SELECT failure_code, failure_explanation, retryable FROM executions ORDER BY id")
    assert rows.fetchall() == [
        ("definition_unavailable", "No running worker has 'gone@3', for more than 3600 seconds.", True),
        (None, None, None),
    ]


def test_sweep_deletes_tickets_that_dead_workers_had_taken(app: AsApp, shop: Shop) -> None:
    dead, alive = add_worker(app, name="dead"), add_worker(app, name="alive")
    for worker in (dead, alive):
        shop.accept()
        shop.connection.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = %s WHERE status = 'todo'",
            (worker.queue_worker_id,),
        )
    shop.connection.execute("UPDATE workers SET lease_until = now() - interval '1 s' WHERE name = 'dead'")
    sweep(app)
    left = shop.connection.execute("SELECT status::text, worker_id FROM procrastinate_jobs WHERE status = 'doing'")
    assert left.fetchall() == [("doing", alive.queue_worker_id)]


def test_sweep_adds_one_ticket_where_something_is_ready_and_none_waits(app: AsApp, shop: Shop) -> None:
    shop.accept()
    shop.accept()
    shop.connection.execute("DELETE FROM procrastinate_jobs")
    assert sweep(app).topped_up
    assert not sweep(app).topped_up
    assert one(shop.connection, "SELECT count(*) FROM procrastinate_jobs") == (1,)


def test_sweep_of_nothing_adds_no_ticket(app: AsApp, shop: Shop) -> None:
    assert not sweep(app).tickets_added
    assert one(shop.connection, "SELECT count(*) FROM procrastinate_jobs") == (0,)
    assert claim(app, add_worker(app)) is None
