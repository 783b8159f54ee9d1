"""The statements that the API runs on executions. Nothing here commits."""

# ruff: noqa: S608 - statements are put together from our own text alone; values are parameters
from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from service.database import Connection, Row
from service.executions.timing import Timing
from service.files.store import NewFile
from service.queue import TICKET

if TYPE_CHECKING:  # the worker reads executions too, and loads no web framework
    from service.cursors import Cursor

COLUMNS = (
    "id, agent_id, data_set_id, conversation_id, celery_task_id, definition_key, definition_version, status,"
    " input::text, result::text, failure_code, failure_explanation, retryable, cycles,"
    " started_at, picked_up_at, finished_at, limits, exit_reason,"
    " input_tokens, cached_tokens, output_tokens, cost, model_seconds, calls, is_estimated,"
    " external_id, metadata, deadline, start_after, priority,"
    " cancel_requested_at, rerun_of, webhook_url, schedule_id, schedule_slot,"
    " finished_at IS NULL AND EXISTS (SELECT FROM approvals a WHERE a.execution_id = executions.id"
    " AND a.decision IS NULL AND (a.expires_at IS NULL OR a.expires_at > now())) AS awaits_approval"
)

EXTERNAL_ID_KEY = "executions_account_external_id_key"
"""The index that keeps an account's external ids apart."""
SLOT_KEY = "executions_schedule_slot_key"
"""The index that lets one execution have a schedule's slot."""


def _files_as_json(source: str) -> str:
    """The rows of `source` as a JSON array, in the order they were sent."""
    one = "json_build_object('id', id, 'filename', filename, 'content_type', content_type)"
    return f"(SELECT coalesce(json_agg({one} ORDER BY id), '[]') FROM {source}) AS files"


ACCEPT = f"""
WITH admission AS MATERIALIZED (
  SELECT admitted, standing FROM admit_starts(%(account_id)s, %(starts)s, true)
), conversation AS (
  INSERT INTO conversations (account_id, agent_id)
  SELECT %(account_id)s, %(agent_id)s FROM admission WHERE admitted = %(starts)s RETURNING id
), execution AS (
  INSERT INTO executions (account_id, agent_id, data_set_id, conversation_id, celery_task_id,
                          definition_key, definition_version, input, limits, external_id, metadata,
                          deadline, start_after, priority, rerun_of, webhook_url, schedule_id, schedule_slot,
                          field_schema)
  SELECT %(account_id)s, %(agent_id)s, %(data_set_id)s, id, %(celery_task_id)s,
         %(definition_key)s, %(definition_version)s, %(input)s::jsonb, %(limits)s::jsonb,
         %(external_id)s, %(metadata)s::jsonb, %(deadline)s, %(start_after)s, %(priority)s,
         %(rerun_of)s, %(webhook_url)s, %(schedule_id)s, %(schedule_slot)s,
         (SELECT field_schema FROM agents WHERE agents.id = %(agent_id)s)
    FROM conversation
  RETURNING {COLUMNS}
), runtime AS (
  INSERT INTO execution_runtime (execution_id, account_id, agent_id, definition, priority, deadline, phase, resume_at)
  SELECT id, %(account_id)s, agent_id, %(definition)s, priority, deadline,
         CASE WHEN start_after > now() THEN 'waiting' ELSE 'ready' END, start_after
    FROM execution
), event AS (
  INSERT INTO events (execution_id, seq, account_id, kind) SELECT id, 1, %(account_id)s, 'accepted' FROM execution
), attached AS (
  INSERT INTO files (conversation_id, account_id, blob_id, filename, content_type)
  SELECT conversation_id, %(account_id)s, sent.blob_id, sent.filename, sent.content_type
    FROM execution, unnest(%(blob_ids)s::bigint[], %(filenames)s::text[], %(content_types)s::text[])
         WITH ORDINALITY AS sent(blob_id, filename, content_type, position)
   ORDER BY position
  RETURNING id, filename, content_type
)
SELECT made.*, admission.standing
  FROM admission LEFT JOIN (
    SELECT execution.*, {_files_as_json("attached")},
           CASE WHEN start_after > now() THEN NULL ELSE {TICKET} END AS ticket
      FROM execution) made ON true
"""

_FILES_OF_CONVERSATION = _files_as_json("files WHERE files.conversation_id = executions.conversation_id")

GET = f"""
SELECT {COLUMNS}, {_FILES_OF_CONVERSATION} FROM executions
 WHERE id = %(id)s AND (%(account_id)s::bigint IS NULL OR account_id = %(account_id)s)
"""

GET_BY_TASK_ID = f"""
SELECT {COLUMNS}, {_FILES_OF_CONVERSATION} FROM executions
 WHERE celery_task_id = %(celery_task_id)s AND account_id = %(account_id)s
"""

GET_BY_TASK_IDS = f"""
SELECT {COLUMNS}, {_FILES_OF_CONVERSATION} FROM executions WHERE celery_task_id = ANY (%(celery_task_ids)s)
 LIMIT 1000
"""

# Two batches that name the same runs in different orders would wait for each other.
LOCK_BATCHES = "SELECT pg_advisory_xact_lock(7007, (%(account_id)s %% 2147483647)::integer)"

EXTERNAL_IDS = """
SELECT external_id FROM executions WHERE account_id = %(account_id)s AND external_id = ANY (%(external_ids)s)
 LIMIT 1000
"""

CONDITIONS = {
    "account_id": "account_id = %(account_id)s",
    "agent_id": "agent_id = %(agent_id)s",
    "data_set_id": "data_set_id = %(data_set_id)s",
    "status": "status = %(status)s",
    "definition_key": "definition_key = %(definition_key)s",
    "failure_code": "failure_code = %(failure_code)s",
    "external_id": "external_id = %(external_id)s",
    "schedule_id": "schedule_id = %(schedule_id)s",
    "metadata": "metadata <> '{}' AND metadata @> %(metadata)s::jsonb",
    "started_from": "started_at >= %(started_from)s",
    "started_before": "started_at < %(started_before)s",
}
"""What a list may be held to; for each there is an index, which for most leads with the account and ends in the id."""

LIVE_OFFERS = "SELECT DISTINCT unnest(offers) AS reference FROM workers WHERE lease_until > now() LIMIT 10000"


@dataclass(frozen=True, kw_only=True)
class NewExecution:
    """Everything that is written when an execution is accepted. `input`, `limits` and `metadata` are JSON text."""

    account_id: int
    agent_id: int
    data_set_id: int
    celery_task_id: UUID
    definition_key: str
    definition_version: int
    input: str
    limits: str = "{}"
    external_id: str | None = None
    metadata: str = "{}"
    timing: Timing = field(default_factory=Timing)
    rerun_of: int | None = None
    webhook_url: str | None = None
    schedule_id: int | None = None
    schedule_slot: datetime | None = None
    files: Sequence[NewFile] = ()


async def accept(connection: Connection, new: NewExecution) -> Row:
    """Write conversation, execution, its first event, its file references and a ticket, in one statement.

    Unless the account's limits leave no room: then nothing is written and the row has no id. `standing` is how the
    account stood before; None without limits. An execution that is to start later waits, and gets its ticket from the
    sweep when it is time. Raises UniqueViolation if an execution with this celery_task_id, or the account's
    external_id, exists.
    """
    row = await (await connection.execute(ACCEPT, accepting(new))).fetchone()
    assert row is not None
    return row


def accepting(new: NewExecution, *, is_admitted: bool = False) -> dict[str, object]:
    """The parameters of ACCEPT. `is_admitted`: it was counted before, with others."""
    return {
        "starts": 0 if is_admitted else 1,
        "account_id": new.account_id,
        "agent_id": new.agent_id,
        "data_set_id": new.data_set_id,
        "celery_task_id": new.celery_task_id,
        "definition_key": new.definition_key,
        "definition_version": new.definition_version,
        "definition": f"{new.definition_key}@{new.definition_version}",
        "input": new.input,
        "limits": new.limits,
        "external_id": new.external_id,
        "metadata": new.metadata,
        "deadline": new.timing.deadline,
        "start_after": new.timing.start_after,
        "priority": new.timing.priority,
        "rerun_of": new.rerun_of,
        "webhook_url": new.webhook_url,
        "schedule_id": new.schedule_id,
        "schedule_slot": new.schedule_slot,
        "blob_ids": [file.blob_id for file in new.files],
        "filenames": [file.filename for file in new.files],
        "content_types": [file.content_type for file in new.files],
    }


async def get(connection: Connection, account_id: int | None, execution_id: int) -> Row | None:
    """One execution of the account (None: of any account) with its files."""
    cursor = await connection.execute(GET, {"id": execution_id, "account_id": account_id})
    return await cursor.fetchone()


async def get_by_task_id(connection: Connection, account_id: int, celery_task_id: UUID) -> Row | None:
    """The same by the UUID that was made before the row."""
    cursor = await connection.execute(GET_BY_TASK_ID, {"account_id": account_id, "celery_task_id": celery_task_id})
    return await cursor.fetchone()


async def get_by_task_ids(connection: Connection, celery_task_ids: Sequence[UUID]) -> list[Row]:
    """Those of a batch that are there."""
    cursor = await connection.execute(GET_BY_TASK_IDS, {"celery_task_ids": list(celery_task_ids)})
    return await cursor.fetchall()


async def external_ids(connection: Connection, account_id: int, among: Sequence[str]) -> set[str]:
    """Those among these that executions of the account have. Until the transaction's end no other batch asks."""
    await connection.execute(LOCK_BATCHES, {"account_id": account_id})
    cursor = await connection.execute(EXTERNAL_IDS, {"account_id": account_id, "external_ids": list(among)})
    return {row["external_id"] for row in await cursor.fetchall()}


async def list_page(connection: Connection, filters: Mapping[str, object], *, limit: int, offset: int) -> list[Row]:
    """Executions that meet the filters (keys of CONDITIONS), newest first, without files."""
    cursor = await connection.execute(list_query(filters), {**filters, "limit": limit, "offset": offset})
    return await cursor.fetchall()


async def list_from(connection: Connection, filters: Mapping[str, object], cursor: Cursor, *, limit: int) -> list[Row]:
    """The same from a cursor on: newest first, but oldest first of those that are newer than a bound."""
    bounds = {"older_than": cursor.older_than, "newer_than": cursor.newer_than, "limit": limit}
    found = await connection.execute(cursor_query(filters, cursor), {**filters, **bounds})
    return await found.fetchall()


async def count(connection: Connection, filters: Mapping[str, object]) -> int:
    """How many executions meet the filters."""
    cursor = await connection.execute(f"SELECT count(*) AS count FROM executions {_where(filters)} LIMIT 1", filters)
    row = await cursor.fetchone()
    assert row is not None
    return int(row["count"])


async def live_offers(connection: Connection) -> set[str]:
    """The definitions, as key@version, that at least one live worker can run."""
    cursor = await connection.execute(LIVE_OFFERS)
    return {row["reference"] for row in await cursor.fetchall()}


def list_query(filters: Iterable[str]) -> str:
    """The statement of a page that is held to these filters."""
    return f"SELECT {COLUMNS} FROM executions {_where(filters)} ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s"


def cursor_query(filters: Iterable[str], cursor: Cursor) -> str:
    """The statement of a page from a cursor on."""
    conditions = [CONDITIONS[name] for name in filters]
    conditions += ["id < %(older_than)s"] if cursor.older_than is not None else []
    conditions += ["id > %(newer_than)s"] if cursor.newer_than is not None else []
    order = "DESC" if cursor.newer_than is None else "ASC"
    return f"SELECT {COLUMNS} FROM executions {_all(conditions)} ORDER BY id {order} LIMIT %(limit)s"


def _where(filters: Iterable[str]) -> str:
    return _all([CONDITIONS[name] for name in filters])


def _all(conditions: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(conditions)}" if conditions else ""
