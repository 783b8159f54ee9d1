"""The stock command against a real database."""

from __future__ import annotations

import time
from typing import Any

import psycopg

from tests.processes.conftest import Start
from tests.processes.workers import check_all_finished, unfinished, until
from tests.tasks.seed import Shop


def test_worker_started_by_the_stock_command_finishes_an_execution(
    shop: Shop, start: Start, connection: psycopg.Connection[Any]
) -> None:
    start("one")
    shop.accept("echo", {"text": "hello"})
    until(lambda: not unfinished(connection))
    check_all_finished(connection)
    rows = connection.execute("SELECT result, cycles FROM executions").fetchall()
    assert rows == [({"text": "hello"}, 1)]


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
    until(lambda: not unfinished(connection), seconds=10)
    check_all_finished(connection)
