"""What a receiver's answer means for a delivery: done, gone, or to be tried again, and when. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from service.webhooks.delivery_store import Attempted
from tasks.egress import Fault, NoAnswer, Received

PAUSES = (5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0)
"""Seconds after each failure but the last: ten attempts in three days and four hours."""

JITTER = 0.1
"""The part of a pause by which it may be longer: receivers that come back are not asked by everybody at once."""

LONGEST_RETRY_AFTER = 86400.0
GONE = 410


class Trouble(StrEnum):
    """The error of an attempt beside those of `Fault`."""

    REDIRECTED = "redirected"
    GONE = "gone"
    REJECTED = "rejected"
    SERVER_ERROR = "server_error"
    UNSIGNABLE = "unsignable"
    DELETED = "deleted"


def judge(
    answer: Received | NoAnswer, *, failures: int, milliseconds: int, chance: float, now: datetime | None = None
) -> Attempted:
    """How the attempt ended. `failures` are those before it, `chance` a number from 0 to 1 for the jitter."""
    if isinstance(answer, NoAnswer):
        return _failed(answer.fault, None, milliseconds, pause(failures, 0.0, chance))
    if 200 <= answer.status < 300:
        return Attempted(status="delivered", status_code=answer.status, milliseconds=milliseconds)
    if answer.status == GONE:
        gone = Trouble.GONE.value
        return Attempted(status="failed", status_code=GONE, milliseconds=milliseconds, error=gone, is_gone=True)
    asked = retry_after(answer.headers.get("retry-after"), now or datetime.now(UTC))
    return _failed(_trouble(answer.status), answer.status, milliseconds, pause(failures, asked, chance))


def unreadable(failures: int, chance: float) -> Attempted:
    """This process cannot sign: it has not the key that the secrets were sealed under."""
    return _failed(Trouble.UNSIGNABLE, None, 0, pause(failures, 0.0, chance))


def pause(failures: int, asked: float, chance: float) -> float | None:
    """Seconds to the next attempt, at least those that the receiver asked for; None after the last."""
    if failures >= len(PAUSES):
        return None
    return max(PAUSES[failures] * (1 + JITTER * chance), asked)


def retry_after(header: str | None, now: datetime) -> float:
    """The seconds that a Retry-After header asks for, up to a day; 0 for none, or one that cannot be read."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError):
        return 0.0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _failed(error: Fault | Trouble, status_code: int | None, milliseconds: int, next_in: float | None) -> Attempted:
    return Attempted(
        status="failed" if next_in is None else "pending",
        status_code=status_code,
        milliseconds=milliseconds,
        error=error.value,
        retry_in=next_in or 0.0,
    )


def _trouble(status: int) -> Trouble:
    if 300 <= status < 400:
        return Trouble.REDIRECTED
    return Trouble.SERVER_ERROR if status >= 500 else Trouble.REJECTED
