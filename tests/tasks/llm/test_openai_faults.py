from __future__ import annotations

import asyncio
import itertools
import threading
import time

import pytest

from tasks.llm.protocol import Answer, Message, ModelError, Request
from tests.tasks.llm.provider import Provider, Reply, completion, fault, serving

KEY = "sk-verysecret0123456789"
OK = completion({"content": "ok"})
LEAKY = f"Incorrect API key provided: {KEY}. SELECT * FROM secrets"


def ask(provider: Provider, *, timeout_seconds: float = 20.0, max_answer_bytes: int = 1 << 20) -> Answer:
    from tasks.llm.openai import OpenAIModel

    request = Request(messages=(Message(role="user", text="Hello"),), timeout_seconds=timeout_seconds)

    async def once() -> Answer:
        opened = OpenAIModel("openai:m", model="m", key=KEY, base_url=provider.url, max_answer_bytes=max_answer_bytes)
        try:
            return await opened.ask(request)
        finally:
            await opened.close()

    return asyncio.run(once())


def error_of(provider: Provider, *, timeout_seconds: float = 20.0, max_answer_bytes: int = 1 << 20) -> ModelError:
    with pytest.raises(ModelError) as caught:
        ask(provider, timeout_seconds=timeout_seconds, max_answer_bytes=max_answer_bytes)
    assert "secret" not in caught.value.explanation
    assert "SELECT" not in caught.value.explanation
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "invalid_request_error", "refused the request"),
        (400, "context_length_exceeded", "longer than the model reads"),
        (401, "invalid_api_key", "key"),
        (403, None, "key"),
        (404, "model_not_found", "does not know this model"),
        (422, None, "refused the request"),
        (429, "insufficient_quota", "quota"),
    ],
)
def test_ask_when_trying_again_cannot_help_then_error_says_so(status: int, code: str | None, words: str) -> None:
    with serving(fault(status, LEAKY, code=code, x_should_retry="false")) as provider:
        error = error_of(provider)

    assert not error.retryable
    assert words in error.explanation
    assert str(status) in error.explanation
    assert len(provider.bodies) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_ask_when_provider_fails_for_ever_then_three_tries_and_a_retryable_error(status: int) -> None:
    with serving(fault(status, LEAKY, retry_after_ms="1")) as provider:
        error = error_of(provider)

    assert error.retryable
    assert str(status) in error.explanation
    assert len(provider.bodies) == 3


def test_ask_when_provider_fails_once_then_it_is_asked_again() -> None:
    with serving(fault(503, retry_after_ms="1"), OK) as provider:
        answer = ask(provider)

    assert (answer.text, len(provider.bodies)) == ("ok", 2)


def test_ask_when_retry_after_is_short_then_it_is_waited_for() -> None:
    with serving(fault(429, retry_after="1"), OK) as provider:
        began = time.monotonic()
        answer = ask(provider)

    assert answer.text == "ok"
    assert time.monotonic() - began >= 1


def test_ask_when_retry_after_is_over_a_minute_then_it_is_told_and_not_waited_for() -> None:
    with serving(fault(429, retry_after="61"), OK) as provider:
        error = error_of(provider)

    assert (error.retryable, error.retry_after_seconds, len(provider.bodies)) == (True, 61, 1)


def test_ask_when_connection_is_reset_for_ever_then_a_retryable_error() -> None:
    with serving(Reply(resets=True)) as provider:
        error = error_of(provider)

    assert error.retryable
    assert "connection broke" in error.explanation
    assert len(provider.bodies) == 3


def test_ask_when_nobody_listens_then_a_retryable_error() -> None:
    error = error_of(Provider([OK], url="http://127.0.0.1:9/v1"))

    assert error.retryable


def test_ask_when_provider_is_silent_then_the_time_limit_ends_it_after_one_try() -> None:
    with serving(Reply(waits_for=threading.Event())) as provider:
        began = time.monotonic()
        error = error_of(provider, timeout_seconds=0.5)

    assert (error.retryable, len(provider.bodies)) == (True, 1)
    assert "in time" in error.explanation
    assert time.monotonic() - began < 5


def test_ask_when_answer_drips_for_ever_then_the_time_limit_ends_it() -> None:
    stop = threading.Event()
    pieces = (b" " for _ in itertools.takewhile(lambda _: not stop.wait(0.02), itertools.count()))
    with serving(Reply(pieces=pieces)) as provider:
        error = error_of(provider, timeout_seconds=0.5)
        stop.set()

    assert error.retryable
    assert "in time" in error.explanation


def test_ask_when_answer_never_ends_then_the_size_limit_cuts_it_after_one_try() -> None:
    with serving(Reply(pieces=itertools.repeat(b"x" * 65536))) as provider:
        error = error_of(provider, max_answer_bytes=200_000)

    assert (error.retryable, len(provider.bodies)) == (False, 1)
    assert "larger" in error.explanation


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>secret</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [{"message": 5}]}',
        b'{"choices": [{"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": 7}}]}',
        b"\xff\xfe",
        b'{"choices"',
        b"[" * 100_000,
    ],
)
def test_ask_when_provider_sends_garbage_then_a_clean_retryable_error(body: bytes) -> None:
    with serving(Reply(body=body, headers={"Content-Type": "application/json"})) as provider:
        error = error_of(provider)

    assert error.retryable
    assert "no chat completion" in error.explanation


def test_ask_when_an_error_code_looks_like_a_secret_then_it_is_left_out() -> None:
    with serving(fault(401, code=KEY)) as provider:
        error = error_of(provider)

    assert "401" in error.explanation
