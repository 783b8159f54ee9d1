"""Limits as REST takes and gives them; the CLI prints the same records."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from service.database import Row

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class NewLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a scope is held to; null, or left out, is no limit. Agents and providers have `max_running` alone.

    `share` weighs the account against others when slots are given out, 1 where it is null. `cost_per_day` is in US
    dollars.
    """

    max_running: Count | None = None
    share: Annotated[float, Meta(gt=0, le=1000)] | None = None
    max_queued: Count | None = None
    starts_per_minute: Count | None = None
    tokens_per_day: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    cost_per_day: Annotated[float, Meta(ge=0, le=1e12)] | None = None


class LimitsNow(Struct, frozen=True, kw_only=True):
    """What a scope has now: executions that run and that wait, starts of this minute (counted only where they are
    limited), tokens and US dollars of executions that ended today, in UTC."""

    running: int
    queued: int
    starts: int
    tokens: int
    cost: float


class LimitsRecord(Struct, frozen=True, kw_only=True):
    """A scope with its limits. `name` is the id of an account or an agent, or a model as agents name it."""

    scope: str
    name: str
    max_running: int | None
    share: float | None
    max_queued: int | None
    starts_per_minute: int | None
    tokens_per_day: int | None
    cost_per_day: float | None
    now: LimitsNow


def limits(row: Row) -> LimitsRecord:
    """The record of a row of `store.get`."""
    return LimitsRecord(
        scope=row["scope"],
        name=row["name"],
        max_running=row["max_running"],
        share=None if row["share"] is None else float(row["share"]),
        max_queued=row["max_queued"],
        starts_per_minute=row["starts_per_minute"],
        tokens_per_day=row["tokens_per_day"],
        cost_per_day=None if row["cost_per_day"] is None else float(row["cost_per_day"]),
        now=LimitsNow(
            running=row["running"],
            queued=row["queued"],
            starts=row["starts"],
            tokens=row["tokens"],
            cost=float(row["cost"]),
        ),
    )
