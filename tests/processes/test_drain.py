"""SIGTERM: what a worker has in hand goes on elsewhere, and the process ends within its grace period."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.executions.ending import ASK
from tests.processes.conftest import Start
from tests.processes.workers import calls, check_all_finished, check_records, phases, unfinished, until
from tests.tasks.seed import Shop

pytestmark = pytest.mark.slow


def test_worker_told_to_stop_ends_its_turns_and_gives_its_executions_back(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    first = start("first")
    for _ in range(10):
        shop.accept("steps", {"log": str(calls_log), "tool_calls": 3, "model_seconds": 1.0})
    until(lambda: len(calls(calls_log, "asked")) == 10)
    began = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began < 8
    assert phases(connection) == {"ready": 10}
    assert connection.execute("SELECT count(*) FROM workers").fetchone() == (0,)
    start("second")
    until(lambda: not unfinished(connection))
    check_all_finished(connection)
    assert set(calls(calls_log, "asked").values()) == {1}  # each turn was ended before its execution was given back
    kinds = dict(connection.execute("SELECT kind, count(*) FROM events GROUP BY kind").fetchall())
    assert [kinds[each] for each in ("accepted", "started", "released", "resumed", "finished")] == [10] * 5


def test_worker_whose_grace_is_over_gives_back_what_still_runs(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    worker = start("hurried", "--shutdown-graceful-timeout", "0.5")
    shop.accept("steps", {"log": str(calls_log), "model_seconds": 600})
    until(lambda: calls(calls_log, "asked"))
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0
    assert time.monotonic() - began < 8
    assert phases(connection) == {"ready": 1}
    assert connection.execute("SELECT status FROM procrastinate_jobs").fetchall() == [("todo",)]
    assert connection.execute("SELECT losses FROM execution_runtime").fetchone() == (0,)


def test_run_cancelled_while_its_worker_drains_ends_and_lets_the_worker_go(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    worker = start("draining", "--shutdown-graceful-timeout", "60")
    execution_id = shop.accept("steps", {"log": str(calls_log), "model_seconds": 600})
    until(lambda: calls(calls_log, "asked"))
    worker.signal(signal.SIGTERM)
    connection.execute(ASK, {"execution_id": execution_id, "account_id": shop.account_id})
    assert worker.process.wait(20) == 0
    assert not unfinished(connection)
    assert connection.execute("SELECT failure_code FROM executions").fetchone() == ("cancelled",)
    check_records(connection)


def test_worker_told_to_stop_leaves_a_tool_that_hangs_in_a_thread(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    worker = start("patient", "--shutdown-graceful-timeout", "0.5")
    shop.accept("steps", {"log": str(calls_log), "tool": "hang", "tool_seconds": 600})
    until(lambda: calls(calls_log, "tool"))
    assert worker.stop(seconds=10) == 0
    assert phases(connection) == {"ready": 1}
    assert connection.execute("SELECT count(*) FROM workers").fetchone() == (0,)
