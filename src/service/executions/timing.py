"""When an execution may start, by when it must have ended, and which of an account's own goes first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from service.errors import FieldError, InvalidInput

FARTHEST = timedelta(days=366)
"""How far from now the times of a start may lie; what is further away is taken for a mistake."""
HIGHEST_PRIORITY = 10

_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """What a start says of time and order. A `start_after` that has passed means at once.

    `priority` is from -10 to 10, higher first, among the executions of one account.
    """

    deadline: datetime | None = None
    start_after: datetime | None = None
    priority: int = 0


def read_timing(given: Mapping[str, object], *, now: datetime | None = None) -> Timing:
    """The timing from what was sent under its names; null is as if left out.

    Raises InvalidInput naming every field that is wrong. Times are judged by this process's clock and kept by the
    database's.
    """
    now = now or datetime.now(UTC)
    errors: list[FieldError] = []
    deadline = _time("deadline", given.get("deadline"), now, errors)
    start_after = _time("start_after", given.get("start_after"), now, errors)
    if deadline is not None and deadline <= now:
        errors.append(FieldError("deadline", "has passed"))
    elif deadline is not None and start_after is not None and deadline <= start_after:
        errors.append(FieldError("deadline", "must be later than start_after"))
    priority = _priority(given.get("priority"), errors)
    if errors:
        raise InvalidInput(errors)
    return Timing(deadline=deadline, start_after=start_after, priority=priority)


def _priority(value: object, errors: list[FieldError]) -> int:
    """A number, or its text, which is what a form has."""
    if value is None:
        return 0
    number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if type(number) is int and abs(number) <= HIGHEST_PRIORITY:
        return number
    errors.append(FieldError("priority", f"must be a whole number from -{HIGHEST_PRIORITY} to {HIGHEST_PRIORITY}"))
    return 0


def _time(name: str, value: object, now: datetime, errors: list[FieldError]) -> datetime | None:
    if value is None:
        return None
    try:
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise ValueError
        moment = msgspec.convert(value, datetime)
    except ValueError:
        errors.append(FieldError(name, "must be a time with its offset, as in RFC 3339: 2025-04-10T14:00:00Z"))
        return None
    if abs(moment - now) > FARTHEST:
        errors.append(FieldError(name, f"must lie within {FARTHEST.days} days of now"))
        return None
    return moment
