"""What the reporting role can reach: the views, and nothing beside them."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import DictRow

from tests.reporting import seed

Reader = psycopg.Connection[DictRow]


def names(connection: psycopg.Connection, schema: str) -> list[str]:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'v', 'm', 'p', 'S')",
        (schema,),
    )
    return [row[0] for row in rows]


def test_reader_reads_every_view(connection: psycopg.Connection, reader: Reader) -> None:
    views = {"executions", "cycles", "verdicts", "queue", "workers", "stuck", "daily", "limits"}
    views |= {"deliveries", "attempts", "events", "schedules"}
    assert set(names(connection, "reporting")) == views
    for view in names(connection, "reporting"):
        reader.execute(sql.SQL("SELECT * FROM reporting.{}").format(sql.Identifier(view)))


def test_reader_reads_and_writes_no_table_or_sequence(connection: psycopg.Connection, reader: Reader) -> None:
    tables = names(connection, "public")
    assert {"executions", "tokens", "turns", "webhook_secrets", "procrastinate_jobs"} <= set(tables)
    for table in tables:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("SELECT * FROM public.{}").format(sql.Identifier(table)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("DELETE FROM public.{}").format(sql.Identifier(table)))


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM reporting.verdicts",
        "UPDATE reporting.workers SET name = 'x'",
        "CREATE TABLE reporting.mine (a integer)",
        "CREATE TABLE public.mine (a integer)",
        "SELECT * FROM claim_execution(1, ARRAY['echo@1'])",
    ],
)
def test_reader_writes_nothing(reader: Reader, statement: str) -> None:
    with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectNotInPrerequisiteState)):
        reader.execute(statement.encode())


def test_views_show_no_input_answer_message_explanation_or_secret_of_a_webhook(
    connection: psycopg.Connection, reader: Reader
) -> None:
    place = seed.home(connection, "north")
    worker, webhook = seed.worker(connection, lease_left=-60), seed.webhook(connection, place)
    connection.execute("INSERT INTO limits (scope, scope_id, share) VALUES ('account', %s, 2)", (place.account_id,))
    for status, code in (("finished", None), ("failed", "unknown"), ("in_progress", None)):
        finished = None if status == "in_progress" else 10
        made = seed.execution(
            connection, place, status=status, started=90, picked_up=60, finished=finished, code=code, cycles=1
        )
        seed.turn(connection, made, 1, 1, tokens=(1, 0, 1))
        seed.tool_call(connection, made, 1, 1, succeeded=True)
        seed.verdict(connection, made, 1, 1, "length", "retry", issues=1)
        seed.waiting_row(connection, place, made, phase="running", worker_id=worker)
        seed.event(connection, made, 1, "started")
        seed.delivery(connection, place, webhook, made)
        seed.schedule(connection, place, made)
    for view in names(connection, "reporting"):
        statement = sql.SQL("SELECT row_to_json(v)::text AS shown FROM reporting.{} v").format(sql.Identifier(view))
        shown = [row["shown"] for row in reader.execute(statement)]
        assert shown, view
        assert not [text for text in shown if seed.SECRET in text], view


def test_times_follow_the_session_and_name_the_same_moment(connection: psycopg.Connection, reader: Reader) -> None:
    seed.execution(connection, seed.home(connection, "north"), started=90)
    reader.execute("SET timezone = 'Asia/Kathmandu'")
    row = reader.execute(
        "SELECT count(*) AS recent FROM reporting.executions WHERE started_at > now() - interval '2 minutes'"
    ).fetchone()
    assert row == {"recent": 1}
