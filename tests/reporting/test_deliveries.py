"""The views of messages to webhooks and of events."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.rows import DictRow

from tests.reporting import seed
from tests.reporting.test_views import Reader, one

FAILED = (500, "server_error", 30)


def test_deliveries_tell_the_last_answer_and_the_time_to_it(connection: psycopg.Connection, reader: Reader) -> None:
    place = seed.home(connection, "north")
    run = seed.execution(connection, place)
    attempts = [FAILED, (204, None, 80)]
    made = seed.delivery(connection, place, seed.webhook(connection, place), run, finished=20, attempts=attempts)
    row = one(reader, "deliveries", id=made)
    assert (row["account"], row["execution_id"], row["sequence"]) == ("north account", run, 3)
    assert (row["status"], row["attempts"], row["status_code"], row["error"]) == ("delivered", 2, 204, None)
    assert (row["milliseconds"], row["seconds"], row["next_attempt_at"]) == (80, 40, None)


def test_deliveries_of_one_that_is_to_be_tried_again_tell_when(connection: psycopg.Connection, reader: Reader) -> None:
    place = seed.home(connection, "north")
    webhook, run = seed.webhook(connection, place), seed.execution(connection, place)
    made = seed.delivery(connection, place, webhook, run, status="pending", attempts=[FAILED])
    row = one(reader, "deliveries", id=made)
    assert (row["status_code"], row["error"], row["seconds"], row["finished_at"]) == (500, "server_error", None, None)
    assert row["next_attempt_at"] is not None
    connection.execute("UPDATE webhook_deliveries SET claims = 2")  # under way
    row = one(reader, "deliveries", id=made)
    assert (row["attempts"], row["error"], row["next_attempt_at"]) == (2, "server_error", None)


def test_deliveries_of_one_that_failed_have_no_time_to_delivery(connection: psycopg.Connection, reader: Reader) -> None:
    place = seed.home(connection, "north")
    webhook, run = seed.webhook(connection, place), seed.execution(connection, place)
    seed.delivery(connection, place, webhook, run, status="failed", finished=20, attempts=[(410, "gone", 30)])
    assert one(reader, "deliveries", status="failed", error="gone")["seconds"] is None


@pytest.mark.parametrize(
    ("url", "receiver"),
    [
        ("https://hooks.example.com/services/T0/secret?token=a#b", "hooks.example.com"),
        ("https://user:p@ss@hooks.example.com:8443/a@b", "hooks.example.com:8443"),
        ("http://[2001:db8::1]:8080?token=a", "[2001:db8::1]:8080"),
        ("https://hooks.example.com#token@elsewhere", "hooks.example.com"),
    ],
    ids=["path", "userinfo", "address", "fragment"],
)
def test_deliveries_show_the_host_of_a_url_and_nothing_else(
    connection: psycopg.Connection, reader: Reader, url: str, receiver: str
) -> None:
    place = seed.home(connection, "north")
    own = seed.execution(connection, place)
    connection.execute("UPDATE executions SET webhook_url = %s", (url,))
    seed.delivery(connection, place, seed.webhook(connection, place, url), None)
    seed.delivery(connection, place, seed.webhook(connection, place, None), own)
    shown = reader.execute("SELECT receiver FROM reporting.deliveries ORDER BY id").fetchall()
    assert [row["receiver"] for row in shown] == [receiver, receiver]


def attempts(reader: Reader) -> list[DictRow]:
    return reader.execute(
        "SELECT number, status_code, error, milliseconds FROM reporting.attempts ORDER BY 1"
    ).fetchall()


def test_attempts_whose_worker_died_were_interrupted_and_the_one_under_way_was_not(
    connection: psycopg.Connection, reader: Reader
) -> None:
    place = seed.home(connection, "north")
    begun = [FAILED, (None, None, None), (None, None, None)]
    run = seed.execution(connection, place)
    seed.delivery(connection, place, seed.webhook(connection, place), run, status="pending", attempts=begun)
    assert [tuple(row.values()) for row in attempts(reader)] == [
        (1, *FAILED),
        (2, None, "interrupted", None),
        (3, None, None, None),
    ]
    connection.execute("UPDATE webhook_deliveries SET status = 'dropped', finished_at = now()")
    assert [row["error"] for row in attempts(reader)] == ["server_error", "interrupted", "interrupted"]


def test_events_tell_what_happened_when_and_by_which_worker(connection: psycopg.Connection, reader: Reader) -> None:
    place = seed.home(connection, "north")
    run = seed.execution(connection, place)
    seed.event(connection, run, 1, "accepted", ago=30)
    seed.event(connection, run, 2, "started", ago=20)
    connection.execute("UPDATE events SET data = '{}' WHERE seq = 1")
    rows = [one(reader, "events", execution_id=run, sequence=sequence) for sequence in (1, 2)]
    assert [(row["account"], row["kind"], row["worker_id"]) for row in rows] == [
        ("north account", "accepted", None),
        ("north account", "started", 7),
    ]
    assert rows[0]["occurred_at"] < rows[1]["occurred_at"]
