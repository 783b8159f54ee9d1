"""An event as clients see it, in pages and in streams the same."""

from __future__ import annotations

from enum import StrEnum
from typing import Generic, TypeVar

import msgspec

from service.database import Row
from service.times import ts


class Kind(StrEnum):
    """What an event tells; docs/events.md says what each carries in `data`."""

    ACCEPTED = "accepted"
    STARTED = "started"
    TURN_STARTED = "turn_started"
    TURN_ANSWERED = "turn_answered"
    TOOL_STARTED = "tool_started"
    TOOL_FINISHED = "tool_finished"
    APPROVAL_REQUESTED = "approval_requested"
    APPROVAL_DECIDED = "approval_decided"
    JUDGED = "judged"
    PAUSED = "paused"
    WAITING = "waiting"
    RELEASED = "released"
    WORKER_LOST = "worker_lost"
    RESUMED = "resumed"
    CANCEL_REQUESTED = "cancel_requested"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = frozenset({Kind.FINISHED.value, Kind.FAILED.value, Kind.CANCELLED.value})
"""After one of these an execution has no further event."""


class Event(msgspec.Struct, kw_only=True):
    """A fact about an execution. `sequence` counts an execution's events without gaps, from 1 on."""

    execution: int
    sequence: int
    kind: str
    created_at: str
    data: msgspec.Raw


class AccountEvent(Event, kw_only=True):
    """The same among those of the whole account: `position` rises, and no later look finds one below."""

    position: int


E = TypeVar("E", bound=Event)


class EventPage(msgspec.Struct, Generic[E], kw_only=True):
    """Events in order, oldest first. `next_after` is the cursor to go on from, now or when there is more; `next` the
    link to more that is there already, or null."""

    next: str | None
    next_after: int
    results: list[E]


def event(row: Row) -> Event:
    """A row of the store, for the execution's own list and stream."""
    return Event(
        execution=row["execution_id"],
        sequence=row["seq"],
        kind=row["kind"],
        created_at=ts(row["created_at"]),
        data=msgspec.Raw(row["data"].encode()),
    )


def account_event(row: Row) -> AccountEvent:
    """The same row, once it has a position, for the account's."""
    return AccountEvent(
        execution=row["execution_id"],
        sequence=row["seq"],
        kind=row["kind"],
        created_at=ts(row["created_at"]),
        data=msgspec.Raw(row["data"].encode()),
        position=row["position"],
    )
