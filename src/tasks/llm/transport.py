"""The one place where requests to providers are sent again: what fails on the way reaches no prompt and no cycle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec

from tasks.llm.protocol import NOTHING_SENT, Answer, ModelError, Usage


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often and after which pauses. `longest_wait_seconds`: a provider that asks for a longer one is not waited
    for here, where it would hold a worker's slot."""

    tries: int = 3
    first_pause_seconds: float = 0.5
    longest_wait_seconds: float = 30.0

    def pause(self, tried: int, asked_for: float | None) -> float:
        """Seconds before the next try: what the provider asked for and a little more, so that not everybody comes
        back at once; else twice as long each time, of which up to half is left to chance."""
        if asked_for is not None:
            return asked_for + random.uniform(0, min(1.0, asked_for / 4))  # noqa: S311 - no secret
        return self.first_pause_seconds * 2.0 ** (tried - 1) * random.uniform(0.5, 1.0)  # noqa: S311


async def send(
    once: Callable[[float], Awaitable[Answer]],
    *,
    seconds: float,
    attempt_seconds: float | None = None,
    retries: Retries,
) -> Answer:
    """An answer within `seconds`, however often it takes to ask; `once` is given the seconds of its try.

    Its usage, or that of the ModelError that is raised at last, counts every try.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    spent = NOTHING_SENT
    tried = 0
    while True:
        tried += 1
        left = max(0.01, end - clock())
        try:
            answer = await once(left if attempt_seconds is None else min(left, attempt_seconds))
        except ModelError as error:
            spent = total(spent, error.usage)
            pause = retries.pause(tried, error.retry_after_seconds)
            can_help = error.retryable and error.is_away and tried < retries.tries
            if not can_help or _asked_for(error) > retries.longest_wait_seconds or clock() + pause >= end:
                error.usage = spent
                raise
        else:
            return msgspec.structs.replace(answer, usage=total(spent, answer.usage))
        await asyncio.sleep(pause)


def _asked_for(error: ModelError) -> float:
    return error.retry_after_seconds or 0.0


def total(one: Usage, other: Usage) -> Usage:
    """What two calls cost together."""
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        written_tokens=one.written_tokens + other.written_tokens,
        attempts=one.attempts + other.attempts,
        unanswered=one.unanswered + other.unanswered,
        is_estimated=one.is_estimated or other.is_estimated,
    )
