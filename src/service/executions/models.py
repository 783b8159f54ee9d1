"""An execution as clients see it: the guide's fields in the guide's order, then what was added."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import UNSET, Meta

from service.database import Row
from service.definitions.definition import AnyDefinition
from service.definitions.failures import MEANINGS
from service.definitions.limits import Limits
from service.files.models import FileOut, file_url
from service.times import optional_ts, ts

_Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]
_Object: TypeAlias = Annotated[Any, Meta(extra_json_schema={"type": "object"})]
_Text: TypeAlias = Annotated[Any, Meta(extra_json_schema={"type": ["string", "null"]})]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a run spent, with everything that failed or was repeated. `cost` is in US dollars, null where a price is
    not known; `seconds` are those of requests that were answered. `is_estimated`: a part of it is the most that a
    request could have cost, because nobody saw its end."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float
    calls: int
    is_estimated: bool


class GuideFields(msgspec.Struct, kw_only=True):
    """What every execution shows, in the guide's order. `started_at` is the moment of acceptance."""

    id: int
    agent: int
    execution_key: str
    conversation: int
    status: str
    input: msgspec.Raw
    result: msgspec.Raw | None
    failure_code: str | None
    failure_explanation: str | None
    celery_task_id: str
    started_at: str
    finished_at: str | None
    duration_seconds: float | None


class ListedExecution(GuideFields, kw_only=True):
    """An execution in a list: without its files."""

    version: int
    data_set: int
    picked_up_at: str | None
    cycles: int
    retryable: bool | None
    usage: Usage | None
    limits: Limits
    exit_reason: str | None
    external_id: str | None
    metadata: dict[str, str]
    deadline: str | None
    start_after: str | None
    priority: int
    cancel_requested_at: str | None
    rerun_of: int | None
    webhook_url: str | None
    schedule: int | None
    schedule_slot: str | None
    awaits_approval: bool


class Execution(GuideFields, kw_only=True):
    """One execution. `retryable` says of a failure whether the same request may succeed later, `exit_reason` what ended
    it: which budget, whose fault. `usage` is there once it has ended. `schedule` started it for its `schedule_slot`.
    `awaits_approval`: it stands still, or soon will, until somebody decides on a call of a tool."""

    files: list[FileOut]
    version: int
    data_set: int
    picked_up_at: str | None
    cycles: int
    retryable: bool | None
    usage: Usage | None
    limits: Limits
    exit_reason: str | None
    external_id: str | None
    metadata: dict[str, str]
    deadline: str | None
    start_after: str | None
    priority: int
    cancel_requested_at: str | None
    rerun_of: int | None
    webhook_url: str | None
    schedule: int | None
    schedule_slot: str | None
    awaits_approval: bool


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """A client's own words on an execution: how its own system calls it, and up to 20 texts under names."""

    external_id: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    metadata: Annotated[dict[_Name, Annotated[str, Meta(max_length=500)]], Meta(max_length=20)] = {}


class Batch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Starts as JSON bodies have them, without files. `atomic`: all of them start, or none."""

    items: Annotated[list[Any], Meta(min_length=1, max_length=1000)]
    atomic: bool = False


class Rerun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different this time; input, limits and metadata that are left out are as before.

    What each value may be is judged with all others, as that of a start.
    """

    input: _Object = UNSET
    limits: _Object = UNSET
    external_id: _Text = None
    metadata: _Object = UNSET
    deadline: _Text = None
    start_after: _Text = None
    priority: Annotated[Any, Meta(extra_json_schema={"type": ["integer", "null"]})] = None
    webhook_url: _Text = None


class BatchItem(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one start: 202 with its execution, or what a start alone would have been refused with."""

    index: int
    status: int
    execution: Execution | None = None
    error: dict[str, Any] | None = None


class StartedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each start, in their order."""

    accepted: int
    refused: int
    results: list[BatchItem]


class OfferedDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of execution that an agent offers. `failure_codes` maps every code it may end with to its meaning."""

    key: str
    name: str
    description: str | None
    input_schema: dict[str, Any]
    version: int
    output_schema: dict[str, Any]
    failure_codes: dict[str, str]
    limits: Limits
    accepts_files: bool


def listed_execution(row: Row) -> ListedExecution:
    """A row of `store.list_page`."""
    return ListedExecution(**_fields(row))


def execution(row: Row) -> Execution:
    """A row of `store.accept` or `store.get`."""
    return Execution(**_fields(row), files=_files(row["conversation_id"], row["files"]))


def _fields(row: Row) -> dict[str, Any]:
    started_at, finished_at = row["started_at"], row["finished_at"]
    return {
        "id": row["id"],
        "agent": row["agent_id"],
        "execution_key": row["definition_key"],
        "conversation": row["conversation_id"],
        "status": row["status"],
        # As PostgreSQL prints them: numbers of any size pass through, and nothing is parsed to be printed again.
        "input": msgspec.Raw(row["input"]),
        "result": None if row["result"] is None else msgspec.Raw(row["result"]),
        "failure_code": row["failure_code"],
        "failure_explanation": row["failure_explanation"],
        "celery_task_id": str(row["celery_task_id"]),
        "started_at": ts(started_at),
        "finished_at": optional_ts(finished_at),
        "duration_seconds": None if finished_at is None else (finished_at - started_at).total_seconds(),
        "version": row["definition_version"],
        "data_set": row["data_set_id"],
        "picked_up_at": optional_ts(row["picked_up_at"]),
        "cycles": row["cycles"],
        "retryable": row["retryable"],
        "usage": _usage(row),
        "limits": msgspec.convert(row["limits"], Limits),
        "exit_reason": row["exit_reason"],
        "external_id": row["external_id"],
        "metadata": row["metadata"],
        "deadline": optional_ts(row["deadline"]),
        "start_after": optional_ts(row["start_after"]),
        "priority": row["priority"],
        "cancel_requested_at": optional_ts(row["cancel_requested_at"]),
        "rerun_of": row["rerun_of"],
        "webhook_url": row["webhook_url"],
        "schedule": row["schedule_id"],
        "schedule_slot": optional_ts(row["schedule_slot"]),
        "awaits_approval": row["awaits_approval"],
    }


def _usage(row: Row) -> Usage | None:
    if row["calls"] is None:
        return None
    return Usage(
        input_tokens=row["input_tokens"],
        cached_tokens=row["cached_tokens"],
        output_tokens=row["output_tokens"],
        cost=None if row["cost"] is None else float(row["cost"]),
        seconds=float(row["model_seconds"]),
        calls=row["calls"],
        is_estimated=row["is_estimated"],
    )


def _files(conversation_id: int, files: Iterable[Row]) -> list[FileOut]:
    return [FileOut(**file, file_url=file_url(conversation_id, file["filename"])) for file in files]


@cache
def offered_definition(definition: AnyDefinition) -> OfferedDefinition:
    """A definition as clients see it. Definitions do not change, so each is described once."""
    meanings = {code.value: meaning for code, (meaning, _) in MEANINGS.items()}
    return OfferedDefinition(
        key=definition.key,
        name=definition.name,
        description=definition.description,
        input_schema=definition.input_schema,
        version=definition.version,
        output_schema=definition.output_schema,
        failure_codes=meanings | definition.failures,
        limits=definition.limits,
        accepts_files=definition.accepts_files,
    )
