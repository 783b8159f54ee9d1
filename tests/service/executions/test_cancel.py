"""Cancelling over the API, and what API processes end by themselves while no worker is alive."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import psycopg
import pytest

from service.database import Database
from service.executions import ending
from service.executions.lifecycle import Status
from service.retention import store as retention
from service.settings import Settings
from tests import postgres
from tests.http import Client, finish
from tests.service.conftest import World
from tests.service.executions.test_start import ASKED, starts


def start(client: Client, world: World) -> int:
    started: int = client.post(starts(world.one), json=ASKED).json()["id"]
    return started


def cancel(client: Client, execution_id: int, **options: Any) -> Any:
    return client.post(f"/api/agentic-executions/{execution_id}/cancel/", **options)


def claimed(connection: psycopg.Connection) -> None:
    """The oldest one that is ready, by a live worker."""
    connection.execute(
        "INSERT INTO workers (name, host, pid, offers, concurrency, lease_until)"
        " VALUES ('w', 'h', 1, '{summary@1}', 1, now() + interval '1 minute')"
    )
    connection.execute("SELECT claim_execution(id, '{summary@1}') FROM workers")


def kinds(connection: psycopg.Connection, execution_id: int) -> list[str]:
    rows = connection.execute("SELECT kind FROM events WHERE execution_id = %s ORDER BY seq", (execution_id,))
    return [kind for (kind,) in rows]


def test_cancel_when_pending_then_it_is_over_at_once_and_never_starts(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = start(client, world)
    answer = cancel(client, execution_id)
    assert answer.status_code == 200, answer.text
    ended = answer.json()
    assert (ended["status"], ended["failure_code"], ended["retryable"]) == ("failed", "cancelled", True)
    assert (ended["failure_explanation"], ended["exit_reason"]) == ("The execution was cancelled.", "cancelled")
    assert ended["cancel_requested_at"] == ended["finished_at"]
    assert ended["usage"]["calls"] == 0
    assert client.get(f"/api/agentic-executions/{execution_id}/").json() == ended
    assert connection.execute("SELECT FROM execution_runtime").fetchall() == []
    assert kinds(connection, execution_id) == ["accepted", "cancel_requested", "cancelled"]


def test_cancel_when_waiting_then_it_is_over_at_once(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = start(client, world)
    claimed(connection)
    connection.execute("UPDATE execution_runtime SET phase = 'waiting', worker_id = NULL, resume_at = now()")
    assert (cancel(client, execution_id).status_code, kinds(connection, execution_id)[-1]) == (200, "cancelled")


def test_cancel_when_running_then_asking_shows_before_it_has_stopped(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = start(client, world)
    claimed(connection)
    answer = cancel(client, execution_id)
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["finished_at"]) == ("in_progress", None)
    assert answer.json()["cancel_requested_at"] is not None


def test_cancel_when_asked_twice_then_the_second_changes_nothing(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    running, pending = start(client, world), start(client, world)
    claimed(connection)
    for execution_id, status in ((running, 202), (pending, 200)):
        first, second = cancel(client, execution_id), cancel(client, execution_id)
        assert (first.status_code, second.status_code) == (status, status)
        assert first.json() == second.json()
        assert kinds(connection, execution_id).count("cancel_requested") == 1


@pytest.mark.parametrize("status", [Status.FINISHED, Status.FAILED])
def test_cancel_when_final_then_200_with_the_execution_as_it_ended(
    client: Client, world: World, connection: psycopg.Connection, status: Status
) -> None:
    execution_id = start(client, world)
    finish(connection, execution_id, {"a": 1})
    connection.execute("DELETE FROM execution_runtime")
    if status is Status.FAILED:
        failed = "status = 'failed', result = NULL, failure_code = 'unknown', failure_explanation = 'x'"
        connection.execute(f"UPDATE executions SET {failed}".encode())
    before = client.get(f"/api/agentic-executions/{execution_id}/").json()
    answer = cancel(client, execution_id)
    assert (answer.status_code, answer.json()) == (200, before)


def test_cancel_when_foreign_then_404_and_it_stays(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = start(client, world)
    assert cancel(client, execution_id, headers=world.stranger.headers).status_code == 404
    assert kinds(connection, execution_id) == ["accepted"]
    assert cancel(client, execution_id, headers=world.admin.headers).status_code == 200


def test_cancel_while_a_claim_is_under_way_then_waits_for_it_and_asks_its_worker(
    client: Client, world: World, connection: psycopg.Connection, database_url: str
) -> None:
    execution_id = start(client, world)
    with psycopg.connect(database_url) as claiming, psycopg.connect(database_url, autocommit=True) as watching:
        claimed(claiming)
        answers: list[Any] = []
        asking = threading.Thread(target=lambda: answers.append(cancel(client, execution_id)))
        asking.start()
        deadline = time.monotonic() + 10
        while not watching.execute("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'").fetchall():
            assert time.monotonic() < deadline
        claiming.commit()
        asking.join()
    assert (answers[0].status_code, answers[0].json()["status"]) == (202, "in_progress")


def end_overdue(database_url: str) -> int:
    """What an API process does each second."""

    async def once() -> int:
        settings = Settings.read({"DATABASE_URL": postgres.as_role(database_url, postgres.APP)})
        database = Database(settings, application_name="test")
        await database.open()
        try:
            async with database.connection() as connection:
                return (await ending.end_overdue(connection)).ended
        finally:
            await database.close()

    return asyncio.run(once())


@pytest.mark.parametrize("phase", ["ready", "waiting"])
def test_deadline_when_it_passes_for_what_waits_then_it_fails_without_a_worker(
    client: Client, world: World, connection: psycopg.Connection, database_url: str, phase: str
) -> None:
    passed, coming = start(client, world), start(client, world)
    connection.execute(
        "UPDATE execution_runtime SET phase = %s, deadline = now() + CASE WHEN execution_id = %s"
        " THEN interval '-1 second' ELSE interval '1 hour' END",
        (phase, passed),
    )
    assert end_overdue(database_url) == 1
    ended = client.get(f"/api/agentic-executions/{passed}/").json()
    assert (ended["status"], ended["failure_code"]) == ("failed", "deadline_exceeded")
    assert (ended["exit_reason"], ended["retryable"]) == ("deadline", True)
    assert "deadline" in ended["failure_explanation"]
    assert kinds(connection, passed) == ["accepted", "failed"]
    assert client.get(f"/api/agentic-executions/{coming}/").json()["status"] == "pending"


def test_deadline_when_retention_is_at_work_then_it_holds_all_the_same(
    client: Client, world: World, connection: psycopg.Connection, database_url: str
) -> None:
    start(client, world)
    connection.execute("UPDATE execution_runtime SET deadline = now()")
    with connection.transaction():
        assert connection.execute(retention.LOCK.encode()).fetchone() == (True,)
        assert end_overdue(database_url) == 1


def test_cancel_of_a_run_says_when_to_look_again(client: Client, world: World, connection: psycopg.Connection) -> None:
    execution_id = start(client, world)
    claimed(connection)
    assert cancel(client, execution_id).headers["retry-after"] == "1"


def test_deadline_of_what_a_worker_has_is_left_to_its_worker(
    client: Client, world: World, connection: psycopg.Connection, database_url: str
) -> None:
    start(client, world)
    claimed(connection)
    connection.execute("UPDATE execution_runtime SET deadline = now() - interval '1 hour'")
    assert end_overdue(database_url) == 0


@pytest.mark.parametrize(
    ("change", "ended"),
    [
        ("cancel_asked_at = now() - interval '1 second'", 0),
        ("cancel_asked_at = now() - interval '2.1 seconds'", 1),
        ("cancel_asked_at = now(), worker_id = NULL", 1),
        ("cancel_asked_at = now(), worker_id = NULL, phase = 'ready'", 1),
    ],
)
def test_cancel_when_its_worker_does_not_answer_then_ended_by_others_and_its_claim_is_void(
    client: Client, world: World, connection: psycopg.Connection, database_url: str, change: str, ended: int
) -> None:
    execution_id = start(client, world)
    claimed(connection)
    connection.execute(f"UPDATE execution_runtime SET {change}".encode())
    assert end_overdue(database_url) == ended
    assert connection.execute("SELECT count(*) FROM execution_runtime").fetchone() == (1 - ended,)
    assert (kinds(connection, execution_id)[-1] == "cancelled") is bool(ended)


def test_application_ends_what_is_overdue_by_itself(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = start(client, world)
    connection.execute("UPDATE execution_runtime SET deadline = now()")
    deadline = time.monotonic() + 20
    while client.get(f"/api/agentic-executions/{execution_id}/").json()["status"] == "pending":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert kinds(connection, execution_id) == ["accepted", "failed"]


def test_looking_for_what_is_overdue_reads_two_small_indexes(connection: psycopg.Connection) -> None:
    connection.execute("SET enable_seqscan = off")
    rows = connection.execute(f"EXPLAIN {ending.END_OVERDUE}".encode(), ending.FAILING).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "runtime_cancel" in plan
    assert "runtime_deadline" in plan
