"""The error tree. Each error knows its HTTP status and machine code; messages are written for their reader.

ServiceError
├── BadRequest 400               ├── NotFound 404            ├── UnsupportedMediaType 415
│   └── InvalidInput 400         ├── Conflict 409            ├── Unavailable 503
├── Unauthorized 401             ├── PayloadTooLarge 413     ├── KeyReused 422
│                                │   └── BodyTooLarge        └── SetupError (never over HTTP: the CLI prints it, exit 2)
├── Forbidden 403                ├── TooManyRequests 429
│                                │   └── QueueFull, DailyLimit
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FieldError:
    """One thing that is wrong with one field. `field` is a path such as input.skus[0]."""

    field: str
    message: str


class ServiceError(Exception):
    """Something went wrong that its reader can understand. `status` is the HTTP status, `code` the problem's type."""

    status = 500
    code = "internal_error"
    title = "Internal error"

    def __init__(self, detail: str, *, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}


class BadRequest(ServiceError):
    """The request cannot be understood or is not allowed as it stands."""

    status = 400
    code = "bad_request"
    title = "Bad request"


class InvalidInput(BadRequest):
    """Fields of the request are wrong; `errors` names every one of them."""

    code = "invalid_input"
    title = "Invalid input"

    def __init__(self, errors: list[FieldError], detail: str | None = None) -> None:
        super().__init__(detail or "; ".join(f"{error.field}: {error.message}" for error in errors[:3]))
        self.errors = errors


class Unauthorized(ServiceError):
    """No credentials, or credentials that are not valid."""

    status = 401
    code = "unauthorized"
    title = "Unauthorized"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Token, Bearer"})


class Forbidden(ServiceError):
    """The account may know that this exists, but may not do it: admin routes."""

    status = 403
    code = "forbidden"
    title = "Forbidden"


class NotFound(ServiceError):
    """Absent, or somebody else's: the two are never told apart."""

    status = 404
    code = "not_found"
    title = "Not found"

    def __init__(self, detail: str = "Not found.") -> None:
        super().__init__(detail)


class Conflict(ServiceError):
    """The request collides with what is there."""

    status = 409
    code = "conflict"
    title = "Conflict"


class Gone(ServiceError):
    """What the Idempotency-Key started has been deleted; the key cannot start anything else."""

    status = 410
    code = "gone"
    title = "Gone"

    def __init__(self) -> None:
        super().__init__("What this Idempotency-Key started has been deleted.")


class KeyReused(ServiceError):
    """The Idempotency-Key is that of another request; a key names one request for good."""

    status = 422
    code = "idempotency_key_reused"
    title = "Idempotency key reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key belongs to a request that asked for something else; use a new one.")


class PayloadTooLarge(ServiceError):
    """A body, a file or a field is larger than the published limit."""

    status = 413
    code = "payload_too_large"
    title = "Payload too large"


class BodyTooLarge(PayloadTooLarge):
    """A JSON body has more bytes than the route reads."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"A JSON body may have {max_bytes:,} bytes here.")


class UnsupportedMediaType(ServiceError):
    """The request's Content-Type is not one the route reads."""

    status = 415
    code = "unsupported_media_type"
    title = "Unsupported media type"


class TooManyRequests(ServiceError):
    """The account has started as many executions in this minute as it may; nothing was written."""

    status = 429
    code = "rate_limited"
    title = "Too many starts"


class QueueFull(TooManyRequests):
    """As many executions of the account wait as may wait; nothing was written."""

    code = "queue_full"
    title = "Queue full"


class DailyLimit(TooManyRequests):
    """The account has used up its tokens or its money of the day, which ends at midnight UTC; nothing was written."""

    code = "daily_limit"
    title = "Daily limit reached"


class Unavailable(ServiceError):
    """The database cannot be reached; the same request may succeed in a moment."""

    status = 503
    code = "unavailable"
    title = "Service unavailable"

    def __init__(self, detail: str = "The database cannot be reached; try again shortly.") -> None:
        super().__init__(detail, headers={"Retry-After": "2"})


class SetupError(ServiceError):
    """Something about the installation is missing or wrong; the message names the command that mends it."""

    code = "setup"
    title = "Set-up"
