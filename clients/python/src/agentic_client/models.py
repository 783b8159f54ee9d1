"""What the API answers. Times are aware datetimes; `Any` is a JSON value whose shape the definition decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

Status: TypeAlias = Literal["pending", "in_progress", "finished", "failed"]
"""There will never be another."""

FINAL_KINDS = frozenset({"finished", "failed", "cancelled"})
"""Kinds of the event that is an execution's last."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A file of an execution; `client.download(file)` has its content."""

    id: int
    filename: str
    file_url: str
    content_type: str


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a run spent. `cost` is in US dollars, None where a price is not known; `is_estimated`: a part of it is the
    most that it could have been."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float
    calls: int
    is_estimated: bool


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One execution. `started_at` is when it was accepted, `picked_up_at` when a worker took it; `schedule` started
    it for its `schedule_slot`.

    `awaits_approval`: it stands still until somebody decides on a call of a tool. `files` is empty in lists, which do
    not have them. `raw` is the object as REST gave it.
    """

    id: int
    agent: int
    execution_key: str
    conversation: int
    status: Status
    input: Any
    result: Any
    failure_code: str | None
    failure_explanation: str | None
    celery_task_id: str
    started_at: datetime
    finished_at: datetime | None
    duration_seconds: float | None
    files: tuple[File, ...] = ()
    version: int | None = None
    data_set: int | None = None
    picked_up_at: datetime | None = None
    cycles: int = 0
    retryable: bool | None = None
    usage: Usage | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    exit_reason: str | None = None
    external_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    deadline: datetime | None = None
    start_after: datetime | None = None
    priority: int = 0
    cancel_requested_at: datetime | None = None
    rerun_of: int | None = None
    webhook_url: str | None = None
    schedule: int | None = None
    schedule_slot: datetime | None = None
    awaits_approval: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_final(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self.status in ("finished", "failed")

    @property
    def is_finished(self) -> bool:
        """Whether it has a result."""
        return self.status == "finished"


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A kind of execution that an agent offers. `failure_codes` maps each code it may end with to its meaning."""

    key: str
    name: str
    description: str | None
    input_schema: Mapping[str, Any]
    version: int | None = None
    output_schema: Mapping[str, Any] = field(default_factory=dict)
    failure_codes: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, Any] = field(default_factory=dict)
    accepts_files: bool | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class BatchResult:
    """What became of one item: 202 with its execution, or what a start alone would have been refused with."""

    index: int
    status: int
    execution: Execution | None = None
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What became of each item, in their order."""

    accepted: int
    refused: int
    results: tuple[BatchResult, ...]


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A call of a tool that somebody has to approve. `status` is open, approved, declined, expired or withdrawn;
    `arguments` are None for an account that may not decide any more; `decided_by` is the account that decided, None
    where time did, and for all but admins where an admin did."""

    id: int
    execution: int
    turn: int
    call: int
    tool: str
    arguments: Any
    status: str
    requested_at: datetime
    expires_at: datetime | None
    decided_at: datetime | None
    decided_by: int | None
    reason: str | None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether it waits to be decided."""
        return self.status == "open"


@dataclass(frozen=True, kw_only=True)
class Event:
    """A fact about an execution. `sequence` counts its events from 1 without gaps; `position` is there in the account's
    stream, where it is the cursor. Kinds and members of `data` may be added: skip what you do not know."""

    execution: int
    sequence: int
    kind: str
    created_at: datetime
    data: Mapping[str, Any]
    position: int | None = None

    @property
    def is_final(self) -> bool:
        """Whether it is the last of its execution."""
        return self.kind in FINAL_KINDS


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Somebody who is told. `url` is None for the one that signs for the `webhook_url` of executions;
    `disabled_reason` is `gone` when it answered 410; `old_secret_until`: an older secret signs as well until then."""

    id: int
    account: int
    url: str | None
    event_types: tuple[str, ...]
    body: str
    is_active: bool
    disabled_reason: str | None
    old_secret_until: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class WebhookWithSecret(Webhook):
    """The same beside its new secret, which is never shown again: keep it before anything else."""

    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One request to a receiver. `milliseconds` is None while it is under way; `error` is None where it accepted."""

    number: int
    started_at: datetime
    status_code: int | None
    milliseconds: int | None
    error: str | None


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message to one receiver; `message_id` is what the receiver gets as `webhook-id`. `status` is pending,
    delivered, failed or dropped."""

    id: int
    webhook: int
    message_id: str
    type: str
    execution: int | None
    sequence: int | None
    status: str
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    attempts: tuple[Attempt, ...]
