"""What each reporting view says about known rows."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.reporting import seed

Reader = psycopg.Connection[DictRow]


def one(reader: Reader, view: str, **where: Any) -> DictRow:
    condition = " AND ".join(f"{column} = %({column})s" for column in where) or "true"
    rows = reader.execute(f"SELECT * FROM reporting.{view} WHERE {condition}".encode(), where).fetchall()
    assert len(rows) == 1, rows
    return rows[0]


def near(value: Decimal, seconds: float) -> bool:
    return abs(float(value) - seconds) < 5


def test_executions_of_a_finished_one_tells_names_times_and_cycles(
    connection: psycopg.Connection, reader: Reader
) -> None:
    place = seed.home(connection, "north")
    made = seed.execution(connection, place, status="finished", started=90, picked_up=60, finished=20.5, cycles=2)
    row = one(reader, "executions", id=made)
    assert (row["account"], row["agent"], row["data_set"]) == ("north account", "north agent", "north data")
    assert (row["definition"], row["version"], row["status"], row["cycles"]) == ("echo", 1, "finished", 2)
    assert (row["waiting_seconds"], row["running_seconds"]) == (Decimal("30.000"), Decimal("39.500"))
    assert (row["failure_code"], row["retryable"]) == (None, None)


def test_executions_of_a_pending_one_counts_its_wait_up_to_now(connection: psycopg.Connection, reader: Reader) -> None:
    made = seed.execution(connection, seed.home(connection, "north"), started=90)
    row = one(reader, "executions", id=made)
    assert near(row["waiting_seconds"], 90)
    assert row["running_seconds"] is None


def test_executions_of_a_running_one_counts_judged_cycles_and_time_so_far(
    connection: psycopg.Connection, reader: Reader
) -> None:
    made = seed.execution(connection, seed.home(connection, "north"), status="in_progress", started=90, picked_up=60)
    for cycle in (1, 2):
        seed.verdict(connection, made, cycle, 1, "output", "accept")
        seed.verdict(connection, made, cycle, 2, "length", "retry", issues=1)
    row = one(reader, "executions", id=made)
    assert row["cycles"] == 2
    assert row["waiting_seconds"] == Decimal("30.000")
    assert near(row["running_seconds"], 60)


def test_executions_of_one_failed_unstarted_waited_until_its_end(
    connection: psycopg.Connection, reader: Reader
) -> None:
    made = seed.execution(
        connection,
        seed.home(connection, "north"),
        status="failed",
        started=90,
        finished=30,
        code="definition_unavailable",
        retryable=True,
    )
    row = one(reader, "executions", id=made)
    assert (row["waiting_seconds"], row["running_seconds"]) == (Decimal("60.000"), None)
    assert (row["failure_code"], row["retryable"]) == ("definition_unavailable", True)


@pytest.mark.parametrize(
    ("times", "after", "waited"),
    [
        ({"picked_up": 20}, 60, 10),
        ({"picked_up": 20}, -10, 70),
        ({"finished": 20, "status": "failed", "code": "cancelled"}, 60, 10),
        ({"finished": 50, "status": "failed", "code": "cancelled"}, 60, 0),
        ({}, 120, 0),
    ],
    ids=["taken", "time-had-passed", "ended-untaken", "ended-before-it-could-run", "cannot-run-yet"],
)
def test_executions_wait_from_when_they_could_first_run(
    connection: psycopg.Connection, reader: Reader, times: dict[str, Any], after: int, waited: int
) -> None:
    made = seed.execution(connection, seed.home(connection, "north"), started=90, **times)
    later = "UPDATE executions SET start_after = started_at + make_interval(secs => %s) WHERE id = %s"
    connection.execute(later, (after, made))
    assert one(reader, "executions", id=made)["waiting_seconds"] == waited


def test_executions_tell_what_was_asked_for_and_what_labels_them(
    connection: psycopg.Connection, reader: Reader
) -> None:
    place = seed.home(connection, "north")
    plain = seed.execution(connection, place)
    asked = seed.execution(connection, place)
    connection.execute("UPDATE executions SET external_id = NULL, metadata = '{}' WHERE id = %s", (plain,))
    connection.execute(
        "UPDATE executions SET priority = -3, rerun_of = %s, external_id = 'import-31', start_after = started_at,"
        " deadline = started_at, cancel_requested_at = started_at WHERE id = %s",
        (plain, asked),
    )
    names = ("priority", "rerun_of", "external_id", "metadata", "start_after", "deadline", "cancel_requested_at")
    row = one(reader, "executions", id=asked)
    at = row["started_at"]
    assert [row[name] for name in names] == [-3, plain, "import-31", {"shop": "7"}, at, at, at]
    row = one(reader, "executions", id=plain)
    assert [row[name] for name in names] == [0, None, None, {}, None, None, None]


def test_schedules_tell_what_they_start_and_how_late_and_executions_by_which(
    connection: psycopg.Connection, reader: Reader
) -> None:
    place = seed.home(connection, "north")
    made = seed.execution(connection, place)
    schedule_id = seed.schedule(connection, place, made)
    connection.execute("UPDATE executions SET schedule_id = %s, schedule_slot = started_at", (schedule_id,))
    shown = one(reader, "schedules", id=schedule_id)
    assert (shown["account"], shown["agent"], shown["definition"]) == ("north account", "north agent", "echo")
    assert 3600 <= shown["overdue_seconds"] < 3700
    assert (shown["last_outcome"], shown["last_execution_id"]) == ("started", made)
    execution = one(reader, "executions", id=made)
    assert (execution["schedule_id"], execution["schedule_slot"]) == (schedule_id, execution["started_at"])


def test_cycles_sums_turns_tool_calls_and_tokens_and_names_who_asked_again(
    connection: psycopg.Connection, reader: Reader
) -> None:
    made = seed.execution(connection, seed.home(connection, "north"), status="in_progress", picked_up=60)
    seed.turn(connection, made, 1, 1, tokens=(100, 40, 10))
    seed.turn(connection, made, 2, 1, tokens=(200, 50, 20))
    seed.tool_call(connection, made, 1, 1, succeeded=True)
    seed.tool_call(connection, made, 1, 2, succeeded=False)
    seed.verdict(connection, made, 1, 1, "output", "accept")
    seed.verdict(connection, made, 1, 2, "length", "retry", issues=1)
    seed.verdict(connection, made, 1, 3, "every_sku", "retry", issues=2)
    row = one(reader, "cycles", execution_id=made, cycle=1)
    assert (row["turns"], row["tool_calls"], row["failed_tool_calls"], row["model"]) == (2, 2, 1, "scripted")
    assert (row["input_tokens"], row["cached_tokens"], row["output_tokens"]) == (300, 90, 30)
    assert round(row["seconds"]) == 5
    assert (row["retried_by"], row["rejected_by"], row["is_accepted"]) == (["length", "every_sku"], [], False)


def test_cycles_without_verdicts_are_not_yet_accepted_or_not(connection: psycopg.Connection, reader: Reader) -> None:
    made = seed.execution(connection, seed.home(connection, "north"), status="in_progress", picked_up=60)
    seed.turn(connection, made, 1, 1, tokens=(1, 0, 1))
    seed.turn(connection, made, 2, 2, tokens=(1, 0, 1))
    seed.verdict(connection, made, 1, 1, "output", "accept")
    rows = reader.execute("SELECT cycle, is_accepted FROM reporting.cycles ORDER BY cycle").fetchall()
    assert [(row["cycle"], row["is_accepted"]) for row in rows] == [(1, True), (2, None)]


def test_verdicts_count_issues_and_keep_the_code(connection: psycopg.Connection, reader: Reader) -> None:
    made = seed.execution(connection, seed.home(connection, "north"), status="in_progress", picked_up=60)
    seed.verdict(connection, made, 1, 1, "length", "retry", issues=2)
    seed.verdict(connection, made, 1, 2, "data", "reject")
    rows = reader.execute("SELECT validator, kind, code, issues FROM reporting.verdicts ORDER BY number").fetchall()
    assert [tuple(row.values()) for row in rows] == [
        ("length", "retry", None, 2),
        ("data", "reject", "no_product_data", 0),
    ]


def test_queue_counts_phases_and_the_oldest_ready_of_each_definition(
    connection: psycopg.Connection, reader: Reader
) -> None:
    place = seed.home(connection, "north")
    alive = seed.worker(connection)
    seed.worker(connection, "gone", lease_left=-60)
    phases = [("ready", 30, None), ("ready", 5, None), ("waiting", 900, None), ("running", 900, alive)]
    for phase, ready, worker_id in phases:
        made = seed.execution(connection, place)
        seed.waiting_row(connection, place, made, phase=phase, ready=ready, worker_id=worker_id)
    other = seed.execution(connection, place, definition="other")
    seed.waiting_row(connection, place, other, definition="other@3", phase="waiting")
    row = one(reader, "queue", definition="echo")
    assert (row["version"], row["ready"], row["waiting"], row["running"], row["live_workers"]) == (1, 2, 1, 1, 1)
    assert near(row["oldest_ready_seconds"], 30)
    row = one(reader, "queue", definition="other", version=3)
    assert (row["ready"], row["oldest_ready_at"], row["oldest_ready_seconds"], row["live_workers"]) == (
        0,
        None,
        None,
        0,
    )


def test_workers_tell_leases_and_free_slots(connection: psycopg.Connection, reader: Reader) -> None:
    place = seed.home(connection, "north")
    alive = seed.worker(connection, "alive", concurrency=3)
    seed.worker(connection, "gone", lease_left=-30)
    seed.waiting_row(connection, place, seed.execution(connection, place), phase="running", worker_id=alive)
    row = one(reader, "workers", name="alive")
    assert (row["is_alive"], row["running"], row["concurrency"], row["free_slots"]) == (True, 1, 3, 2)
    assert (row["host"], row["pid"], row["offers"]) == ("ops-1", 4711, ["echo@1"])
    assert near(row["lease_seconds_left"], 60)
    row = one(reader, "workers", name="gone")
    assert (row["is_alive"], row["free_slots"]) == (False, 0)
    assert near(row["lease_seconds_left"], -30)


def test_executions_tell_what_ended_one_and_what_it_spent(connection: psycopg.Connection, reader: Reader) -> None:
    place = seed.home(connection, "north")
    ended = seed.execution(connection, place, status="finished", picked_up=50, finished=20, cycles=1)
    pending = seed.execution(connection, place)
    connection.execute(
        "UPDATE executions SET exit_reason = 'finished', input_tokens = 10, cached_tokens = 4, output_tokens = 3,"
        " cost = 0.25, model_seconds = 1.5, calls = 2, is_estimated = true WHERE id = %s",
        (ended,),
    )
    names = ("exit_reason", "input_tokens", "cached_tokens", "output_tokens", "cost", "calls", "is_estimated")
    row = one(reader, "executions", id=ended)
    assert [row[name] for name in names] == ["finished", 10, 4, 3, Decimal("0.25"), 2, True]
    assert row["model_seconds"] == Decimal("1.5")
    assert [one(reader, "executions", id=pending)[name] for name in names] == [None] * len(names)


def test_cycles_tell_how_an_answer_was_asked_for_and_its_cost(connection: psycopg.Connection, reader: Reader) -> None:
    made = seed.execution(connection, seed.home(connection, "north"), status="in_progress", picked_up=60)
    for number, cycle in ((1, 1), (2, 2), (3, 2), (4, 3)):
        seed.turn(connection, made, number, cycle, tokens=(1, 0, 1))
    connection.execute("UPDATE turns SET cost = 0.5, lost_cost = 0.25 WHERE cycle < 3")
    connection.execute("UPDATE turns SET strategy = 'patch' WHERE cycle = 2")
    connection.execute("UPDATE turns SET strategy = 'escalate' WHERE number = 3")
    rows = [one(reader, "cycles", execution_id=made, cycle=cycle) for cycle in (1, 2, 3)]
    assert [(row["strategy"], row["cost"]) for row in rows] == [
        ("propose", Decimal("0.75")),
        ("patch", Decimal("1.50")),
        ("propose", None),
    ]
