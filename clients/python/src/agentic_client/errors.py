"""What can go wrong, in one tree. Nothing else is raised, beside ValueError for arguments that make no request.

AgenticError
├── Unreachable            no answer came: the network, a timeout
├── UnexpectedAnswer       an answer that this API does not give: not JSON, or without what every version has
├── ExecutionFailed        `wait(…, raise_on_failure=True)`: the execution ended as failed
├── WaitTimedOut           `wait(…, timeout_seconds=…)`: it has not ended yet (a TimeoutError too)
├── InvalidSignature       a webhook message that must not be trusted
└── ApiError               the API refused; type, title, status, detail and errors are its problem document
    ├── BadRequest 400
    │   └── InvalidInput   `errors` names every field
    ├── Unauthorized 401     ├── NotFound 404    ├── Gone 410                 ├── RateLimited 429
    ├── Forbidden 403        ├── Conflict 409    ├── KeyReused 422            └── Unavailable 502, 503, 504
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import httpx

    from agentic_client.models import Execution

MOST_SHOWN = 200
"""Characters of an answer that are quoted where it is not the API's."""


class AgenticError(Exception):
    """Something that callers may want to tell apart. `attempts`: how often the request had been sent.
    `may_have_happened`: it, or an attempt before it, may have been carried out all the same."""

    attempts: int = 1
    may_have_happened: bool = False
    retry_after_seconds: float | None = None

    @property
    def may_be_repeated(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return False


class Unreachable(AgenticError):
    """No answer came; whether the request arrived is not known, unless nothing could be connected to."""

    @property
    def may_be_repeated(self) -> bool:
        return True


class UnexpectedAnswer(AgenticError):
    """The answer is not one of this API; is the URL right?"""

    may_have_happened = True


class InvalidSignature(AgenticError):
    """The message was not signed with one of these secrets, or too long ago. Answer it with 400 and do nothing else."""


class ExecutionFailed(AgenticError):
    """An execution ended as failed. `retryable`: the same request may succeed later."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(f"execution {execution.id}: {execution.failure_code}: {execution.failure_explanation}")
        self.execution = execution
        self.code = execution.failure_code or "unknown"
        self.explanation = execution.failure_explanation or ""
        self.retryable = bool(execution.retryable)


class WaitTimedOut(AgenticError, TimeoutError):
    """An execution had not ended in time; `execution` is how it was then. It goes on: wait again, or cancel it."""

    def __init__(self, execution: Execution) -> None:
        super().__init__(f"execution {execution.id} is still {execution.status}")
        self.execution = execution


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong with one field. `field` is a path such as input.skus[0]."""

    field: str
    message: str


class ApiError(AgenticError):
    """The API refused. The attributes are its problem document; `document` is all of it."""

    expected: ClassVar[tuple[int, ...]] = ()

    def __init__(self, document: Mapping[str, Any], *, status: int, retry_after_seconds: float | None = None) -> None:
        self.document = document
        self.status = status
        self.type = str(document.get("type", "about:blank"))
        self.title = str(document.get("title", ""))
        self.detail = str(document.get("detail", ""))
        self.errors = tuple(_field_errors(document.get("errors")))
        self.retry_after_seconds = retry_after_seconds
        self.may_have_happened = status >= 500
        super().__init__(f"{status} {self.title}: {self.detail}")

    @property
    def code(self) -> str:
        """The last word of `type`, such as invalid_input: stable, for programs."""
        return self.type.rpartition("/")[2]

    @property
    def may_be_repeated(self) -> bool:
        return self.status in (429, 502, 503, 504) or (self.status == 409 and self.retry_after_seconds is not None)


class BadRequest(ApiError):
    """The request cannot be understood or is not allowed as it stands."""

    expected = (400,)


class InvalidInput(BadRequest):
    """Fields are wrong; `errors` names every one of them."""


class Unauthorized(ApiError):
    """No token, or one that is not valid any more."""

    expected = (401,)


class Forbidden(ApiError):
    """The account may know that this exists, but may not do it."""

    expected = (403,)


class NotFound(ApiError):
    """Absent, or somebody else's: the two are never told apart."""

    expected = (404,)


class Conflict(ApiError):
    """The request collides with what is there: an external id that is taken, an execution that has not ended."""

    expected = (409,)


class Gone(ApiError):
    """What the Idempotency-Key started has been deleted."""

    expected = (410,)


class KeyReused(ApiError):
    """The Idempotency-Key belongs to a request that asked for something else."""

    expected = (422,)


class RateLimited(ApiError):
    """More than the account may; `retry_after_seconds` says when there is room again. Nothing was started."""

    expected = (429,)


class Unavailable(ApiError):
    """The service, or a proxy before it, cannot answer now; sending it again did not help in the attempts allowed."""

    expected = (502, 503, 504)


def error_of(response: httpx.Response) -> ApiError:
    """The error that an answer stands for. Its body must have been read."""
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"title": response.reason_phrase, "detail": response.text[:MOST_SHOWN]}
    kind = _BY_STATUS.get(response.status_code, ApiError)
    if kind is BadRequest and document.get("errors"):
        kind = InvalidInput
    return kind(document, status=response.status_code, retry_after_seconds=retry_after(response.headers))


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds that Retry-After asks for, as a number or as a date; None where it says nothing."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # no date, or one without a zone
        return None


def _field_errors(errors: object) -> list[FieldError]:
    given = errors if isinstance(errors, list) else []
    return [
        FieldError(str(each.get("field", "")), str(each.get("message", ""))) for each in given if isinstance(each, dict)
    ]


_BY_STATUS: dict[int, type[ApiError]] = {
    status: kind
    for kind in (BadRequest, Unauthorized, Forbidden, NotFound, Conflict, Gone, KeyReused, RateLimited, Unavailable)
    for status in kind.expected
}
