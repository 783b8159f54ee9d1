"""What can go wrong at a provider, and what a client is told about it: never a key and never a provider's text."""

from __future__ import annotations

import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable

from httpx2 import AsyncByteStream, HTTPError, Request, Response, StreamError
from pydantic_ai import exceptions as theirs

from tasks.llm.protocol import ModelError, Usage

CODE = re.compile(r"[a-z]+(_[a-z]+)*")
"""An error code as providers spell them. Nothing else of what they send is repeated: it may hold a key."""
SILENT_STATUSES = {408, 504, 524}
"""A proxy gave up waiting: the provider behind it may have worked, and billed, all the same."""


class AnswerTooLarge(Exception):
    """The body passed the limit. Found again under whatever an SDK makes of it."""


FAULTS = (
    theirs.AgentRunError,
    theirs.UserError,
    AnswerTooLarge,
    HTTPError,
    StreamError,
    RuntimeError,
    # What the SDKs and the translation raise over a body that is JSON, and not what was to be expected.
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
"""What the libraries raise for a request that went wrong, beside the errors of the provider's own SDK."""

REFUSALS: tuple[tuple[type[Exception], str, bool, bool], ...] = (
    (theirs.ModelAuthenticationError, "does not accept the worker's key, or not for this model", False, False),
    (theirs.ModelNotFoundError, "does not know this model; or the base URL is wrong", False, False),
    (
        theirs.ModelContextWindowExceededError,
        "refused the request: the prompt is longer than the model reads",
        False,
        False,
    ),
    (theirs.ModelRequestRejectedError, "refused the request as it stands", False, False),
    (theirs.ModelQuotaExceededError, "says that the account's quota or credit is used up", False, True),
    (theirs.ModelRateLimitError, "limits the rate of requests; later it may answer", True, True),
    (theirs.ModelUnavailableError, "is not available at the moment", True, True),
    (theirs.ModelServerError, "had an error of its own", True, True),
    (theirs.ModelRequestTimeout, "did not answer in time", True, True),
    (theirs.ModelTimeoutError, "did not answer in time", True, True),
    (theirs.ModelConnectionError, "could not be reached, or the connection broke", True, True),
    (theirs.ContentFilterError, "withheld the answer by its content filter", False, False),
    (theirs.UserError, "cannot be asked this: the model does not take such a request", False, False),
    (AnswerTooLarge, "sent an answer larger than the service reads", False, False),
)
"""Kind of error, its wording, whether the same request may succeed later, whether the provider is what failed."""
GARBAGE = "sent something that is no chat completion"


def explained(error: Exception, name: str) -> ModelError:
    """The error in words for a client, with the status and the provider's error code where it sent them."""
    error = _too_large(error) or error
    wording, retryable, is_away = next(
        ((text, retryable, away) for kind, text, retryable, away in REFUSALS if isinstance(error, kind)),
        (GARBAGE, True, True),
    )
    marks = [str(mark) for mark in (getattr(error, "status_code", None), _code(error)) if mark]
    return ModelError(
        f"The provider of {name} {wording}" + (f" ({', '.join(marks)})" if marks else ""),
        retryable=retryable,
        retry_after_seconds=_retry_after(error),
        is_away=is_away,
        usage=Usage(unanswered=int(_may_be_billed(error, wording))),
    )


def limits(max_bytes: int) -> Callable[[Response], Awaitable[None]]:
    """A hook that sees every response before its body is read, and caps the body.

    What comes packed in spite of what was asked for is refused: a packed megabyte may unfold to a thousand.
    """

    async def limit(response: Response) -> None:
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise ValueError("a packed answer")
        assert isinstance(response.stream, AsyncByteStream)
        response.stream = _Capped(response.stream, max_bytes)

    return limit


async def ask_unpacked(request: Request) -> None:
    """A hook that asks for answers as they are."""
    request.headers["accept-encoding"] = "identity"


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


def _too_large(error: BaseException) -> AnswerTooLarge | None:
    """The cap that is behind an error, if it is."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, AnswerTooLarge):
        seen = seen.__cause__
    return seen


def _may_be_billed(error: Exception, wording: str) -> bool:
    """Whether the provider may have worked on a request of which we know nothing more."""
    if isinstance(error, theirs.ModelHTTPError):
        return error.status_code in SILENT_STATUSES
    if isinstance(error, theirs.ModelConnectionError):
        return error.phase not in ("connect", "pool")
    return wording == GARBAGE or isinstance(error, theirs.ModelRequestTimeout | AnswerTooLarge)


def _retry_after(error: Exception) -> float | None:
    seconds = getattr(error, "retry_after", None)
    return seconds if isinstance(seconds, int | float) and math.isfinite(seconds) and seconds >= 0 else None


def _code(error: Exception) -> str | None:
    code = getattr(error, "provider_error_code", None) or getattr(error, "provider_error_type", None)
    return code if isinstance(code, str) and CODE.fullmatch(code) else None
