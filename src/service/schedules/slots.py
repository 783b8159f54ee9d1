"""When a schedule's slots are, by its cron expression and time zone. Pure: the database's clock says what time it is.

Around a change of clocks as Debian's cron: where minute and hour are fixed, an hour that is skipped moves its slots to
the first minute after it, and an hour that comes twice has them once; what runs every so often follows the real time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from service.errors import FieldError

Missed: TypeAlias = Literal["latest", "all", "none"]
"""What becomes of slots that nobody was there for: the latest starts, each of a week's, or none."""

PUNCTUAL = timedelta(minutes=1)
"""How late a slot may be without counting as missed."""
OLDEST = timedelta(days=7)
"""How old a missed slot may be to be made up for by `all`."""

_FIELDS = 5
_LONGEST = 200
_START = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Timetable:
    """The slots of a schedule. Both texts are those that `problems` found nothing wrong with."""

    cron: str
    time_zone: str

    def after(self, moment: datetime) -> datetime | None:
        """The first slot after the moment, in UTC; None where there is none for fifty years."""
        return next(self._from(moment), None)

    def latest(self, since: datetime, until: datetime) -> datetime:
        """The last slot of this span, which begins with one."""
        window = timedelta(hours=1)
        while until - window > since:
            found = list(self._until(until - window, until))
            if found:
                return found[-1]
            window *= 4
        return [since, *self._until(since, until)][-1]

    def _until(self, moment: datetime, until: datetime) -> Iterator[datetime]:
        for slot in self._from(moment):
            if slot > until:
                return
            yield slot

    def _from(self, moment: datetime) -> Iterator[datetime]:
        last = moment
        for found in CronSim(self.cron, moment.astimezone(ZoneInfo(self.time_zone))):
            slot = found.astimezone(UTC)
            if slot > last:  # in the second of two equal hours the slots of the first come again
                yield slot
                last = slot


@dataclass(frozen=True)
class Due:
    """The slot that a schedule is to start for, whether it is missed instead, and the slot to look at after it."""

    slot: datetime
    is_missed: bool
    next_slot: datetime | None


def due(timetable: Timetable, missed: Missed, next_slot: datetime, now: datetime) -> Due:
    """What a schedule is to do whose next slot has come."""
    if missed == "all":
        kept = next_slot if now - next_slot <= OLDEST else timetable.after(now - OLDEST)
        slot = next_slot if kept is None or kept > now else kept
        return Due(slot, is_missed=now - slot > OLDEST, next_slot=timetable.after(slot))
    slot = timetable.latest(next_slot, now)
    return Due(slot, is_missed=missed == "none" and now - slot > PUNCTUAL, next_slot=timetable.after(now))


def problems(cron: str, time_zone: str) -> list[FieldError]:
    """What is wrong with either."""
    errors = [FieldError("cron", problem)] if (problem := _problem(cron)) else []
    if time_zone not in _time_zones():
        errors.append(FieldError("time_zone", "must be the name of an IANA time zone, such as Europe/Warsaw"))
    return errors


def _problem(cron: str) -> str | None:
    if len(cron) > _LONGEST or len(cron.split()) != _FIELDS:
        return "must be five fields: minute, hour, day of the month, month, day of the week"
    try:
        found = next(CronSim(cron, _START), None)
    except CronSimError as error:
        return f"cannot be read: {error}"
    return "has no slot within fifty years" if found is None else None


@cache
def _time_zones() -> frozenset[str]:
    """The names are compared, and a file is opened only for one that is there."""
    return frozenset(available_timezones())
