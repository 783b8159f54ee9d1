"""What retention forgets and what it keeps: contents and executions whose time is over, and totals for good."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import psycopg
import pytest

from service.database import Connection, Database
from service.retention import store
from service.settings import Settings
from tasks.retaining import retain_once
from tests.http import Client, row_counts
from tests.service.conftest import World
from tests.service.executions.test_read import LIST, add
from tests.service.retention.test_delete import end, journal, started

T = TypeVar("T")

TOTALS = "SELECT day::text, status, executions, cycles, input_tokens, cost::float8, unpriced, waiting_seconds::float8"


@pytest.fixture(autouse=True)
def begin(connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.retaining.PAUSE_SECONDS", 0)
    connection.execute("UPDATE totals_progress SET until_day = (now() AT TIME ZONE 'UTC')::date - 45")


def connected(database_url: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    async def in_transaction(database: Database) -> T:
        async with database.transaction() as connection:
            return await work(connection)

    return pooled(database_url, in_transaction)


def retain(database_url: str) -> None:
    pooled(database_url, retain_once)


def pooled(database_url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def run() -> T:
        database = Database(Settings.read({"DATABASE_URL": database_url}), application_name="test")
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    return anyio.run(run)


def ended(connection: psycopg.Connection, world: World, *days: int) -> list[int]:
    """Executions that ended so many days ago, each after three seconds of waiting."""
    made = add(connection, world, len(days))
    for execution, ago in zip(made, days, strict=True):
        connection.execute(
            "UPDATE executions SET status = 'finished', finished_at = now() - make_interval(days => %s), cycles = 2,"
            " started_at = now() - make_interval(days => %s, secs => 5),"
            " picked_up_at = now() - make_interval(days => %s, secs => 2),"
            " input_tokens = 10, cached_tokens = 0, output_tokens = 1, calls = 1, cost = %s,"
            " model_seconds = 0, is_estimated = false WHERE id = %s",
            (ago, ago, ago, None if execution % 2 else 0.5, execution),
        )
    return made


def keep(connection: psycopg.Connection, world: World, *, contents: int | None, executions: int | None) -> None:
    connection.execute(
        "UPDATE data_sets SET content_days = %s, execution_days = %s WHERE id = %s",
        (contents, executions, world.data_set),
    )


def totals(connection: psycopg.Connection, source: str) -> list[Any]:
    return connection.execute(f"{TOTALS} FROM {source} ORDER BY 1, 2, 7".encode()).fetchall()


def test_contents_when_their_days_are_over_then_prompts_results_and_files_go_and_the_rest_stays(
    client: Client, world: World, connection: psycopg.Connection, database_url: str
) -> None:
    execution = started(client, world)
    journal(connection, execution)
    end(connection, execution)
    connection.execute("UPDATE executions SET finished_at = now() - interval '91 days' WHERE id = %s", (execution,))
    shown = client.get(f"{LIST}{execution}/").json()
    record = f"/api/conversations/{shown['conversation']}/"
    assert client.get(record, headers=world.admin.headers).json()["cycles"][0]["turns"][0]["asked"] == []
    retain(database_url)
    assert client.get(f"{LIST}{execution}/").json() == shown
    assert client.get(shown["files"][0]["file_url"]).status_code == 404
    assert client.post(f"{LIST}{execution}/rerun/").status_code == 409
    turn = client.get(record, headers=world.admin.headers).json()["cycles"][0]["turns"][0]
    assert (turn["asked"], turn["tool_calls"][0]["result"], turn["tool_calls"][0]["name"]) == (None, None, "search")
    stored = connection.execute("SELECT request, (SELECT result FROM tool_calls) FROM turns").fetchone()
    assert stored == (b"", b"")
    assert row_counts(connection)["blobs"] == row_counts(connection)["blob_chunks"] == 0


def test_contents_when_their_days_are_not_over_or_kept_for_good_then_they_stay(
    world: World, connection: psycopg.Connection, database_url: str
) -> None:
    ended(connection, world, 89, 91)
    for contents, executions, due in ((None, None, 0), (90, None, 1), (None, 80, 2), (90, 80, 2)):
        keep(connection, world, contents=contents, executions=executions)
        assert len(connected(database_url, lambda opened: store.due_contents(opened, limit=10))) == due


def test_executions_when_their_days_are_over_then_they_go_and_totals_stay(
    client: Client, world: World, connection: psycopg.Connection, database_url: str
) -> None:
    ended(connection, world, 40, 40, 31, 29, 0)
    before = totals(connection, "reporting.daily")
    keep(connection, world, contents=90, executions=30)
    retain(database_url)
    assert client.get(LIST).json()["count"] == 2
    assert totals(connection, "reporting.daily") == before
    assert sum(row[2] for row in before) == 5


def test_totals_when_days_are_closed_then_the_report_is_what_it_was(
    world: World, connection: psycopg.Connection, database_url: str
) -> None:
    ended(connection, world, 3, 3, 2, 0)
    before = totals(connection, "reporting.daily")
    retain(database_url)
    assert totals(connection, "reporting.daily") == before
    closed = totals(connection, "daily_totals")
    assert [(row[2], row[4], row[6]) for row in closed] == [(2, 20, 1), (1, 10, 1)]
    retain(database_url)
    assert totals(connection, "daily_totals") == closed


def test_totals_when_a_start_was_put_off_then_its_wait_begins_there(
    world: World, connection: psycopg.Connection, database_url: str
) -> None:
    late, cancelled, _ = ended(connection, world, 3, 3, 3)
    connection.execute("UPDATE executions SET start_after = picked_up_at - interval '1 s' WHERE id = %s", (late,))
    connection.execute(
        "UPDATE executions SET start_after = finished_at + interval '1 h', picked_up_at = NULL WHERE id = %s",
        (cancelled,),
    )
    before = totals(connection, "reporting.daily")
    retain(database_url)
    assert totals(connection, "daily_totals") == before
    assert [row[7] for row in before] == [4]


def test_totals_when_an_execution_of_an_open_day_is_deleted_then_it_is_counted_once(
    client: Client, world: World, connection: psycopg.Connection, database_url: str
) -> None:
    first, _, _ = ended(connection, world, 1, 1, 0)
    before = totals(connection, "reporting.daily")
    assert client.delete(f"{LIST}{first}/").status_code == 204
    assert totals(connection, "reporting.daily") == before
    retain(database_url)
    assert totals(connection, "reporting.daily") == before


def test_day_when_it_is_not_over_then_it_stays_open(connection: psycopg.Connection, database_url: str) -> None:
    connection.execute("UPDATE totals_progress SET until_day = (now() AT TIME ZONE 'UTC')::date")
    assert not connected(database_url, store.close_day)


def test_retention_when_another_process_is_at_it_then_nothing_is_done(
    world: World, connection: psycopg.Connection, database_url: str
) -> None:
    ended(connection, world, 100)
    connection.execute("SELECT pg_advisory_lock(7006)")
    retain(database_url)
    assert connection.execute("SELECT count(*) FROM executions WHERE content_erased_at IS NULL").fetchone() == (1,)
    assert row_counts(connection)["daily_totals"] == 0


def test_retention_when_more_is_due_than_a_batch_then_all_of_it_goes(
    world: World, connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.retaining.BATCH", 2)
    ended(connection, world, 40, 41, 42, 43, 44)
    keep(connection, world, contents=90, executions=30)
    retain(database_url)
    assert row_counts(connection)["executions"] == row_counts(connection)["conversations"] == 0


def test_data_set_when_days_are_set_then_shown_and_null_is_for_good(client: Client, world: World) -> None:
    headers = world.admin.headers
    made = client.post("/api/data-sets/", json={"name": "a", "execution_days": 365}, headers=headers).json()
    assert (made["content_days"], made["execution_days"]) == (90, 365)
    path = f"/api/data-sets/{made['id']}/"
    changed = client.patch(path, json={"content_days": None}, headers=headers).json()
    assert (changed["name"], changed["content_days"], changed["execution_days"]) == ("a", None, 365)
    assert client.patch(path, json={"execution_days": 0}, headers=headers).status_code == 400
    assert client.get(path, headers=headers).json() == changed
