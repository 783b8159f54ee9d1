"""What can go wrong on the OpenAI wire, and what a client is told about it: never a key and never a provider's text."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

from httpx2 import AsyncByteStream, Response
from openai import OpenAIError
from pydantic_ai import exceptions as theirs

from tasks.llm.protocol import ModelError

LONGEST_WAIT_SECONDS = 60.0
"""A longer Retry-After is not waited for here: it would hold a worker's slot."""
CODE = re.compile(r"[a-z]+(_[a-z]+)*")
"""An error code as providers spell them. Nothing else of what they send is repeated: it may hold a key."""


class AnswerTooLarge(OpenAIError):
    """The body passed the limit. An error of the SDK's family, because it repeats a request after any other."""


FAULTS = (theirs.AgentRunError, theirs.UserError, OpenAIError, RecursionError)
"""Everything that the libraries raise for a request that went wrong."""

REFUSALS: tuple[tuple[type[Exception], str, bool], ...] = (
    (theirs.ModelAuthenticationError, "does not accept the worker's key, or not for this model", False),
    (theirs.ModelNotFoundError, "does not know this model; or the base URL is wrong", False),
    (theirs.ModelContextWindowExceededError, "refused the request: the prompt is longer than the model reads", False),
    (theirs.ModelRequestRejectedError, "refused the request as it stands", False),
    (theirs.ModelQuotaExceededError, "says that the account's quota or credit is used up", False),
    (theirs.ModelRateLimitError, "limits the rate of requests; later it may answer", True),
    (theirs.ModelUnavailableError, "is not available at the moment", True),
    (theirs.ModelServerError, "had an error of its own", True),
    (theirs.ModelRequestTimeout, "did not answer in time", True),
    (theirs.ModelTimeoutError, "did not answer in time", True),
    (theirs.ModelConnectionError, "could not be reached, or the connection broke", True),
    (theirs.ContentFilterError, "withheld the answer by its content filter", False),
    (AnswerTooLarge, "sent an answer larger than the service reads", False),
)
GARBAGE = "sent something that is no chat completion"


def explained(error: Exception, name: str) -> ModelError:
    """The error in words for a client, with the status and the provider's error code where it sent them."""
    wording, retryable = next(
        ((text, retryable) for kind, text, retryable in REFUSALS if isinstance(error, kind)), (GARBAGE, True)
    )
    marks = [str(mark) for mark in (getattr(error, "status_code", None), _code(error)) if mark]
    return ModelError(
        f"The provider of {name} {wording}" + (f" ({', '.join(marks)})" if marks else ""),
        retryable=retryable,
        retry_after_seconds=getattr(error, "retry_after", None),
    )


def limits(max_bytes: int) -> Callable[[Response], Awaitable[None]]:
    """A hook that sees every response before its body is read: it caps the body, and how long is waited to retry."""

    async def limit(response: Response) -> None:
        if _waits_too_long(response):
            response.headers["x-should-retry"] = "false"
        assert isinstance(response.stream, AsyncByteStream)
        response.stream = _Capped(response.stream, max_bytes)

    return limit


class _Capped(AsyncByteStream):
    def __init__(self, stream: AsyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._left = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            self._left -= len(piece)
            if self._left < 0:
                raise AnswerTooLarge("the answer is larger than the service reads")
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _waits_too_long(response: Response) -> bool:
    try:
        return float(response.headers.get("retry-after", "0")) > LONGEST_WAIT_SECONDS
    except ValueError:
        return False


def _code(error: Exception) -> str | None:
    code = getattr(error, "provider_error_code", None) or getattr(error, "provider_error_type", None)
    return code if isinstance(code, str) and CODE.fullmatch(code) else None
