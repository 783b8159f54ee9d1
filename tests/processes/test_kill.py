"""kill -9 of a worker within each of the statements that write a run's steps, before and after their commits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.processes.breakpoints import STEPS, Breakpoints
from tests.processes.conftest import Start
from tests.processes.workers import calls, check_all_finished, unfinished, until
from tests.tasks.seed import Shop

pytestmark = pytest.mark.slow


def next_id(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM executions").fetchone()
    assert row is not None
    return int(row[0])


def check_usage(connection: psycopg.Connection[Any], execution_id: int, billed: int, is_in_flight: bool) -> None:
    """What is recorded is what the model billed; a call in flight at the kill counts as it was reserved."""
    row = connection.execute(
        "SELECT input_tokens, output_tokens, cost, calls, is_estimated FROM executions WHERE id = %s", (execution_id,)
    ).fetchone()
    assert row is not None
    if is_in_flight:
        assert row[-1]
        assert all(recorded >= due for recorded, due in zip(row, (billed, billed, 2 * billed, billed), strict=False))
    else:
        assert row == (billed, billed, 2 * billed, billed, False)


def test_worker_killed_at_every_step_loses_nothing_and_repeats_no_answer(
    superuser_url: str, shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    # One worker runs them all, each standing within another statement, when it is killed.
    fates = [(step, is_committed) for step in STEPS for is_committed in (True, False)]
    with Breakpoints(superuser_url, connection) as breakpoints:
        victim = start("victim", AGENTIC_POOL_SIZE="24")
        at: dict[int, tuple[str, bool]] = {}
        for step, is_committed in [*fates, ("claim", True)]:
            until(lambda: len(breakpoints.reached()) == len(at), what=f"{at} are reached")
            breakpoints.set(next_id(connection), step)
            execution_id = shop.accept("steps", {"log": str(calls_log), "tool_calls": 2, "corrections": 2})
            at[execution_id] = (step, is_committed)
        until(lambda: breakpoints.reached().keys() == at.keys(), what="all breakpoints are reached")
        victim.kill()
        breakpoints.roll_back([execution_id for execution_id, (_, is_committed) in at.items() if not is_committed])
        for execution_id, (_, is_committed) in at.items():
            if is_committed:
                breakpoints.commit(execution_id)
    start("heir")
    until(lambda: not unfinished(connection))
    check_all_finished(connection)
    asked = calls(calls_log, "asked")
    for execution_id, (step, is_committed) in at.items():
        repeated = {turn: times for (run, turn), times in asked.items() if run == execution_id and times > 1}
        # Of the answers, only the one whose write did not commit is asked for again.
        lost = {} if is_committed else {"turn answered": {1: 2}, "correction answered": {5: 2}}.get(step, {})
        assert repeated == lost, (step, is_committed)
        is_in_flight = step.endswith(" asked") if is_committed else step.endswith(" answered")
        asked_by_it = sum(times for (run, _), times in asked.items() if run == execution_id)
        check_usage(connection, execution_id, asked_by_it, is_in_flight)
    # Corrections went on up the ladder where they stood.
    rungs = "SELECT array_agg(strategy ORDER BY number) FROM turns WHERE execution_id = ANY (%s) GROUP BY execution_id"
    ladders = {tuple(taken) for (taken,) in connection.execute(rungs, (list(at),))}
    assert ladders == {("propose", "propose", "propose", "hint", "full")}
    losses = connection.execute("SELECT count(*) FROM events WHERE kind = 'worker_lost'").fetchone()
    assert losses == (len(at) - 1,)  # the outcome that committed was not lost
