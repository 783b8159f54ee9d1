"""What may be said beside the input, by the names that REST has for it. Times are aware datetimes or RFC 3339 texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Required, TypeAlias, TypedDict

from agentic_client.models import Status

Moment: TypeAlias = datetime | str


class StartOptions(TypedDict, total=False):
    """Of a start, and of a rerun as well.

    `limits` lowers the definition's; `external_id` is what your system calls the run, unique among yours; `deadline` is
    when it must have ended, `start_after` before when it must not begin; `priority` is -10 to 10, higher first;
    `webhook_url` is told when it ends.
    """

    limits: Mapping[str, float | None] | None
    external_id: str | None
    metadata: Mapping[str, str] | None
    deadline: Moment | None
    start_after: Moment | None
    priority: int | None
    webhook_url: str | None


class RerunOptions(StartOptions, total=False):
    """Of a rerun. Input, limits and metadata are those of the first where they are left out."""

    input: Mapping[str, Any] | None


class BatchItem(StartOptions, total=False):
    """One start of a batch."""

    execution_key: Required[str]
    input: Mapping[str, Any] | None


class Filters(TypedDict, total=False):
    """Which executions to list; all of them must hold. `account="all"`, for admins: everybody's."""

    agent_id: int | None
    status: Status | None
    dataset_id: int | None
    execution_key: str | None
    failure_code: str | None
    external_id: str | None
    metadata: Mapping[str, str] | None
    started_from: Moment | None
    started_before: Moment | None
    account: str | None


class NewWebhook(TypedDict, total=False):
    """Of a new webhook. `event_types`, such as `execution.finished`: those of an end if left out; `body`: ids and
    where to read more (thin), or the execution as it is (full)."""

    event_types: Sequence[str] | None
    body: Literal["thin", "full"] | None


class WebhookChange(NewWebhook, total=False):
    """What of a webhook is to be different; the rest stays."""

    url: str | None
    is_active: bool | None
