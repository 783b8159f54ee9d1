"""GET …/events/ as a stream, over real connections: nothing lost, nothing twice, and an end to everything."""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from service.access_log import RequestIds
from service.database import Database
from service.events import stream as streams
from service.events.hub import EXECUTION, Hub
from service.events.numbering import Numbering
from service.settings import Settings
from tests import postgres
from tests.service.conftest import World
from tests.service.events.conftest import Live, Teller, live
from tests.service.events.test_pages import ACCOUNT, of
from tests.tasks.conftest import AsApp

STREAM = {"Accept": "text/event-stream"}


def until(holds: Callable[[], object], *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, holds
        time.sleep(0.01)


class Reader:
    """The frames of a response, as they come."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        self._frames = self._split(response)

    def _split(self, response: httpx.Response) -> Iterator[str]:
        rest = ""
        for text in response.iter_text():
            *frames, rest = (rest + text).split("\n\n")
            yield from frames
        assert rest == ""

    def frame(self) -> str | None:
        """The next one of any kind; None at the end."""
        return next(self._frames, None)

    def event(self) -> dict[str, Any] | None:
        """The next event, with its id; None at the end."""
        for frame in self._frames:
            fields = dict(line.split(": ", 1) for line in frame.split("\n"))
            if "data" in fields:
                data = json.loads(fields["data"])
                assert fields["event"] == data["kind"]
                return {"id": int(fields["id"]), **data}
        return None

    def rest(self) -> list[dict[str, Any]]:
        """All events to the end."""
        return list(iter(self.event, None))


@contextmanager
def streaming(client: httpx.Client, url: str, after: int | None = None) -> Iterator[Reader]:
    headers = STREAM if after is None else {**STREAM, "Last-Event-ID": str(after)}
    with client.stream("GET", url, headers=headers) as response:
        yield Reader(response)


def table(teller: Teller, execution_id: int) -> list[tuple[int, str]]:
    return teller.connection.execute(
        "SELECT seq, kind FROM events WHERE execution_id = %s ORDER BY seq", (execution_id,)
    ).fetchall()


@pytest.fixture
def served(database_url: str) -> Iterator[Live]:
    with live(database_url) as server:
        yield server


@pytest.fixture
def client(served: Live, world: World) -> Iterator[httpx.Client]:
    with served.client(world.user.token) as opened:
        yield opened


def test_stream_gives_what_was_and_what_comes_and_ends_with_the_execution(
    client: httpx.Client, teller: Teller, served: Live
) -> None:
    execution_id = teller.accept()
    with streaming(client, of(execution_id)) as stream:
        assert stream.frame() == "retry: 1000"
        events = [stream.event()]
        teller.tell(execution_id, "turn_started", turn=1, cycle=1)
        events.append(stream.event())
        teller.finish(execution_id)
        events += stream.rest()
    page = client.get(of(execution_id)).json()["results"]
    assert events == [{"id": each["sequence"], **each} for each in page]
    assert [each["kind"] for each in page] == ["accepted", "turn_started", "finished"]
    assert client.get(of(execution_id), headers={**STREAM, "Last-Event-ID": "3"}).status_code == 204
    with streaming(client, of(execution_id), after=2) as stream:
        assert [event["kind"] for event in stream.rest()] == ["finished"]
    assert served.hub.watching == 0


def test_stream_is_told_without_waiting_for_the_next_look(database_url: str, teller: Teller, world: World) -> None:
    with live(database_url, AGENTIC_POLL_SECONDS="60") as served, served.client(world.user.token) as client:
        execution_id = teller.accept()
        with streaming(client, of(execution_id)) as one, streaming(client, ACCOUNT) as all_of_them:
            assert one.event() is not None
            assert all_of_them.event() is not None
            until(lambda: listening(teller.connection) == 1)
            for sequence in (2, 3):
                teller.tell(execution_id)
                teller.number(database_url)
                for stream in (one, all_of_them):
                    event = stream.event()
                    assert event is not None
                    assert event["sequence"] == sequence
            teller.finish(execution_id)
            teller.number(database_url)
            assert [event["kind"] for event in one.rest()] == ["finished"]


def listening(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'agentic-api-events'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_stream_cut_at_random_again_and_again_is_the_table_when_joined(
    client: httpx.Client, teller: Teller, database_url: str, world: World
) -> None:
    dice = random.Random(7)
    execution_id = teller.accept()

    def write() -> None:
        with psycopg.connect(database_url, autocommit=True) as connection:
            other = Teller(connection, world)
            for turn in range(400):
                other.tell(execution_id, turn=turn)
                time.sleep(0.001 * dice.random())
            other.finish(execution_id)

    writer = threading.Thread(target=write)
    writer.start()
    joined: list[tuple[int, str]] = []
    cuts = 0
    while not joined or joined[-1][1] != "finished":
        left = dice.randint(0, 15)
        cuts += 1
        with streaming(client, of(execution_id), after=joined[-1][0] if joined else None) as stream:
            while left and (event := stream.event()) is not None:
                joined.append((event["id"], event["kind"]))
                left -= 1
    writer.join()
    assert cuts > 20
    assert joined == table(teller, execution_id)


def test_stream_far_behind_reads_the_table_until_it_has_caught_up(client: httpx.Client, teller: Teller) -> None:
    execution_id = teller.accept()
    for turn in range(250):
        teller.tell(execution_id, turn=turn)
    with streaming(client, of(execution_id)) as slow, streaming(client, of(execution_id), after=250) as fast:
        for turn in range(100):  # more than is kept for whoever is quick
            teller.tell(execution_id, turn=turn)
        teller.finish(execution_id)
        assert [event["id"] for event in fast.rest()] == list(range(251, 353))
        assert [event["id"] for event in slow.rest()] == list(range(1, 353))


def test_account_stream_has_what_committed_late_and_goes_on(
    client: httpx.Client, teller: Teller, database_url: str, world: World
) -> None:
    with streaming(client, ACCOUNT) as stream:
        with psycopg.connect(database_url) as slow:
            late = Teller(slow, world).accept()
            early = teller.accept()
            first = stream.event()
            assert first is not None
            assert (first["execution"], first["id"]) == (early, first["position"])
            slow.commit()
        second = stream.event()
        assert second is not None
        assert (second["execution"], second["position"]) == (late, first["position"] + 1)
    with streaming(client, ACCOUNT, after=first["position"]) as resumed:
        assert resumed.event() == second


def test_stream_outlives_the_loss_of_every_connection_to_the_database(
    client: httpx.Client, teller: Teller, pg_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.addFilter(RequestIds())
    execution_id = teller.accept()
    with streaming(client, of(execution_id)) as stream:
        assert stream.event() is not None
        until(lambda: listening(teller.connection) == 1)
        name = teller.connection.info.dbname
        with psycopg.connect(postgres.in_database(pg_server, name), autocommit=True) as superuser:
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'agentic-api%%'"
            )
        teller.tell(execution_id)
        teller.finish(execution_id)
        assert [event["kind"] for event in stream.rest()] == ["turn_started", "finished"]
    told = [record for record in caplog.records if record.message.startswith("no notifications")]
    assert [hasattr(record, "request_id") for record in told] == [False]  # it is no request's own trouble


def test_silent_stream_gives_signs_of_life(database_url: str, teller: Teller, world: World) -> None:
    with (
        live(database_url, AGENTIC_HEARTBEAT_SECONDS="0.05") as served,
        served.client(world.user.token) as client,
        streaming(client, of(teller.accept())) as stream,
    ):
        frames = [stream.frame() for _ in range(5)]
    assert frames[0] == "retry: 1000"
    assert frames[2:] == [": ", ": ", ": "]


def test_stream_ends_when_its_account_is_disabled(database_url: str, teller: Teller, world: World) -> None:
    with (
        live(database_url, AGENTIC_HEARTBEAT_SECONDS="0.1") as served,
        served.client(world.user.token) as client,
        served.client(world.admin.token) as admin,
        streaming(client, of(teller.accept())) as stream,
    ):
        assert stream.event() is not None
        path = f"/api/service-accounts/{world.user.id}/"
        assert admin.patch(path, json={"is_active": False}).status_code == 200
        assert stream.event() is None


def test_client_that_leaves_is_forgotten_and_the_execution_goes_on(
    client: httpx.Client, teller: Teller, served: Live
) -> None:
    execution_id = teller.accept()
    for _ in range(3):
        with streaming(client, of(execution_id)) as stream:
            assert stream.event() is not None
    until(lambda: served.hub.watching == 0)
    teller.tell(execution_id)
    assert len(table(teller, execution_id)) == 2


def test_server_that_is_told_to_stop_ends_its_streams_at_once(
    client: httpx.Client, teller: Teller, served: Live
) -> None:
    with streaming(client, of(teller.accept())) as stream, streaming(client, ACCOUNT) as other:
        assert stream.event() is not None
        assert other.frame() is not None
        assert served.stop()
        assert stream.rest() == []


def test_head_of_a_stream_has_an_end(client: httpx.Client, teller: Teller) -> None:
    answer = client.head(of(teller.accept()), headers=STREAM)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_stream_ends_when_its_execution_is_erased_before_its_end_was_read(
    served: Live, client: httpx.Client, teller: Teller
) -> None:
    execution_id = teller.accept()
    with streaming(client, of(execution_id)) as reader:
        until(lambda: served.hub.watching == 1)
        teller.connection.execute("DELETE FROM executions")
        until(lambda: served.hub.watching == 0)
        assert reader is not None


def test_foreign_stream_is_absent_and_one_of_the_future_refused(
    client: httpx.Client, teller: Teller, world: World, connection: psycopg.Connection[Any]
) -> None:
    theirs = Teller(connection, world, account_id=world.stranger.id).accept()
    assert client.get(of(theirs), headers=STREAM).status_code == 404
    assert client.get(of(theirs + 100), headers=STREAM).status_code == 404
    answer = client.get(of(teller.accept()), headers={**STREAM, "Last-Event-ID": "2"})
    assert answer.status_code == 400
    message = "is 2, which no event has had yet; start from 0"
    assert answer.json()["errors"] == [{"field": "Last-Event-ID", "message": message}]


def test_client_that_does_not_read_is_given_up_and_holds_up_nobody(
    database_url: str, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PATIENCE_SECONDS", 0.05)
    execution_id = teller.accept()
    sent: list[bytes] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if len(sent) == 1:  # as when the connection takes no more
            await asyncio.Event().wait()
        sent.append(message["body"])

    async def allowed() -> bool:
        return True

    async def use(database: Database) -> int:
        hub = Hub(database, Numbering(database), Settings.read({"DATABASE_URL": database_url}))
        feed = streams.Feed(source=EXECUTION, of=execution_id, after=0, head=1, is_allowed=allowed, beat_seconds=60)
        opened = streams.EventStream(hub, database, feed).to_asgi_response()
        await asyncio.wait_for(opened.send_body(send, receive), 10)
        await hub.close()
        return hub.watching

    assert AsApp(database_url).pooled(use) == 0
    assert sent == [streams.FIRST]
