"""The views stay cheap however many executions have finished: what their plans read."""

from __future__ import annotations

import psycopg
import pytest

HISTORY = ("executions", "turns", "tool_calls", "verdicts", "events")


def plan(connection: psycopg.Connection, query: str) -> str:
    """The plan where an index is taken whenever one can serve, so that small tables show what large ones do."""
    connection.execute("SET enable_seqscan = off")
    return "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}".encode()))


@pytest.mark.parametrize("view", ["queue", "workers", "stuck", "limits"])
def test_views_of_what_is_live_read_no_history(connection: psycopg.Connection, view: str) -> None:
    read = plan(connection, f"SELECT * FROM reporting.{view}")
    assert "execution_runtime" in read
    assert not [table for table in HISTORY if f" on {table} " in read], read


def test_executions_of_a_day_are_found_by_index(connection: psycopg.Connection) -> None:
    read = plan(connection, "SELECT * FROM reporting.executions WHERE started_at > now() - interval '1 day'")
    assert "started_at_idx" in read  # of all executions, or of each account's


def test_executions_without_names_join_nothing(connection: psycopg.Connection) -> None:
    read = plan(connection, "SELECT id, waiting_seconds FROM reporting.executions")
    assert not [table for table in ("accounts", "agents", "data_sets", "verdicts") if f" on {table} " in read], read


def test_cycles_and_events_of_a_day_are_found_by_primary_keys(connection: psycopg.Connection) -> None:
    day = "JOIN reporting.executions e ON e.id = x.execution_id WHERE e.started_at > now() - interval '1 day'"
    for view, indexes in (("cycles", ("turns_pkey", "tool_calls_pkey", "verdicts_pkey")), ("events", ("events_pkey",))):
        read = plan(connection, f"SELECT x.* FROM reporting.{view} x {day}")
        assert not [index for index in indexes if index not in read], read
        assert "Seq Scan" not in read, read


def test_deliveries_without_receiver_and_answer_read_one_table(connection: psycopg.Connection) -> None:
    read = plan(connection, "SELECT id, status, seconds FROM reporting.deliveries")
    assert not [
        table for table in ("accounts", "webhooks", "executions", "webhook_attempts") if f" on {table} " in read
    ]


def test_cycles_of_one_execution_are_found_by_primary_keys(connection: psycopg.Connection) -> None:
    read = plan(connection, "SELECT * FROM reporting.cycles WHERE execution_id = 1")
    for index in ("turns_pkey", "tool_calls_pkey", "verdicts_pkey"):
        assert index in read, read
    assert "Seq Scan" not in read
