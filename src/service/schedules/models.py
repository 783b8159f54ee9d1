"""Schedules as REST takes and gives them."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.database import Row
from service.executions.timing import HIGHEST_PRIORITY
from service.schedules.slots import Missed
from service.times import optional_ts, ts

Overlap: TypeAlias = Literal["skip", "queue", "allow"]
"""What a slot does while an execution of the schedule has not ended: drop out, wait for its end, or start all the
same."""

Priority: TypeAlias = Annotated[int, Meta(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY)]


class NewSchedule(Struct, kw_only=True, forbid_unknown_fields=True):
    """A schedule to make. `cron` has five fields: minute, hour, day of the month, month, day of the week, meant in
    `time_zone`, an IANA name. What is as in a start is checked as a start's."""

    execution_key: str
    cron: str
    time_zone: str = "UTC"
    input: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    priority: Priority = 0
    webhook_url: str | None = None
    is_active: bool = True
    missed: Missed = "latest"
    overlap: Overlap = "skip"


class ScheduleChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change of a schedule; fields that are left out stay."""

    cron: str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    input: dict[str, Any] | UnsetType = UNSET
    limits: dict[str, Any] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    webhook_url: str | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET
    missed: Missed | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET


class Refusal(Struct, kw_only=True):
    """Why nothing was started: `type` and `detail` of what a start would have been answered."""

    type: str
    detail: str


class ScheduleRecord(Struct, kw_only=True):
    """A schedule, when it starts next, and what became of the last slot. `last_execution` is the last that it started,
    which may have been deleted since."""

    id: int
    agent: int
    execution_key: str
    cron: str
    time_zone: str
    input: msgspec.Raw
    limits: dict[str, Any]
    metadata: dict[str, str]
    priority: int
    webhook_url: str | None
    is_active: bool
    missed: Missed
    overlap: Overlap
    created_at: str
    next_slot: str | None
    last_slot: str | None
    last_outcome: Literal["started", "skipped", "missed", "refused"] | None
    last_refusal: Refusal | None
    last_execution: int | None


def schedule(row: Row) -> ScheduleRecord:
    """The record of a row of `store.get`."""
    return ScheduleRecord(
        id=row["id"],
        agent=row["agent_id"],
        execution_key=row["execution_key"],
        cron=row["cron"],
        time_zone=row["time_zone"],
        input=msgspec.Raw(row["input"]),
        limits=row["limits"],
        metadata=row["metadata"],
        priority=row["priority"],
        webhook_url=row["webhook_url"],
        is_active=row["is_active"],
        missed=row["missed"],
        overlap=row["overlap"],
        created_at=ts(row["created_at"]),
        next_slot=optional_ts(row["next_slot"]),
        last_slot=optional_ts(row["last_slot"]),
        last_outcome=row["last_outcome"],
        last_refusal=None if row["last_refusal"] is None else Refusal(**row["last_refusal"]),
        last_execution=row["last_execution_id"],
    )
