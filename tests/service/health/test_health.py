"""/healthz and /readyz: a word each, without a token, and no more than a word."""

from __future__ import annotations

import socket
import time

import psycopg
import pytest

from service.health.controller import READY_SECONDS
from tests import http, postgres
from tests.http import Client

UNREACHABLE = "postgresql://somebody:hunter2@127.0.0.1:1/none"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/healthz/", "/readyz/"])
def test_process_with_its_database_is_up_and_ready(anonymous: Client, path: str) -> None:
    answer = anonymous.get(path)

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_process_without_its_database_is_up_but_not_ready() -> None:
    with http.serving(UNREACHABLE, AGENTIC_POOL_TIMEOUT_SECONDS="0.1") as client:
        up, ready = client.get("/healthz"), client.get("/readyz")

    assert (up.status_code, up.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (503, {"status": "database_unreachable"})
    assert ready.headers["retry-after"] == "2"
    assert "hunter2" not in ready.text


def test_database_that_was_never_migrated_is_not_ready(pg_server: str) -> None:
    with postgres.empty_database(pg_server) as url, http.serving(url) as client:
        answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (503, {"status": "database_not_migrated"})


def test_database_at_another_revision_is_not_ready(anonymous: Client, connection: psycopg.Connection) -> None:
    connection.execute("UPDATE alembic_version SET version_num = '0000'")

    answer = anonymous.get("/readyz")

    assert (answer.status_code, answer.json()) == (503, {"status": "database_not_migrated"})


def test_process_that_may_not_read_the_revision_is_not_ready(database_url: str) -> None:
    with http.serving(postgres.as_role(database_url, postgres.REPORTING)) as client:
        answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (503, {"status": "database_not_migrated"})


def test_database_that_accepts_and_never_answers_is_not_ready_within_seconds() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://somebody@127.0.0.1:{silent.getsockname()[1]}/none"
        started = time.monotonic()
        with http.serving(url) as client:
            answer = client.get("/readyz")
            seconds = time.monotonic() - started

    assert (answer.status_code, answer.json()) == (503, {"status": "database_unreachable"})
    assert seconds < READY_SECONDS + 3


def test_database_that_stops_answering_is_not_ready_within_seconds(
    anonymous: Client, connection: psycopg.Connection
) -> None:
    anonymous.get("/readyz")  # over a connection that there is, not while one is made
    found = connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'agentic-api' AND datname = current_database()"
    ).fetchall()
    with postgres.frozen(*(pid for (pid,) in found)):
        started = time.monotonic()
        answer = anonymous.get("/readyz")
        seconds = time.monotonic() - started

    assert (answer.status_code, answer.json()) == (503, {"status": "database_unreachable"})
    assert seconds < READY_SECONDS + 1


def test_ready_needs_no_more_than_the_app_role(database_url: str) -> None:
    with http.serving(postgres.as_role(database_url, postgres.APP)) as client:
        answer = client.get("/readyz")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def test_neither_path_looks_at_a_token(anonymous: Client) -> None:
    for path in ("/healthz", "/readyz"):
        assert anonymous.get(path, headers={"Authorization": "Token nonsense"}).status_code == 200
