"""`Prefer: wait=N` beside an Idempotency-Key, over real connections: whoever is answered first settles the answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from service.idempotency import store
from service.retention import store as retention
from tests import http, postgres
from tests.cut import Cut, wire
from tests.service.conftest import World, make_registry, make_world
from tests.service.events.conftest import Live, Teller, live
from tests.service.events.test_streams import until
from tests.service.executions.test_read import LIST
from tests.service.executions.test_start import ASKED, starts
from tests.tasks.conftest import AsApp


@dataclass
class Place:
    """A served API, its database, and who asks. Each test has a key of its own."""

    url: str
    world: World
    served: Live
    client: httpx.Client
    connection: psycopg.Connection[Any]
    pool: ThreadPoolExecutor
    key: str = ""

    def post(self, wait: int | None = None, path: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": self.key} | ({} if wait is None else {"Prefer": f"wait={wait}"})
        return self.client.post(path or starts(self.world.one), json=ASKED if path is None else {}, headers=headers)

    def waiting(self, count: int = 1, path: str | None = None) -> list[Future[httpx.Response]]:
        """So many requests under the key that wait, once they do."""
        asked = [self.pool.submit(self.post, 30, path) for _ in range(count)]
        until(lambda: self.served.hub.watching == count)
        return asked

    def finish(self) -> None:
        teller = Teller(self.connection, self.world)
        for (execution_id,) in self.connection.execute("SELECT execution_id FROM execution_runtime").fetchall():
            teller.finish(execution_id)

    def stored(self) -> tuple[bool, int, bytes]:
        statement = "SELECT settled, status, body FROM idempotency_keys WHERE key = %s"
        settled, status, body = self.connection.execute(statement, (self.key,)).fetchone() or (False, 0, b"")
        return settled, status, bytes(body)


@contextmanager
def placed(url: str) -> Iterator[Place]:
    with psycopg.connect(url, autocommit=True) as connection, ThreadPoolExecutor(16) as pool:
        world = make_world(connection)
        with live(url) as served, served.client(world.user.token) as client:
            yield Place(url, world, served, client, connection, pool)


@pytest.fixture(scope="module")
def places(template_database: postgres.Template) -> Iterator[Place]:
    with postgres.clone(template_database) as url, placed(url) as place:
        yield place


@pytest.fixture
def place(places: Place, request: pytest.FixtureRequest) -> Iterator[Place]:
    places.key = request.node.name
    yield places
    places.finish()


def shown(answer: httpx.Response) -> tuple[int, str, str | None, str | None]:
    header = answer.headers.get
    return answer.status_code, answer.json()["status"], header("preference-applied"), header("retry-after")


def test_requests_that_wait_when_the_execution_ends_get_the_bytes_that_every_repeat_gets(place: Place) -> None:
    waiting = place.waiting(3)
    assert not place.stored()[0]
    place.finish()
    answers = [each.result() for each in waiting]
    assert {shown(answer) for answer in answers} == {(202, "finished", "wait=30", None)}
    assert sorted(answer.headers.get("idempotent-replayed", "") for answer in answers) == ["", "true", "true"]
    repeats = [place.post(), place.post(30)]
    assert {answer.content for answer in (*answers, *repeats)} == {answers[0].content}
    assert {shown(answer) for answer in repeats} == {(202, "finished", None, None)}
    assert list(answers[0].json()["input"]) == ["text", "count", "skus"]  # as the schema has it


@pytest.mark.parametrize("wait", [None, 0])
def test_request_that_waits_when_a_repeat_was_answered_before_its_end_gets_that_answer(
    place: Place, wait: int | None
) -> None:
    (first,) = place.waiting()
    repeat = place.post(wait)
    assert shown(repeat) == (202, "pending", None if wait is None else "wait=0", "1")
    place.finish()
    assert first.result().content == repeat.content
    assert shown(first.result()) == (202, "pending", "wait=30", "1")
    assert place.stored() == (True, 202, repeat.content)


def test_client_that_leaves_settles_nothing(place: Place) -> None:
    body = json.dumps(ASKED)
    request = f"POST {starts(place.world.one)} HTTP/1.1\r\nHost: x\r\nPrefer: wait=60\r\n"
    request += f"Authorization: Token {place.world.user.token}\r\nIdempotency-Key: {place.key}\r\n"
    request += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    where = urlsplit(place.served.url)
    with socket.create_connection((where.hostname or "", where.port or 0)) as leaving:
        leaving.sendall(request.encode())
        until(lambda: place.served.hub.watching == 1)
    until(lambda: place.served.hub.watching == 0)
    (again,) = place.waiting()
    assert not place.stored()[0]
    place.finish()
    assert shown(again.result()) == (202, "finished", "wait=30", None)


def test_many_at_once_when_some_wait_all_get_the_same_bytes(place: Place) -> None:
    answers = list(place.pool.map(place.post, [0, None, 1, 0, 1, None] * 6))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1


def test_request_that_waits_when_the_execution_is_deleted_is_410(place: Place) -> None:
    (first,) = place.waiting()

    async def erase(connection: Any) -> None:
        async with connection.transaction():
            ended = "UPDATE executions SET status = 'finished', result = '{}', finished_at = now() WHERE result IS NULL"
            await connection.execute(ended)
            found = await (await connection.execute("SELECT execution_id FROM execution_runtime")).fetchall()
            assert await retention.delete(connection, [row["execution_id"] for row in found]) == 1

    AsApp(place.url).connected(erase)
    assert first.result().status_code == 410
    assert not {"preference-applied", "retry-after", "location"} & set(first.result().headers)
    assert place.stored() == (True, 410, first.result().content)
    assert (place.post().status_code, place.post(30).status_code) == (410, 410)


def test_request_that_waits_when_its_token_is_disabled_is_401_and_that_is_not_stored(place: Place) -> None:
    (first,) = place.waiting()
    account = f"/api/service-accounts/{place.world.user.id}/"
    with place.served.client(place.world.admin.token) as admin:
        assert admin.patch(account, json={"is_active": False}).status_code == 200
        place.finish()
        assert first.result().status_code == 401
        assert place.stored()[:2] == (False, 202)
        assert admin.patch(account, json={"is_active": True}).status_code == 200
    assert shown(place.post(30)) == (202, "finished", "wait=30", None)


@pytest.mark.parametrize("has_key", [True, False])
def test_rerun_that_waits_is_answered_at_its_end(place: Place, has_key: bool) -> None:
    source = place.post().json()["id"]
    place.finish()
    path = f"{LIST}{source}/rerun/"
    place.key += " again"
    if has_key:
        answered = place.waiting(path=path)[0]
    else:
        answered = place.pool.submit(place.client.post, path, headers={"Prefer": "wait=30"})
        until(lambda: place.served.hub.watching == 1)
    place.finish()
    assert shown(answered.result()) == (202, "finished", "wait=30", None)
    assert answered.result().json()["rerun_of"] == source
    assert not has_key or place.post(path=path).content == answered.result().content


def test_process_that_stops_answers_and_settles(database_url: str) -> None:
    with placed(database_url) as place:
        place.key = "stopping"
        (first,) = place.waiting()
        assert place.served.stop()
        assert shown(first.result()) == (202, "pending", "wait=30", "1")
        assert place.stored() == (True, 202, first.result().content)


@pytest.mark.parametrize("statement", [b"SET settled = true", b"::bigint IS NULL OR account_id"])
def test_request_that_waits_when_the_database_is_away_at_its_end_is_503(
    database_url: str, world: World, connection: psycopg.Connection[Any], statement: bytes
) -> None:
    headers = {**world.user.headers, "Idempotency-Key": "k", "Prefer": "wait=0"}
    with wire(database_url, statement) as (way, line), http.serving(way, make_registry()) as client:
        line.cuts.append(Cut.BEFORE)
        answer = client.post(starts(world.one), json=ASKED, headers=headers)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert connection.execute("SELECT settled, status FROM idempotency_keys").fetchone() == (False, 202)
        again = client.post(starts(world.one), json=ASKED, headers=headers)
        assert (again.status_code, again.headers["preference-applied"]) == (202, "wait=0")
    assert connection.execute("SELECT count(*) FROM executions").fetchone() == (1,)


@pytest.mark.parametrize("digest", [b"mine", b"other"])
def test_settle_when_an_older_process_erased_the_answer_then_it_stays_erased(
    database_url: str, world: World, connection: psycopg.Connection[Any], digest: bytes
) -> None:
    connection.execute(
        "INSERT INTO idempotency_keys (account_id, key, digest, status, body, settled)"
        " VALUES (%s, 'k', 'mine', 410, 'gone', false)",
        (world.user.id,),
    )

    async def settle() -> Any:
        async with await AsyncConnection.connect(database_url, autocommit=True, row_factory=dict_row) as opened:
            return await store.settle(opened, world.user.id, "k", digest, b"finished")

    row = anyio.run(settle)
    assert (row is None) == (digest == b"other")
    stored = connection.execute("SELECT settled, status, body FROM idempotency_keys").fetchone()
    assert stored == (digest == b"mine", 410, b"gone")
