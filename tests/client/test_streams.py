"""Events over connections that break: joined, they are the log."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import psycopg
import pytest

import agentic_client
from agentic_client.streams import Frames
from tests.client.conftest import Connect, Place
from tests.client.passage import passage
from tests.service.events.conftest import Teller


def test_stream_cut_at_any_byte_again_and_again_is_the_log_when_joined(connect: Connect, place: Place) -> None:
    dice = random.Random(3)
    execution_id = place.teller.accept()

    def write() -> None:
        with psycopg.connect(place.database_url, autocommit=True) as connection:
            teller = Teller(connection, place.world)
            for turn in range(60):
                teller.tell(execution_id, turn=turn)
                time.sleep(0.002 * dice.random())
            teller.finish(execution_id)

    writer = threading.Thread(target=write)
    writer.start()
    with passage(place.served.url, lambda: dice.randint(1, 1200)) as way:
        client = connect(way.url, place.world.user.token, retrying=agentic_client.Retrying(first_seconds=0.001))
        events = list(client.stream(execution_id))
        writer.join()
        assert way.broken > 5
    table = place.connection.execute(
        "SELECT seq, kind FROM events WHERE execution_id = %s ORDER BY seq", (execution_id,)
    ).fetchall()
    assert [(event.sequence, event.kind) for event in events] == table
    assert events[-1].is_final


def test_stream_after_the_last_event_is_empty(client: Any, place: Place) -> None:
    execution_id = place.teller.accept()
    place.teller.finish(execution_id)
    assert [event.kind for event in client.stream(execution_id)] == ["accepted", "finished"]
    assert [event.kind for event in client.stream(execution_id, after=1)] == ["finished"]
    assert list(client.stream(execution_id, after=2)) == []


def test_stream_of_everything_goes_on_after_a_position(client: Any, place: Place) -> None:
    ids = [place.teller.accept() for _ in range(3)]
    place.teller.number(place.database_url)
    found = []
    for event in client.stream_all():
        found.append(event)
        if event.execution == ids[-1]:
            break
    assert [event.execution for event in found][-3:] == ids
    resumed = client.stream_all(after=found[-3].position)
    assert [next(resumed), next(resumed)] == found[-2:]
    resumed.close()


def test_stream_that_is_refused_raises_at_once(client: Any, place: Place) -> None:
    with pytest.raises(agentic_client.NotFound):
        next(client.stream(10**9))
    with pytest.raises(agentic_client.BadRequest):
        next(client.stream(place.teller.accept(), after=99))


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_frames_are_the_same_however_the_bytes_are_cut(end: bytes) -> None:
    lines = (
        b"retry: 5",
        b"",
        b": ",
        b"",
        b"id: 1",
        b"event: started",
        'data: {"tool": "a\u2028é"}'.encode(),
        b"data:x",
    )
    stream = end.join((*lines, b"", b"id: 2", b"data: cut off", b""))
    whole = [{"retry": "5"}, {"id": "1", "event": "started", "data": '{"tool": "a\u2028é"}\nx'}]
    for size in range(1, len(stream)):
        frames = Frames()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert [frame for piece in pieces for frame in frames.feed(piece)] == whole
