"""Faults on the way, on both wires: what is asked again, what is counted, what is told."""

from __future__ import annotations

import gzip
import logging
import threading
import time

import pytest

from tasks.llm.bounds import Bounds
from tasks.llm.protocol import Request, Usage
from tasks.llm.transport import Retries
from tests.tasks.llm.provider import Provider, Reply, serving
from tests.tasks.llm.wires import ASKED, FAST, JSON, KEY, LEAKY, OPENAI, WIRES, Wire


def within(seconds: float) -> Request:
    return Request(messages=ASKED.messages, timeout_seconds=seconds)


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_model_answers_then_usage_counts_one_attempt(wire: Wire) -> None:
    with serving(wire.said("done", tokens=(20, 5))) as provider:
        answer = wire.ask(provider)

    assert (answer.text, answer.usage) == ("done", Usage(input_tokens=20, output_tokens=5))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
def test_ask_when_provider_recovers_then_every_attempt_is_counted_and_none_was_billed(wire: Wire, status: int) -> None:
    with serving(wire.refused(status, LEAKY), wire.refused(status, LEAKY), wire.said()) as provider:
        answer = wire.ask(provider)

    assert len(provider.bodies) == 3
    assert answer.usage == Usage(input_tokens=7, output_tokens=3, attempts=3)
    assert provider.bodies[0] == provider.bodies[2]


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_ask_when_provider_stays_away_then_the_error_says_so_and_counts(wire: Wire, status: int) -> None:
    with serving(wire.refused(status, LEAKY)) as provider:
        error = wire.error(provider)

    assert (error.is_away, error.retryable, error.usage) == (True, True, Usage(attempts=3))
    assert str(status) in error.explanation


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_ask_when_the_request_is_at_fault_then_it_is_sent_once_and_is_not_retryable(wire: Wire, status: int) -> None:
    with serving(wire.refused(status, LEAKY, code="some_code")) as provider:
        error = wire.error(provider)

    assert (error.is_away, error.retryable, len(provider.bodies)) == (False, False, 1)
    assert f"{status}, some_code" in error.explanation


@pytest.mark.parametrize(
    ("wire", "status", "code", "message"),
    [
        pytest.param(WIRES[0].values[0], 429, "insufficient_quota", "no", id="openai"),
        pytest.param(WIRES[1].values[0], 402, "billing_error", "no", id="anthropic"),
        pytest.param(WIRES[1].values[0], 400, "invalid_request_error", "Your credit balance is too low", id="credit"),
    ],
)
def test_ask_when_quota_is_used_up_then_it_is_sent_once_and_another_provider_may_help(
    wire: Wire, status: int, code: str, message: str
) -> None:
    with serving(wire.refused(status, message, code=code)) as provider:
        error = wire.error(provider)

    assert (error.is_away, error.retryable, len(provider.bodies)) == (True, False, 1)
    assert "quota or credit" in error.explanation


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_a_wait_is_asked_for_then_it_is_waited_for(wire: Wire) -> None:
    with serving(wire.refused(429, retry_after="1"), wire.said()) as provider:
        began = time.monotonic()
        answer = wire.ask(provider)

    assert answer.usage.attempts == 2
    assert 1 <= time.monotonic() - began < 5


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_a_long_wait_is_asked_for_then_it_is_told_at_once(wire: Wire) -> None:
    with serving(wire.refused(429, retry_after="31"), wire.said()) as provider:
        error = wire.error(provider)

    assert (error.retry_after_seconds, error.is_away, len(provider.bodies)) == (31, True, 1)


@pytest.mark.parametrize("wait", ["-5", "inf", "nan", "1e999", "soon", "9" * 400, "Wed, 21 Oct 1815 07:28:00 GMT"])
def test_ask_when_the_wait_makes_no_sense_then_our_own_pause_is_made(wait: str) -> None:
    with serving(OPENAI.refused(503, retry_after=wait), OPENAI.said()) as provider:
        assert OPENAI.ask(provider).usage.attempts == 2


def test_ask_when_the_wait_does_not_fit_the_time_limit_then_it_is_not_begun() -> None:
    with serving(OPENAI.refused(429, retry_after="20")) as provider:
        began = time.monotonic()
        error = OPENAI.error(provider, within(5))

    assert (error.retry_after_seconds, len(provider.bodies)) == (20, 1)
    assert time.monotonic() - began < 4


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_connection_is_reset_then_each_attempt_may_have_been_billed(wire: Wire) -> None:
    with serving(Reply(resets=True), Reply(resets=True), wire.said()) as provider:
        answer = wire.ask(provider)

    assert answer.usage == Usage(input_tokens=7, output_tokens=3, attempts=3, unanswered=2)


def test_ask_when_nobody_listens_then_nothing_was_billed() -> None:
    error = OPENAI.error(Provider([OPENAI.said()], url="http://127.0.0.1:9/v1"))

    assert (error.is_away, error.usage) == (True, Usage(attempts=3))


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_provider_is_silent_then_time_ends_it_and_it_may_have_been_billed(wire: Wire) -> None:
    with serving(Reply(waits_for=threading.Event())) as provider:
        error = wire.error(provider, within(0.5))

    assert (error.is_away, error.usage) == (True, Usage(attempts=1, unanswered=1))


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_one_attempt_is_silent_then_the_next_is_made_within_the_time_limit(wire: Wire) -> None:
    with serving(Reply(waits_for=threading.Event()), wire.said()) as provider:
        answer = wire.ask(provider, within(20), bounds=Bounds(attempt_seconds=0.5, retries=FAST))

    assert answer.usage == Usage(input_tokens=7, output_tokens=3, attempts=2, unanswered=1)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "body", [b"", b"<html>secret</html>", b"[]", b"null", b"{}", b'{"content": 5}', b"\xff\xfe", b'{"a"', b"[" * 99_999]
)
def test_ask_when_provider_sends_garbage_then_it_is_asked_again(wire: Wire, body: bytes) -> None:
    with serving(Reply(body=body, headers=JSON), wire.said()) as provider:
        answer = wire.ask(provider)

    assert answer.usage == Usage(input_tokens=7, output_tokens=3, attempts=2, unanswered=1)


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_answer_comes_packed_then_it_is_not_unfolded(wire: Wire) -> None:
    packed = gzip.compress(b" " * 50_000_000)
    with serving(Reply(body=packed, headers={**JSON, "Content-Encoding": "gzip"})) as provider:
        error = wire.error(provider)

    assert error.is_away
    assert provider.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_answer_never_ends_then_the_size_limit_cuts_it_after_one_try(wire: Wire) -> None:
    pieces = (b"x" * 65536 for _ in range(100_000))
    with serving(Reply(pieces=pieces, headers=JSON)) as provider:
        error = wire.error(provider, bounds=Bounds(max_answer_bytes=200_000, retries=FAST))

    assert (error.retryable, error.usage) == (False, Usage(attempts=1, unanswered=1))
    assert "larger" in error.explanation


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_provider_refuses_then_no_log_line_holds_its_words_or_the_key(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), serving(wire.refused(401, LEAKY), Reply(body=LEAKY.encode())) as provider:
        wire.error(provider)
        wire.error(provider)

    assert caplog.records
    assert not [line for line in caplog.text.splitlines() if KEY in line or "SELECT" in line or "Traceback" in line]


def test_pauses_grow_with_chance_in_them_and_follow_what_is_asked_for() -> None:
    retries = Retries()
    pauses = [retries.pause(2, None) for _ in range(50)]

    assert 0.5 <= min(pauses) < max(pauses) <= 1
    assert len(set(pauses)) > 10
    assert all(10 <= retries.pause(1, 10) <= 11 for _ in range(50))
