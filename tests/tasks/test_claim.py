"""Which execution a ticket gets, and that limits hold however many ask at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from service.definitions.failures import Failed, Finished
from service.executions import runtime
from service.executions.timing import Timing
from tests.tasks.conftest import AsApp
from tests.tasks.holding import add_worker, claim, hold
from tests.tasks.seed import Shop, open_shop
from tests.tasks.test_sweep import sweep


def limit(connection: psycopg.Connection[Any], scope: str, scope_id: int, most: int) -> None:
    connection.execute("INSERT INTO limits (scope, scope_id, max_running) VALUES (%s, %s, %s)", (scope, scope_id, most))


def events(connection: psycopg.Connection[Any], execution_id: int) -> list[tuple[int, str]]:
    return connection.execute(
        "SELECT seq, kind FROM events WHERE execution_id = %s ORDER BY seq", (execution_id,)
    ).fetchall()


def tickets(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'").fetchone()
    assert row is not None
    return int(row[0])


def test_claim_on_either_postgresql_starts_the_execution_and_its_record(either_database_url: str) -> None:
    app = AsApp(either_database_url)
    with psycopg.connect(either_database_url, autocommit=True) as connection:
        execution_id = open_shop(connection).accept()
        held = hold(app, add_worker(app))
        assert (held.execution_id, held.epoch) == (execution_id, 1)
        row = connection.execute("SELECT status, picked_up_at IS NOT NULL FROM executions").fetchone()
        assert row == ("in_progress", True)
        assert events(connection, execution_id) == [(1, "accepted"), (2, "started")]


def test_claim_of_nothing_gets_nothing(app: AsApp) -> None:
    assert claim(app, add_worker(app)) is None


def test_claim_takes_higher_priority_first_then_the_older(app: AsApp, shop: Shop) -> None:
    old, new, urgent = shop.accept(), shop.accept(), shop.accept()
    shop.connection.execute("UPDATE execution_runtime SET priority = 5 WHERE execution_id = %s", (urgent,))
    worker = add_worker(app)
    assert [hold(app, worker).execution_id for _ in range(3)] == [urgent, old, new]


def test_claim_lets_no_priority_go_before_an_account_that_has_waited_longer(app: AsApp, shop: Shop) -> None:
    other = open_shop(shop.connection, "other")
    theirs = other.accept()
    urgent = shop.another_agent().accept(timing=Timing(priority=10))
    usual = shop.accept()
    worker = add_worker(app)
    assert [hold(app, worker).execution_id for _ in range(3)] == [theirs, urgent, usual]


def test_claim_takes_an_older_lane_of_the_account_after_its_urgent_one(app: AsApp, shop: Shop) -> None:
    usual = shop.accept()
    theirs = open_shop(shop.connection, "other").accept()
    urgent = shop.another_agent().accept(timing=Timing(priority=1))
    worker = add_worker(app)
    assert [hold(app, worker).execution_id for _ in range(3)] == [urgent, theirs, usual]


def test_claim_leaves_what_is_to_start_later_and_starts_it_when_it_is_time(app: AsApp, shop: Shop) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    execution_id = shop.accept(timing=Timing(start_after=later))
    worker = add_worker(app)
    assert claim(app, worker) is None
    shop.connection.execute("UPDATE execution_runtime SET resume_at = now()")
    assert sweep(app).woken == 1
    assert tickets(shop.connection) == 1
    assert shop.connection.execute("SELECT status FROM executions").fetchone() == ("pending",)
    assert hold(app, worker).epoch == 1
    assert [kind for _, kind in events(shop.connection, execution_id)] == ["accepted", "started"]


def test_claim_prefers_the_account_that_has_less_running(app: AsApp, shop: Shop) -> None:
    other = open_shop(shop.connection, "other")
    first = [shop.accept() for _ in range(3)]
    late = other.accept()
    worker = add_worker(app)
    assert [hold(app, worker).execution_id for _ in range(3)] == [first[0], late, first[1]]


def test_claim_leaves_definitions_that_the_worker_does_not_have(app: AsApp, shop: Shop) -> None:
    shop.accept("echo", version=2)
    mine = shop.accept("echo", version=1)
    worker = add_worker(app)
    assert hold(app, worker).execution_id == mine
    assert claim(app, worker) is None


def test_claim_by_a_worker_whose_lease_ran_out_gets_nothing(app: AsApp, shop: Shop) -> None:
    shop.accept()
    assert claim(app, add_worker(app, lease_seconds=-1)) is None


@pytest.mark.parametrize("scope", ["account", "agent"])
def test_claim_in_a_full_scope_gets_nothing(app: AsApp, shop: Shop, scope: str) -> None:
    limit(shop.connection, scope, shop.account_id if scope == "account" else shop.agent_id, 1)
    shop.accept()
    shop.accept()
    worker = add_worker(app)
    hold(app, worker)
    assert claim(app, worker) is None


def test_claim_in_a_scope_limited_to_none_gets_nothing(app: AsApp, shop: Shop) -> None:
    limit(shop.connection, "agent", shop.agent_id, 0)
    shop.accept()
    assert claim(app, add_worker(app)) is None


def test_claim_passes_over_a_full_agent_to_another(app: AsApp, shop: Shop) -> None:
    limit(shop.connection, "agent", shop.agent_id, 0)
    shop.accept()
    free = shop.another_agent().accept()
    assert hold(app, add_worker(app)).execution_id == free


def test_claim_adds_a_ticket_for_the_next_only_where_none_waits(app: AsApp, shop: Shop) -> None:
    shop.accept()
    shop.accept()
    worker = add_worker(app)
    hold(app, worker)
    assert tickets(shop.connection) == 2
    shop.connection.execute("DELETE FROM procrastinate_jobs")
    shop.accept()
    shop.connection.execute("DELETE FROM procrastinate_jobs")
    hold(app, worker)
    assert tickets(shop.connection) == 1
    shop.connection.execute("DELETE FROM procrastinate_jobs")
    hold(app, worker)
    assert tickets(shop.connection) == 0


def test_claim_by_eight_at_once_never_exceeds_an_account_limit_and_claims_nothing_twice(app: AsApp, shop: Shop) -> None:
    # Several lanes per account: with one, even a claim that counts too early looks right.
    limit(shop.connection, "account", shop.account_id, 2)
    agents = [shop.another_agent() for _ in range(6)]
    accepted = {agent.accept() for _ in range(10) for agent in agents}
    worker = add_worker(app)
    most, ended = watch_while(app, shop, lambda: asyncio.run(claim_and_end_all(app, [worker.worker_id])))
    assert most == 2
    assert sorted(ended) == sorted(accepted)


def watch_while(app: AsApp, shop: Shop, work: Any) -> tuple[int, list[int]]:
    """The largest number seen running while the work goes on, and what it returned."""
    returned: list[int] = []
    thread = threading.Thread(target=lambda: returned.extend(work()))
    thread.start()
    most = 0
    while thread.is_alive():
        row = shop.connection.execute("SELECT count(*) FROM execution_runtime WHERE phase = 'running'").fetchone()
        assert row is not None
        most = max(most, int(row[0]))
    return most, returned


async def claim_and_end_all(app: AsApp, workers: Sequence[int]) -> list[int]:
    """Whatever eight claimers, spread over the workers, have claimed and ended until nothing was left."""

    async def one(worker_id: int) -> list[int]:
        ended: list[int] = []
        async with await AsyncConnection.connect(app.url, autocommit=True, row_factory=dict_row) as connection:
            while True:
                left = await (await connection.execute("SELECT FROM execution_runtime LIMIT 1")).fetchone()
                if left is None:
                    return ended
                held, _ = await runtime.claim(connection, worker_id, ["echo@1"])
                if held is not None:
                    await asyncio.sleep(0.005)
                    await runtime.record_outcome(connection, held, Finished({}))
                    ended.append(held.execution_id)

    return [
        execution_id
        for ended in await asyncio.gather(*[one(workers[n % len(workers)]) for n in range(8)])
        for execution_id in ended
    ]


def test_release_gives_the_execution_to_the_next_claim_under_a_higher_epoch(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept()
    worker = add_worker(app)
    held = hold(app, worker)
    shop.connection.execute("DELETE FROM procrastinate_jobs")
    assert app.connected(lambda connection: runtime.release(connection, held))
    assert tickets(shop.connection) == 1
    assert hold(app, worker).epoch == 3  # the release raised it too
    assert [kind for _, kind in events(shop.connection, execution_id)] == ["accepted", "started", "released", "resumed"]


def test_release_until_later_waits_without_a_ticket(app: AsApp, shop: Shop) -> None:
    shop.accept()
    worker = add_worker(app)
    held = hold(app, worker)
    shop.connection.execute("DELETE FROM procrastinate_jobs")
    assert app.connected(lambda connection: runtime.release(connection, held, resume_in_seconds=3600))
    assert tickets(shop.connection) == 0
    assert claim(app, worker) is None
    row = shop.connection.execute(
        "SELECT phase, resume_at > now() + interval '50 minutes', status FROM execution_runtime, executions"
    ).fetchone()
    assert row == ("waiting", True, "in_progress")


def test_release_of_a_lost_claim_changes_nothing(app: AsApp, shop: Shop) -> None:
    shop.accept()
    worker = add_worker(app)
    held = hold(app, worker)
    assert app.connected(lambda connection: runtime.release(connection, held))
    again = hold(app, worker)
    assert not app.connected(lambda connection: runtime.release(connection, held))
    assert app.connected(lambda connection: runtime.claims_of(connection, worker.worker_id)) == {again}


def test_outcome_is_recorded_once_and_recognised_when_told_again(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept()
    held = hold(app, add_worker(app))
    for _ in range(2):
        ended = app.connected(lambda connection: runtime.record_outcome(connection, held, Finished({"a": 1}, cycles=2)))
        assert ended.is_recorded
    row = shop.connection.execute("SELECT status, result, cycles, failure_code FROM executions").fetchone()
    assert row == ("finished", {"a": 1}, 2, None)
    assert events(shop.connection, execution_id) == [(1, "accepted"), (2, "started"), (3, "finished")]
    assert shop.connection.execute("SELECT FROM execution_runtime").fetchall() == []


def test_outcome_of_a_lost_claim_changes_nothing(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept()
    worker = add_worker(app)
    lost = hold(app, worker)
    app.connected(lambda connection: runtime.release(connection, lost))
    current = hold(app, worker)
    assert not app.connected(lambda c: runtime.record_outcome(c, lost, Failed("unknown", "late"))).is_recorded
    assert app.connected(lambda c: runtime.record_outcome(c, current, Finished({}))).is_recorded
    # Final now, but not by this claim.
    assert not app.connected(lambda c: runtime.record_outcome(c, lost, Failed("unknown", "late"))).is_recorded
    assert [kind for _, kind in events(shop.connection, execution_id)][-1] == "finished"


def test_outcome_that_failed_keeps_code_explanation_and_whether_to_retry(app: AsApp, shop: Shop) -> None:
    shop.accept()
    held = hold(app, add_worker(app))
    outcome = Failed("runtime_error", "The provider is away.", retryable=True, cycles=1)
    app.connected(lambda connection: runtime.record_outcome(connection, held, outcome))
    row = shop.connection.execute(
        "SELECT status, failure_code, failure_explanation, retryable, finished_at IS NOT NULL FROM executions"
    ).fetchone()
    assert row == ("failed", "runtime_error", "The provider is away.", True, True)
