"""docs/reporting.md against the database: the same columns in the same words, and questions that answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.reporting import seed

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reporting.md").read_text()
SECTION = re.compile(r"^### reporting\.(\w+)\n\n(.+?)\n\n(.*?)(?=^### |\Z)", re.MULTILINE | re.DOTALL)
COLUMN = re.compile(r"^\| `(\w+)` \| (\S+) \| (.+) \|$", re.MULTILINE)
QUESTION = re.compile(r"^### (\d+)\. .+?```sql\n(.+?)```", re.MULTILINE | re.DOTALL)

COMMENTED_VIEWS = """
SELECT relname, obj_description(oid, 'pg_class') FROM pg_class
 WHERE relnamespace = 'reporting'::regnamespace AND relkind = 'v'"""
COMMENTED_COLUMNS = """
SELECT attname, replace(format_type(atttypid, NULL), 'timestamp with time zone', 'timestamptz'),
       col_description(attrelid, attnum)
  FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""


def documented() -> dict[str, tuple[str, list[tuple[str, ...]]]]:
    return {name: (text, COLUMN.findall(table)) for name, text, table in SECTION.findall(DOCUMENT)}


def test_document_lists_every_view_and_column_in_the_words_of_its_comment(connection: psycopg.Connection) -> None:
    actual = {
        view: (comment, connection.execute(COMMENTED_COLUMNS, (f"reporting.{view}",)).fetchall())
        for view, comment in connection.execute(COMMENTED_VIEWS).fetchall()
    }
    assert documented() == actual


def ask(reader: psycopg.Connection[DictRow], number: int) -> list[tuple[Any, ...]]:
    questions = {int(digit): query for digit, query in QUESTION.findall(DOCUMENT)}
    assert sorted(questions) == list(range(1, 13))
    return [tuple(row.values()) for row in reader.execute(questions[number].encode())]


@pytest.fixture
def asked(connection: psycopg.Connection, reader: psycopg.Connection[DictRow]) -> psycopg.Connection[DictRow]:
    """A reader of two accounts' week: corrections, failures, a backlog and a lost worker."""
    north, south = seed.home(connection, "north"), seed.home(connection, "south")
    for waited in (10, 20, 40):
        made = seed.execution(
            connection,
            north,
            status="finished",
            started=100,
            picked_up=100 - waited,
            finished=30 - waited % 20,
            cycles=2,
        )
        seed.turn(connection, made, 1, 1, tokens=(100, 0, 10))
        seed.turn(connection, made, 2, 2, tokens=(150, 90, 10))
        seed.verdict(connection, made, 1, 1, "length", "retry", issues=1)
        seed.verdict(connection, made, 2, 1, "length", "accept")
    lost = seed.execution(
        connection, south, definition="other", status="failed", finished=10, picked_up=50, code="max_retries_exceeded",
        retryable=True, cycles=2,
    )  # fmt: skip
    seed.turn(connection, lost, 1, 1, tokens=(1000, 0, 1))
    for cycle in (1, 2):
        seed.verdict(connection, lost, cycle, 1, "length", "retry", issues=1)
        seed.verdict(connection, lost, cycle, 2, "price", "retry", issues=1)
    old = {"status": "failed", "code": "unknown", "started": 900_000, "finished": 800_000}
    seed.execution(connection, south, retryable=False, **old)  # type: ignore[arg-type]  # as the signature says
    dead = seed.worker(connection, "dead", lease_left=-60)
    seed.worker(connection, "alive", offers=["other@1"], concurrency=1)
    running = seed.execution(connection, north, started=200_000, picked_up=199_000, status="in_progress")
    seed.waiting_row(connection, north, running, phase="running", worker_id=dead)
    ready = seed.execution(connection, south, definition="other", started=5)
    seed.waiting_row(connection, south, ready, definition="other@1", ready=5)
    return reader


def test_question_1_tells_waiting_and_running_of_the_last_day(asked: psycopg.Connection[DictRow]) -> None:
    rows = ask(asked, 1)
    assert [tuple(map(str, row)) for row in rows[:1]] == [("echo", "3", "20.000", "40.000", "50.000")]
    assert [(row[0], row[1]) for row in rows] == [("echo", 3), ("other", 2)]


def test_question_2_tells_what_failed_this_week(asked: psycopg.Connection[DictRow]) -> None:
    assert ask(asked, 2) == [("other", "max_retries_exceeded", True, 1)]


def test_question_3_tells_which_validator_corrects_most(asked: psycopg.Connection[DictRow]) -> None:
    assert ask(asked, 3) == [("length", 5, 4, 3), ("price", 2, 1, 0)]


def test_question_4_tells_tokens_and_those_of_corrections(asked: psycopg.Connection[DictRow]) -> None:
    assert ask(asked, 4) == [("south account", "scripted", 1001, 0), ("north account", "scripted", 810, 480)]


def test_question_5_tells_what_is_held_up(asked: psycopg.Connection[DictRow]) -> None:
    rows = [(*row[:4], *row[5:]) for row in ask(asked, 5)]
    assert rows == [("echo", 1, 0, 1, 0, 1, "worker_lost"), ("other", 1, 1, 0, 1, 0, None)]


@pytest.fixture
def controlled(connection: psycopg.Connection, reader: psycopg.Connection[DictRow]) -> psycopg.Connection[DictRow]:
    """A reader of what two accounts asked for: a late start, deadlines, cancels, a rerun, and the price of shops."""
    north, south = seed.home(connection, "north"), seed.home(connection, "south")

    def add(place: seed.Home, change: LiteralString = "cost = 0.2", **fields: Any) -> int:
        made = seed.execution(connection, place, **{"status": "finished", "finished": 20, "picked_up": 50, **fields})
        connection.execute(f"UPDATE executions SET {change} WHERE id = {made}")
        return made

    add(north, "cost = 0.2, priority = 5, deadline = now()", picked_up=58)
    add(north, "cost = 0.1, start_after = started_at + interval '1 hour'", started=7200, picked_up=3590)
    add(south, "deadline = finished_at", status="failed", code="deadline_exceeded", picked_up=None)
    asked = "cancel_requested_at = finished_at - interval '2 seconds', cost = 0.3"
    stopped = add(north, asked, status="failed", code="cancelled", retryable=True)
    add(north, f"rerun_of = {stopped}, metadata = '{{}}', cost = 0.2")
    add(south, "cancel_requested_at = now()", status="in_progress", finished=None)
    return reader


def test_question_6_tells_deadlines_and_waits_by_priority(controlled: psycopg.Connection[DictRow]) -> None:
    rows = [(row[0], row[1], str(row[2]), *row[3:]) for row in ask(controlled, 6)]
    assert rows == [(5, 1, "2.000", 0, 1, 0), (0, 5, "10.000", 1, 1, 1)]


def test_question_7_tells_what_was_cancelled_how_soon_and_at_what_price(
    controlled: psycopg.Connection[DictRow],
) -> None:
    rows = [tuple(map(str, row)) for row in ask(controlled, 7)]
    assert rows == [
        ("north account", "failed", "1", "2.000", "0.3"),
        ("south account", "in_progress", "1", "None", "None"),
    ]


def test_question_8_tells_whether_reruns_help(controlled: psycopg.Connection[DictRow]) -> None:
    assert ask(controlled, 8) == [("echo", "cancelled", True, 1, 1)]


def test_question_9_tells_the_price_of_what_clients_name(controlled: psycopg.Connection[DictRow]) -> None:
    assert [tuple(map(str, row)) for row in ask(controlled, 9)] == [
        ("north account", "7", "3", "0.6", "0.3000"),
        ("north account", "None", "1", "0.2", "0.2000"),
        ("south account", "7", "2", "None", "None"),
    ]


@pytest.fixture
def told(connection: psycopg.Connection, reader: psycopg.Connection[DictRow]) -> psycopg.Connection[DictRow]:
    """A reader of one account's messages to two receivers, and of runs that paused."""
    north = seed.home(connection, "north")
    hooks, broken = seed.webhook(connection, north), seed.webhook(connection, north, "http://broken.example.com")
    failing = (500, "server_error", 30)
    for webhook, status, occurred, attempts in (
        (hooks, "delivered", 21, [(204, None, 80)]),
        (hooks, "delivered", 25, [failing, (204, None, 80)]),
        (broken, "failed", 60, [failing, failing, (410, "gone", 20)]),
        (broken, "pending", 60, [(None, "timed_out", 15000)]),
    ):
        finished = None if status == "pending" else 20
        run = seed.execution(connection, north)
        seed.delivery(
            connection, north, webhook, run, status=status, occurred=occurred, finished=finished, attempts=attempts
        )
        for sequence, kind, ago in ((1, "accepted", 60), (2, "started", 50), (3, "waiting", 40), (4, "resumed", 30)):
            seed.event(connection, run, sequence, kind, ago=ago)
    return reader


def test_question_10_tells_who_is_told_and_how_late(told: psycopg.Connection[DictRow]) -> None:
    assert [tuple(map(str, row)) for row in ask(told, 10)] == [
        ("north account", "broken.example.com", "2", "0", "1", "1", "None"),
        ("north account", "hooks.example.com:8443", "2", "2", "0", "0", "5.000"),
    ]


def test_question_11_tells_what_goes_wrong_at_a_receiver(told: psycopg.Connection[DictRow]) -> None:
    assert [row[:4] for row in ask(told, 11)] == [
        ("broken.example.com", "server_error", 500, 2),
        ("broken.example.com", "gone", 410, 1),
        ("broken.example.com", "timed_out", None, 1),
        ("hooks.example.com:8443", "server_error", 500, 1),
    ]


def test_question_12_tells_how_long_runs_paused(told: psycopg.Connection[DictRow]) -> None:
    assert [(kind, pauses, round(seconds)) for kind, pauses, seconds in ask(told, 12)] == [("waiting", 4, 10)]
