"""A tool that takes its worker along, each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.processes.conftest import Start
from tests.processes.workers import calls, check_records, unfinished, until
from tests.tasks.seed import Shop

pytestmark = pytest.mark.slow


def test_tool_that_kills_its_worker_three_times_ends_the_execution_naming_the_tool(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    workers = [start(f"worker-{number}", wait=False) for number in range(4)]
    until(lambda: connection.execute("SELECT count(*) FROM workers").fetchone() == (4,), what="all register")
    shop.accept("steps", {"log": str(calls_log), "tool": "kill_worker"})
    until(lambda: not unfinished(connection), what="the execution ends")
    outcome = connection.execute("SELECT failure_code, failure_explanation, retryable FROM executions").fetchone()
    assert outcome == (
        "worker_lost",
        "The worker process was lost 3 times, the last time while tool 'kill_worker' ran in turn 1.",
        False,
    )
    check_records(connection)
    assert [worker.is_running for worker in workers].count(True) == 1
    assert set(calls(calls_log, "asked").values()) == {1}
    attempts = connection.execute("SELECT attempts, idempotency_key FROM tool_calls").fetchall()
    assert attempts == [(3, "1-1-1")]
