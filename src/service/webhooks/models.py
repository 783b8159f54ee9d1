"""Webhooks and deliveries as REST takes and gives them. A secret is in the answers that make one, and nowhere else."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.database import Row
from service.events.models import FINAL
from service.times import optional_ts, ts


class EventType(StrEnum):
    """What a webhook may subscribe to: every kind of event, after `execution.`."""

    ACCEPTED = "execution.accepted"
    STARTED = "execution.started"
    TURN_STARTED = "execution.turn_started"
    TURN_ANSWERED = "execution.turn_answered"
    TOOL_STARTED = "execution.tool_started"
    TOOL_FINISHED = "execution.tool_finished"
    APPROVAL_REQUESTED = "execution.approval_requested"
    APPROVAL_DECIDED = "execution.approval_decided"
    JUDGED = "execution.judged"
    PAUSED = "execution.paused"
    WAITING = "execution.waiting"
    RELEASED = "execution.released"
    WORKER_LOST = "execution.worker_lost"
    RESUMED = "execution.resumed"
    CANCEL_REQUESTED = "execution.cancel_requested"
    FINISHED = "execution.finished"
    FAILED = "execution.failed"
    CANCELLED = "execution.cancelled"


FINAL_TYPES = [EventType(f"execution.{kind}") for kind in sorted(FINAL)]
MAX_KEEP_OLD_SECONDS = 30 * 86400
Body: TypeAlias = Literal["thin", "full"]
_Url: TypeAlias = Annotated[str, Meta(min_length=1, max_length=2000)]
_Types: TypeAlias = Annotated[list[EventType], Meta(min_length=1, max_length=len(EventType))]


class NewWebhook(Struct, kw_only=True, forbid_unknown_fields=True):
    """A receiver to tell. Without a `url` it signs for the `webhook_url` that executions name: one per account.

    `event_types`: the final ones unless others are named. `body` thin: ids, type, status and where to read more;
    full: the execution as GET gives it.
    """

    url: _Url | None = None
    event_types: _Types = msgspec.field(default_factory=lambda: list(FINAL_TYPES))
    body: Body = "thin"


class WebhookChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change; fields that are left out stay. Switched off, what waits is dropped; switched on, it is told what
    happens from then on. A webhook without a URL stays without."""

    url: _Url | UnsetType = UNSET
    event_types: _Types | UnsetType = UNSET
    body: Body | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET


class SecretRotation(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long messages are signed with the secrets that there are now as well; a day unless it is said."""

    keep_old_seconds: Annotated[int, Meta(ge=0, le=MAX_KEEP_OLD_SECONDS)] = 86400


class Webhook(Struct, kw_only=True):
    """A receiver. `disabled_reason` is `gone` when it answered 410; `old_secret_until` is there while an older secret
    still signs as well."""

    id: int
    account: int
    url: str | None
    event_types: list[str]
    body: str
    is_active: bool
    disabled_reason: str | None
    old_secret_until: str | None
    created_at: str


class WebhookWithSecret(Webhook, kw_only=True):
    """The same beside its new secret, which is never shown again."""

    secret: str


class Attempt(Struct, kw_only=True):
    """One request to the receiver. No `milliseconds`: it is under way, or was `interrupted`. `error` is null where the
    receiver accepted."""

    number: int
    started_at: str
    status_code: int | None
    milliseconds: int | None
    error: str | None


class Delivery(Struct, kw_only=True):
    """One message to one receiver. `message_id` is the `webhook-id` of every attempt. `status` is pending, delivered,
    failed (no attempt is left, or the receiver is gone) or dropped (its webhook was switched off)."""

    id: int
    webhook: int
    message_id: str
    type: str
    execution: int | None
    sequence: int | None
    status: str
    created_at: str
    next_attempt_at: str | None
    finished_at: str | None
    attempts: list[Attempt]


def webhook(row: Row) -> Webhook:
    """The record of a row of `store.get`."""
    return Webhook(**_fields(row))


def webhook_with_secret(row: Row, secret: str) -> WebhookWithSecret:
    """The same beside its new secret."""
    return WebhookWithSecret(**_fields(row), secret=secret)


def delivery(row: Row) -> Delivery:
    """The record of a row of `store.delivery`."""
    return Delivery(
        id=row["id"],
        webhook=row["webhook_id"],
        message_id=f"msg_{row['message'].hex}",
        type=row["type"],
        execution=row["execution_id"],
        sequence=row["seq"],
        status=row["status"],
        created_at=ts(row["created_at"]),
        next_attempt_at=optional_ts(row["next_attempt_at"]),
        finished_at=optional_ts(row["finished_at"]),
        attempts=[_attempt(each) for each in row["attempts"]],
    )


def _attempt(each: dict[str, Any]) -> Attempt:
    return Attempt(**{**each, "started_at": ts(datetime.fromisoformat(each["started_at"]))})


def _fields(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "account": row["account_id"],
        "url": row["url"],
        "event_types": row["event_types"],
        "body": row["body"],
        "is_active": row["is_active"],
        "disabled_reason": row["disabled_reason"],
        "old_secret_until": optional_ts(row["old_secret_until"]),
        "created_at": ts(row["created_at"]),
    }
