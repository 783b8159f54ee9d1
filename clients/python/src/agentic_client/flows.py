"""What is done step by step: requests that are repeated, waits. A flow says what to do next; the client that carries it
out, blocking or not, does it and says what came of it."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import httpx

from agentic_client import calls
from agentic_client.calls import Call
from agentic_client.errors import (
    ExecutionFailed,
    NotFound,
    Unreachable,
    WaitTimedOut,
    error_of,
    retry_after,
)
from agentic_client.models import Execution
from agentic_client.retrying import Retrying

T = TypeVar("T")

LONG_POLL_SECONDS = 25
"""How long one answer is waited for: proxies cut off what is silent for half a minute."""

NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""What httpx raises before there is a connection to send anything over."""


@dataclass(frozen=True)
class Send:
    """Send this and go on with the answer, or with what httpx raised instead."""

    call: Call[Any]


@dataclass(frozen=True)
class Pause:
    """Go on after so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Done(Generic[T]):
    """There is nothing more to do."""

    result: T


Came: TypeAlias = httpx.Response | httpx.RequestError | None
"""What came of a step; None of a pause."""
Flow: TypeAlias = Generator[Send | Pause, Came, T]


def advance(flow: Flow[T], came: Came = None) -> Send | Pause | Done[T]:
    """Tell a flow what came of its last step, nothing at first; what it says next."""
    try:
        return flow.send(came)
    except StopIteration as end:
        return Done(end.value)


def answered(call: Call[T], retrying: Retrying) -> Flow[T]:
    """What a call is answered, sent as often as it may help. Raises ApiError, Unreachable or UnexpectedAnswer."""
    response = yield from _accepted(call, retrying)
    return call.read(response)


def deleted(call: Call[None], retrying: Retrying) -> Flow[None]:
    """Delete something. What is gone after a first attempt without an answer was deleted by that."""
    try:
        yield from answered(call, retrying)
    except NotFound as error:
        if error.attempts == 1:
            raise


def ended(
    of: Execution | int, retrying: Retrying, *, timeout_seconds: float | None, raise_on_failure: bool
) -> Flow[Execution]:
    """The execution once it is final: by answers that are held back where the server does that, else by looking when it
    says. Raises WaitTimedOut, ExecutionFailed."""
    ends_at = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    while True:
        asked_at = time.monotonic()
        left = None if ends_at is None else ends_at - asked_at
        held = LONG_POLL_SECONDS if left is None else max(0, min(LONG_POLL_SECONDS, int(left)))
        call = calls.get(of, wait_seconds=held)
        response = yield from _accepted(call, retrying)
        execution = call.read(response)
        if execution.is_final:
            if raise_on_failure and not execution.is_finished:
                raise ExecutionFailed(execution)
            return execution
        now = time.monotonic()
        if ends_at is not None and now >= ends_at:
            raise WaitTimedOut(execution)
        was_held = "preference-applied" in response.headers and now - asked_at >= held
        if not was_held:  # nobody holds answers here, or this one came early because its process is stopping
            pause = retry_after(response.headers) or 1.0
            yield Pause(pause if ends_at is None else min(pause, ends_at - now))


def _accepted(call: Call[Any], retrying: Retrying) -> Flow[httpx.Response]:
    """The answer of success."""
    attempt = 0
    may_have_happened = False
    while True:
        attempt += 1
        came = yield Send(call)
        assert came is not None
        if isinstance(came, httpx.Response) and came.is_success:
            return came
        error = error_of(came) if isinstance(came, httpx.Response) else unreachable(came)
        error.attempts = attempt
        error.may_have_happened = may_have_happened = may_have_happened or error.may_have_happened
        pause = retrying.pause(attempt, error) if call.may_happen_twice or not may_have_happened else None
        if pause is None:
            raise error
        yield Pause(pause)


def unreachable(error: httpx.RequestError) -> Unreachable:
    """The same as an error of this package."""
    made = Unreachable(f"No answer: {error or type(error).__name__}")
    made.__cause__ = error
    made.may_have_happened = not isinstance(error, NEVER_SENT)
    return made
