"""When `reporting.stuck` raises the alarm, and when it stays quiet."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.reporting import seed

Reader = psycopg.Connection[DictRow]


@pytest.fixture
def place(connection: psycopg.Connection) -> seed.Home:
    return seed.home(connection, "north")


def reasons(reader: Reader) -> list[str]:
    return [row["reason"] for row in reader.execute("SELECT reason FROM reporting.stuck ORDER BY execution_id")]


def add(connection: psycopg.Connection, place: seed.Home, **runtime: object) -> int:
    made = seed.execution(connection, place)
    seed.waiting_row(connection, place, made, **runtime)  # type: ignore[arg-type]  # checked by its own signature
    return made


def test_ready_while_a_slot_is_free_is_stuck(connection: psycopg.Connection, reader: Reader, place: seed.Home) -> None:
    seed.worker(connection)
    made = add(connection, place, ready=30)
    row = reader.execute("SELECT * FROM reporting.stuck").fetchone()
    assert row is not None
    assert (row["execution_id"], row["account_id"], row["agent_id"]) == (made, place.account_id, place.agent_id)
    assert (row["definition"], row["version"], row["reason"]) == ("echo", 1, "not_picked_up")
    assert 30 <= row["seconds"] < 40


def test_ready_for_a_moment_is_not_stuck(connection: psycopg.Connection, reader: Reader, place: seed.Home) -> None:
    seed.worker(connection)
    add(connection, place, ready=2)
    assert reasons(reader) == []


def test_ready_while_every_slot_is_taken_is_not_stuck(
    connection: psycopg.Connection, reader: Reader, place: seed.Home
) -> None:
    busy = seed.worker(connection, concurrency=1)
    add(connection, place, phase="running", worker_id=busy)
    add(connection, place, ready=600)
    assert reasons(reader) == []


@pytest.mark.parametrize("scope", ["account", "agent"])
def test_ready_behind_a_limit_is_not_stuck(
    connection: psycopg.Connection, reader: Reader, place: seed.Home, scope: str
) -> None:
    worker = seed.worker(connection, concurrency=5)
    add(connection, place, phase="running", worker_id=worker)
    add(connection, place, ready=600)
    scope_id = place.account_id if scope == "account" else place.agent_id
    connection.execute("INSERT INTO limits (scope, scope_id, max_running) VALUES (%s, %s, 1)", (scope, scope_id))
    assert reasons(reader) == []
    connection.execute("UPDATE limits SET max_running = 2")
    assert reasons(reader) == ["not_picked_up"]


def test_ready_without_a_live_worker_for_it_is_stuck(
    connection: psycopg.Connection, reader: Reader, place: seed.Home
) -> None:
    seed.worker(connection, offers=["echo@2"])
    seed.worker(connection, offers=["echo@1"], lease_left=-60)
    add(connection, place, ready=30)
    assert reasons(reader) == ["no_worker"]


def test_running_under_an_ended_lease_is_stuck(
    connection: psycopg.Connection, reader: Reader, place: seed.Home
) -> None:
    dead = seed.worker(connection, lease_left=-30)
    add(connection, place, phase="running", worker_id=dead)
    row = reader.execute("SELECT reason, worker_id, seconds FROM reporting.stuck").fetchone()
    assert row is not None
    assert (row["reason"], row["worker_id"]) == ("worker_lost", dead)
    assert 30 <= row["seconds"] < 40


def test_running_without_a_worker_row_is_stuck_since_an_unknown_time(
    connection: psycopg.Connection, reader: Reader, place: seed.Home
) -> None:
    add(connection, place, phase="running")
    row = reader.execute("SELECT reason, since_at, seconds, worker_id FROM reporting.stuck").fetchone()
    assert row == {"reason": "worker_lost", "since_at": None, "seconds": None, "worker_id": None}


def test_running_under_a_live_lease_is_not_stuck(
    connection: psycopg.Connection, reader: Reader, place: seed.Home
) -> None:
    add(connection, place, phase="running", worker_id=seed.worker(connection))
    assert reasons(reader) == []


def test_waiting_past_its_time_is_stuck_and_before_it_is_not(
    connection: psycopg.Connection, reader: Reader, place: seed.Home
) -> None:
    late = add(connection, place, phase="waiting", resume=30)
    add(connection, place, phase="waiting", resume=-30)
    add(connection, place, phase="waiting", resume=None)
    rows = reader.execute("SELECT execution_id, reason FROM reporting.stuck").fetchall()
    assert [(row["execution_id"], row["reason"]) for row in rows] == [(late, "not_resumed")]
