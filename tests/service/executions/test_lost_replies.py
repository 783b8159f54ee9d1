"""An acceptance whose connection breaks is settled: kept once, or told as 503; never lost, never twice."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import anyio
import psycopg
import pytest

from service.database import Database
from service.errors import Unavailable
from service.executions import actions
from service.executions.store import NewExecution
from service.files.store import NewFile
from service.settings import Settings
from tests import http
from tests.cut import Cut, Wire, wire
from tests.http import Client, row_counts
from tests.service.conftest import World, make_registry

ASKED = {"execution_key": "summary", "input": {"text": "a"}}
WRITTEN = ("conversations", "executions", "execution_runtime", "events", "procrastinate_jobs")


@pytest.fixture
def way(database_url: str) -> Iterator[tuple[str, Wire]]:
    with wire(database_url, b"INSERT INTO conversations") as made:
        yield made


@pytest.fixture
def client(way: tuple[str, Wire], world: World) -> Iterator[Client]:
    """The user, of an API whose database is at the end of the wire."""
    with http.serving(way[0], make_registry()) as opened:
        opened.headers.update(world.user.headers)
        yield opened


def written(connection: psycopg.Connection) -> list[int]:
    counts = row_counts(connection)
    return [counts[table] for table in WRITTEN]


@pytest.mark.parametrize("cuts", [[Cut.REPLY], [Cut.BEFORE], [Cut.BEFORE, Cut.REPLY]])
def test_start_when_the_connection_breaks_then_202_and_written_once(
    client: Client, way: tuple[str, Wire], world: World, connection: psycopg.Connection, cuts: list[Cut]
) -> None:
    way[1].cuts.extend(cuts)
    answer = client.post(f"/api/agents/{world.one}/agentic-executions/", json=ASKED)
    assert way[1].was_cut.is_set()
    assert answer.status_code == 202, answer.text
    assert written(connection) == [1, 1, 1, 1, 1]
    row = connection.execute("SELECT id, celery_task_id::text FROM executions").fetchone()
    assert row == (answer.json()["id"], answer.json()["celery_task_id"])
    assert answer.json()["input"] == {"text": "a", "count": 1, "skus": None}


def test_start_when_the_first_commit_is_still_under_way_then_202_and_written_once(
    client: Client, way: tuple[str, Wire], world: World, connection: psycopg.Connection, database_url: str
) -> None:
    way[1].cuts.append(Cut.UNDER_WAY)
    path = f"/api/agents/{world.one}/agentic-executions/"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE procrastinate_jobs IN SHARE MODE")  # the ticket waits for it, and the rows with it
        answering = pool.submit(client.post, path, json=ASKED)
        _wait_for_waiters(connection, 2)  # the statement whose reply is lost, and the one that repeats it
        blocker.commit()
        answer = answering.result(timeout=30)
    assert answer.status_code == 202, answer.text
    assert written(connection) == [1, 1, 1, 1, 1]


def test_start_when_the_connection_breaks_every_time_then_503_that_says_when_to_try_again(
    client: Client, way: tuple[str, Wire], world: World, connection: psycopg.Connection
) -> None:
    way[1].cuts.extend([Cut.BEFORE] * 3)
    answer = client.post(f"/api/agents/{world.one}/agentic-executions/", json=ASKED)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert written(connection) == [0, 0, 0, 0, 0]


def test_accept_when_a_stored_file_was_swept_meanwhile_then_unavailable_and_nothing_is_written(
    database_url: str, world: World, connection: psycopg.Connection
) -> None:
    new = NewExecution(
        account_id=world.user.id,
        agent_id=world.uploads,
        data_set_id=world.data_set,
        celery_task_id=uuid4(),
        definition_key="summary",
        definition_version=1,
        input="{}",
        files=[NewFile(blob_id=999999, filename="a.txt", content_type="text/plain")],
    )

    async def accepted() -> None:
        database = Database(Settings.read({"DATABASE_URL": database_url}), application_name="agentic-api")
        await database.open()
        try:
            await actions.accept(database, new)
        finally:
            await database.close()

    with pytest.raises(Unavailable, match="try again"):
        anyio.run(accepted)
    assert written(connection) == [0, 0, 0, 0, 0]


def _wait_for_waiters(connection: psycopg.Connection, count: int) -> None:
    """Until so many statements of the API wait for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'agentic-api' AND wait_event_type = 'Lock'"
    )
    for _ in range(3000):
        row = connection.execute(waiting).fetchone()
        if row == (count,):
            return
        connection.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(f"no {count} statements wait")
