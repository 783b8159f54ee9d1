"""The stock command against a real database."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import psycopg

from tests import postgres
from tests.processes.conftest import Start
from tests.processes.workers import Worker, check_all_finished, unfinished, until
from tests.tasks.seed import Shop, open_shop


def test_worker_started_by_the_stock_command_finishes_an_execution(
    shop: Shop, start: Start, connection: psycopg.Connection[Any]
) -> None:
    start("one")
    shop.accept("echo", {"text": "hello"})
    until(lambda: not unfinished(connection))
    check_all_finished(connection)
    rows = connection.execute("SELECT result, cycles FROM executions").fetchall()
    assert rows == [({"text": "hello"}, 1)]
    numbered = "SELECT array_agg(position ORDER BY seq) = array_agg(seq::bigint ORDER BY seq) FROM events"
    until(lambda: connection.execute(numbered).fetchone() == (True,), what="events get their positions")


def test_worker_started_before_the_database_is_migrated_comes_up_when_it_is(pg_server: str, tmp_path: Path) -> None:
    with postgres.empty_database(pg_server) as url:
        worker = Worker(url, tmp_path / "early.log")
        try:
            until(lambda: "lease cannot be renewed" in worker.log.read_text(), what="it finds no tables")
            postgres.migrate(url)
            with psycopg.connect(url, autocommit=True) as connection:
                open_shop(connection).accept()
                until(lambda: not unfinished(connection))
                check_all_finished(connection)
            assert worker.stop() == 0
        finally:
            worker.kill()
            print(worker.log.read_text()[-3000:])


def test_worker_told_of_a_ticket_starts_at_once(shop: Shop, start: Start, connection: psycopg.Connection[Any]) -> None:
    start("one", AGENTIC_POLL_SECONDS="60")
    shop.accept()
    until(lambda: not unfinished(connection))
    waits = []
    for _ in range(5):
        began = time.monotonic()
        shop.accept()
        until(lambda: not unfinished(connection))
        waits.append(time.monotonic() - began)
    assert min(waits) < 0.2, waits


def test_worker_without_listen_works_by_polling(shop: Shop, start: Start, connection: psycopg.Connection[Any]) -> None:
    start("one", "--no-listen-notify", AGENTIC_POLL_SECONDS="0.3")
    for _ in range(3):
        shop.accept()
    until(lambda: not unfinished(connection))
    check_all_finished(connection)


def test_worker_among_others_without_its_definition_gets_its_executions_all_the_same(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    def seconds_for_all() -> float:
        for _ in range(60):
            shop.accept("steps", {"log": str(calls_log), "tool_calls": 0, "model_seconds": 0.1})
        began = time.monotonic()
        until(lambda: not unfinished(connection), what="all end", seconds=60)
        return time.monotonic() - began

    start("able")
    alone = seconds_for_all()
    for number in range(3):
        start(f"unable-{number}", PYTHONPATH="")
    # Those take a ticket and find nothing much faster than this one runs an execution: it must look for itself.
    assert seconds_for_all() < 6 * alone + 1
    check_all_finished(connection)


def test_worker_at_a_limit_does_not_look_in_a_loop(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    connection.execute(
        "INSERT INTO limits (scope, scope_id, max_running) VALUES ('account', %s, 1)", (shop.account_id,)
    )
    start("one")
    for _ in range(3):
        shop.accept("steps", {"log": str(calls_log), "model_seconds": 1.0, "tool_calls": 0})
    until(lambda: not unfinished(connection))
    check_all_finished(connection)
    # What limits of providers go by.
    registered = connection.execute("SELECT cardinality(models) = cardinality(offers) FROM workers").fetchall()
    assert registered == [(True,)]
    # Each ticket takes a number: some three seconds with a free slot have used up few.
    row = connection.execute("SELECT last_value FROM procrastinate_jobs_id_seq").fetchone()
    assert row is not None
    assert row[0] < 60
