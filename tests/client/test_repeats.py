"""What is sent again, under the same key, and what is not."""

from __future__ import annotations

from itertools import chain, repeat
from typing import Any

import pytest

import agentic_client
from agentic_client import Client, Retrying
from tests.client.conftest import Connect, Place
from tests.client.passage import passage
from tests.client.scripted import EXECUTION, Answer, scripted

SOON = {"Retry-After": "0"}
STARTED = Answer(202, EXECUTION)
FINISHED = {**EXECUTION, "status": "finished", "result": {"a": 1}}


@pytest.mark.parametrize(
    "first",
    [
        Answer(429, {"title": "Too many requests"}, SOON),
        Answer(503, {"title": "Service unavailable"}, SOON),
        Answer(503, b"<html>no backend</html>"),
        Answer(502, b""),
        Answer(409, {"title": "Conflict"}, SOON),
        Answer(0),
    ],
)
def test_start_when_it_may_help_is_sent_again_under_its_key(connect: Connect, first: Answer) -> None:
    with scripted(first, first, STARTED) as script:
        assert connect(script.url, "t").start(7, "echo", {"text": "a"}).id == 42
    keys = {each.headers["idempotency-key"] for each in script.asked}
    assert (len(script.asked), len(keys), len({each.body for each in script.asked})) == (3, 1, 1)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, agentic_client.BadRequest),
        (401, agentic_client.Unauthorized),
        (403, agentic_client.Forbidden),
        (404, agentic_client.NotFound),
        (409, agentic_client.Conflict),
        (410, agentic_client.Gone),
        (422, agentic_client.KeyReused),
        (418, agentic_client.ApiError),
        (301, agentic_client.ApiError),
        (500, agentic_client.ApiError),
    ],
)
def test_start_when_it_is_refused_is_not_sent_again(
    connect: Connect, status: int, kind: type[agentic_client.ApiError]
) -> None:
    with scripted(Answer(status, {"type": "/api/docs/errors/x", "detail": "No."})) as script:
        with pytest.raises(kind) as refused:
            connect(script.url, "t").start(7, "echo")
        assert type(refused.value) is kind
    assert (refused.value.detail, refused.value.code, refused.value.attempts) == ("No.", "x", 1)
    assert len(script.asked) == 1


def test_repeats_end_and_say_how_many_there_were(connect: Connect) -> None:
    with scripted(*[Answer(503, {}, SOON)] * 5) as script:
        with pytest.raises(agentic_client.Unavailable) as away:
            connect(script.url, "t").get(42)
        assert (away.value.attempts, len(script.asked)) == (5, 5)
    with pytest.raises(agentic_client.Unreachable) as silent:
        connect(script.url, "t").start(7, "echo")
    assert silent.value.attempts == 5


@pytest.mark.parametrize("text", ["3600", "Wed, 01 Jan 2200 00:00:00 GMT"])
def test_limit_that_lasts_longer_than_is_waited_for_is_raised_with_its_time(connect: Connect, text: str) -> None:
    with scripted(Answer(429, {}, {"Retry-After": text})) as script:
        with pytest.raises(agentic_client.RateLimited) as limited:
            connect(script.url, "t").start(7, "echo")
        assert limited.value.retry_after_seconds is not None
        assert limited.value.retry_after_seconds >= 3600
        assert len(script.asked) == 1


@pytest.mark.parametrize("call", ["start", "start_batch", "rerun"])
def test_every_start_has_a_key_its_own_or_the_given(connect: Connect, call: str) -> None:
    arguments = {"start": (7, "echo"), "start_batch": (7, []), "rerun": (42,)}[call]
    answer = Answer(202, {**EXECUTION, "accepted": 0, "refused": 0, "results": []})
    with scripted(*[answer] * 3) as script:
        client = connect(script.url, "t")
        for key in ({}, {}, {"idempotency_key": "mine"}):
            getattr(client, call)(*arguments, **key)
    one, other, mine = (each.headers["idempotency-key"] for each in script.asked)
    assert one != other
    assert mine == "mine"


@pytest.mark.parametrize("call", ["start", "rerun"])
def test_start_that_waits_asks_for_a_held_answer_again_under_its_key(connect: Connect, call: str) -> None:
    arguments = {"start": (7, "echo"), "rerun": (42,)}[call]
    with scripted(Answer(503, {}, SOON), Answer(202, FINISHED)) as script:
        assert getattr(connect(script.url, "t"), call)(*arguments, wait_seconds=30).result == {"a": 1}
    assert [each.headers["prefer"] for each in script.asked] == ["wait=30"] * 2
    assert len({each.headers["idempotency-key"] for each in script.asked}) == 1


def test_delete_whose_answer_was_lost_is_done(connect: Connect) -> None:
    with scripted(Answer(0), Answer(404, {})) as script:
        assert connect(script.url, "t").delete(42) is None
    assert [each.method for each in script.asked] == ["DELETE", "DELETE"]


def test_wait_asks_for_long_answers_and_keeps_the_pace_where_there_are_none(connect: Connect) -> None:
    pace = {"Retry-After": "0.01"}  # not a whole number: a second, which the timeout cuts short
    with scripted(Answer(200, EXECUTION, pace), Answer(200, FINISHED)) as script:
        assert connect(script.url, "t").wait(42, timeout_seconds=1.9).result == {"a": 1}
    assert [each.headers.get("prefer") for each in script.asked] == ["wait=1", None]


def test_answers_that_are_not_the_apis_are_named(connect: Connect) -> None:
    with scripted(Answer(200, b"<html>"), Answer(200, []), Answer(200, {"id": 1}), Answer(200, EXECUTION)) as script:
        client = connect(script.url, "t")
        for _ in range(3):
            with pytest.raises(agentic_client.UnexpectedAnswer):
                client.get(42)
        with pytest.raises(agentic_client.UnexpectedAnswer):
            next(client.stream(42))


def test_answer_of_a_newer_service_is_read_and_kept(connect: Connect) -> None:
    with scripted(Answer(200, {**EXECUTION, "mood": "good"})) as script:
        assert connect(script.url, "t").get(42).raw["mood"] == "good"


def test_start_whose_reply_is_lost_is_one_execution(connect: Connect, place: Place) -> None:
    before = place.count()
    lengths = chain([0, 40], repeat(None))
    with passage(place.served.url, lambda: next(lengths)) as way:
        started = connect(way.url, place.world.user.token).start(place.world.one, "summary", {"text": "a"})
    assert (way.broken, place.count()) == (2, before + 1)
    assert connect(place.served.url, place.world.user.token).get(started).id == started.id


def test_stream_goes_on_after_refusals_and_silence(connect: Connect) -> None:
    stream = {"Content-Type": "text/event-stream"}
    first, last = (
        f'id: {number}\ndata: {{"execution": 42, "sequence": {number}, "kind": "{kind}", '
        '"created_at": "2025-04-10T14:00:00.000000Z", "data": {}}\n\n'
        for number, kind in ((1, "accepted"), (2, "finished"))
    )
    answers = (
        Answer(503, {}, SOON),
        Answer(200, f"retry: 1\n\n{first}".encode(), stream),
        Answer(0),
        Answer(200, f"{first}{last}{last}".encode(), stream),
    )
    with scripted(*answers) as script:
        assert [event.sequence for event in connect(script.url, "t").stream(42)] == [1, 2]
    assert [each.headers["last-event-id"] for each in script.asked] == ["0", "0", "1", "1"]


def test_pauses_double_are_bounded_and_differ() -> None:
    retrying = Retrying(attempts=9, first_seconds=1.0, longest_seconds=10.0)
    error = agentic_client.Unreachable("away")
    pauses = [retrying.pause(attempt, error) for attempt in range(1, 10)]
    assert pauses[-1] is None
    for pause, most in zip(pauses[:-1], (1, 2, 4, 8, 10, 10, 10, 10), strict=True):
        assert pause is not None
        assert most / 2 <= pause <= most
    assert len(set(pauses)) == 9


def test_token_is_shown_nowhere() -> None:
    with Client("http://127.0.0.1:1", "agt_secret", retrying=Retrying(attempts=1)) as client:
        with pytest.raises(agentic_client.Unreachable) as error:
            client.get(1)
        shown: list[Any] = [repr(client), str(error.value), repr(vars(client)), repr(error.value.__cause__)]
    assert "agt_secret" not in "".join(shown)
