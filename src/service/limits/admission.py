"""Whether an account may start more: what the database says of its limits, as an error or as the headers of an answer.

The headers are those of draft-ietf-httpapi-ratelimit-headers-10, for what is counted in requests.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service.errors import DailyLimit, QueueFull, TooManyRequests

QUEUE_SECONDS = 10
"""When to look again whether a full queue has room: nobody knows, but sooner is seldom worth it."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an account stands against its limits on starts; those that are None are not set. `is_spent`: the tokens or
    the money of the day are."""

    max_queued: int | None
    queued: int
    starts_per_minute: int | None
    starts: int
    seconds_of_minute: int
    is_spent: bool
    seconds_of_day: int

    @property
    def has_room(self) -> bool:
        """Whether one more may start now."""
        return not self.is_spent and self._queue_room != 0 and self._minute_room != 0

    @property
    def _queue_room(self) -> int | None:
        return None if self.max_queued is None else max(0, self.max_queued - self.queued)

    @property
    def _minute_room(self) -> int | None:
        return None if self.starts_per_minute is None else max(0, self.starts_per_minute - self.starts)

    def after(self, admitted: int) -> Standing:
        """The same when so many more were accepted."""
        return msgspec.structs.replace(self, queued=self.queued + admitted, starts=self.starts + admitted)

    def refusal(self) -> TooManyRequests:
        """What starts are answered that find no room: the limit that leaves the least."""
        if self.is_spent:
            detail = "The account has used up its tokens or its money of today, which ends at midnight UTC."
            return DailyLimit(detail, headers=self._refused(self.seconds_of_day))
        queue, minute = self._queue_room, self._minute_room
        if queue is not None and (minute is None or queue <= minute):
            detail = f"{self.queued} executions of the account wait, of {self.max_queued} that may."
            return QueueFull(detail, headers=self._refused(QUEUE_SECONDS))
        detail = f"The account may start {self.starts_per_minute} executions a minute."
        return TooManyRequests(detail, headers=self._refused(self.seconds_of_minute))

    def headers(self) -> dict[str, str]:
        """RateLimit-Policy and RateLimit; none where nothing that is set is counted in requests."""
        policies: list[str] = []
        standings: list[str] = []
        if self._minute_room is not None:
            policies.append(f'"starts";q={self.starts_per_minute};w=60')
            standings.append(f'"starts";r={self._minute_room};t={self.seconds_of_minute}')
        if self._queue_room is not None:
            policies.append(f'"queue";q={self.max_queued}')
            standings.append(f'"queue";r={self._queue_room}')
        if not policies:
            return {}
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(standings)}

    def _refused(self, seconds: int) -> dict[str, str]:
        return {"Retry-After": str(seconds), **self.headers()}


def standing_of(found: Mapping[str, object] | None) -> Standing | None:
    """The value of the SQL function of that name; None for an account without limits on starts."""
    return None if found is None else msgspec.convert(found, Standing)
