"""DELETE on an execution: erased at once with all that is its own; totals keep what it was."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg
import pytest

from service.errors import Gone
from service.responses import problem_of
from service.retention.store import GONE
from tests import http
from tests.http import Client, row_counts
from tests.service.conftest import World
from tests.service.executions.test_batch import batches
from tests.service.executions.test_read import LIST
from tests.service.executions.test_start import ASKED, PNG, starts

FORM = {"execution_key": "summary", "input": '{"text": "a"}'}
KEY = {"Idempotency-Key": "k"}
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def started(client: Client, world: World) -> int:
    answer = client.post(starts(world.uploads), data=FORM, files={"files": ("a.png", PNG)}, headers=KEY)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["id"])


def end(connection: psycopg.Connection, execution: int) -> None:
    connection.execute("DELETE FROM execution_runtime WHERE execution_id = %s", (execution,))
    http.finish(connection, execution, {"x": "y"})


def journal(connection: psycopg.Connection, execution: int) -> None:
    connection.execute(
        "INSERT INTO turns (execution_id, number, cycle, model, request_digest, request, answer)"
        " VALUES (%s, 1, 1, 'm', '', '[]', '{}')",
        (execution,),
    )
    connection.execute(
        "INSERT INTO tool_calls (execution_id, turn, number, call_id, name, arguments, result, idempotency_key)"
        " VALUES (%s, 1, 1, 'c', 'search', '{}', 'found', 'k')",
        (execution,),
    )


def test_delete_when_ended_then_nothing_of_it_is_left(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    before = row_counts(connection)
    execution = started(client, world)
    journal(connection, execution)
    end(connection, execution)
    answer = client.delete(f"{LIST}{execution}/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert client.get(f"{LIST}{execution}/").status_code == 404
    after = row_counts(connection)
    left = {table: after[table] - before[table] for table in after if after[table] != before[table]}
    assert left == {"daily_totals": 1, "idempotency_keys": 1, "procrastinate_jobs": 1, "procrastinate_events": 1}


def test_delete_when_repeated_then_404_and_the_key_is_410_from_then_on(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution = started(client, world)
    end(connection, execution)
    assert client.delete(f"{LIST}{execution}/").status_code == 204
    assert client.delete(f"{LIST}{execution}/").status_code == 404
    repeat = client.post(starts(world.uploads), data=FORM, files={"files": ("a.png", PNG)}, headers=KEY)
    assert (repeat.status_code, repeat.json()["type"]) == (410, "/api/docs/errors/gone")
    assert "location" not in repeat.headers
    assert row_counts(connection)["executions"] == 0


def test_delete_when_it_came_from_a_batch_then_the_batchs_stored_answer_goes_too(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    body = {"items": [{**ASKED, "input": {"text": "secret"}}, ASKED]}
    first = client.post(batches(world.one), json=body, headers=KEY).json()["results"][0]["execution"]["id"]
    end(connection, first)
    client.delete(f"{LIST}{first}/")
    assert client.post(batches(world.one), json=body, headers=KEY).status_code == 410
    stored = connection.execute("SELECT count(*) FROM idempotency_keys WHERE position('secret'::bytea IN body) > 0")
    assert stored.fetchone() == (0,)


def test_delete_when_it_has_not_ended_then_409_and_it_stays(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution = started(client, world)
    before = row_counts(connection)
    answer = client.delete(f"{LIST}{execution}/")
    assert (answer.status_code, "cancel it first" in answer.json()["detail"]) == (409, True)
    assert row_counts(connection) == before


def test_delete_when_foreign_then_404_and_it_stays(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution = started(client, world)
    end(connection, execution)
    assert client.delete(f"{LIST}{execution}/", headers=world.stranger.headers).status_code == 404
    assert client.get(f"{LIST}{execution}/").status_code == 200
    assert client.delete(f"{LIST}{execution}/", headers=world.admin.headers).status_code == 204


def test_gone_is_the_problem_of_its_error() -> None:
    assert msgspec.json.decode(GONE) == problem_of(Gone())


@pytest.mark.parametrize(("is_deleted", "status"), [(True, 404), (False, 204)])
def test_delete_when_another_transaction_holds_the_execution_then_waited_for(
    client: Client,
    world: World,
    connection: psycopg.Connection,
    database_url: str,
    is_deleted: bool,
    status: int,
) -> None:
    execution = started(client, world)
    end(connection, execution)
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as other:
        other.execute("SELECT FROM executions WHERE id = %s FOR UPDATE", (execution,))
        if is_deleted:
            other.execute("DELETE FROM executions WHERE id = %s", (execution,))
        answer = pool.submit(client.delete, f"{LIST}{execution}/")
        deadline = time.monotonic() + 20
        while not answer.done() and connection.execute(WAITING).fetchone() == (0,):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        other.commit()
        assert answer.result().status_code == status
