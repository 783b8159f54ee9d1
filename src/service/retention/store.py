"""The SQL of retention. Nothing here commits; each function does a bounded part of the work."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.database import Connection
from service.errors import Gone

_GONE = Gone()
GONE = msgspec.json.encode(
    {"type": f"/api/docs/errors/{_GONE.code}", "title": _GONE.title, "status": _GONE.status, "detail": _GONE.detail}
)
"""The body of what a repeat is answered when the execution of its key is no more."""
CLOSING_MINUTES = 10
"""How long after midnight a day is closed: no outcome takes so long to commit."""

LOCK = "SELECT pg_try_advisory_xact_lock(7006) AS is_locked"

SUMMED = (
    *("executions", "cycles", "input_tokens", "cached_tokens", "output_tokens", "cost", "unpriced", "calls"),
    *("model_seconds", "waiting_seconds", "running_seconds"),
)

TOTALS = """
SELECT (e.finished_at AT TIME ZONE 'UTC')::date, e.account_id, e.data_set_id, e.agent_id, e.definition_key,
       e.definition_version, e.status, coalesce(e.failure_code, ''),
       count(*), sum(e.cycles), coalesce(sum(e.input_tokens), 0), coalesce(sum(e.cached_tokens), 0),
       coalesce(sum(e.output_tokens), 0), coalesce(sum(e.cost), 0),
       count(*) FILTER (WHERE e.calls > 0 AND e.cost IS NULL),
       coalesce(sum(e.calls), 0), coalesce(sum(e.model_seconds), 0),
       round(sum(extract(epoch FROM greatest(
         coalesce(e.picked_up_at, e.finished_at) - greatest(e.started_at, e.start_after), interval '0'))), 3),
       round(coalesce(sum(extract(epoch FROM e.finished_at - e.picked_up_at)), 0), 3)
  FROM executions e
"""
ADD = f"""
INSERT INTO daily_totals (day, account_id, data_set_id, agent_id, definition, version, status, failure_code,
                          {", ".join(SUMMED)})
{TOTALS} WHERE {{which}} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ON CONFLICT (day, account_id, data_set_id, agent_id, definition, version, status, failure_code) DO UPDATE
   SET {", ".join(f"{name} = daily_totals.{name} + excluded.{name}" for name in SUMMED)}
"""  # noqa: S608 - our own names
MIDNIGHT = "%({0})s::timestamp AT TIME ZONE 'UTC'"
ADD_DAY = ADD.format(which=f"e.finished_at >= {MIDNIGHT.format('day')} AND e.finished_at < {MIDNIGHT.format('after')}")
ADD_SOME = ADD.format(which=f"e.id = ANY (%(ids)s) AND e.finished_at >= {MIDNIGHT.format('until')}")

NEXT_DAY = """
SELECT until_day AS day, until_day + 1 AS after FROM totals_progress
 WHERE until_day < ((now() AT TIME ZONE 'UTC') - make_interval(mins => %(minutes)s))::date FOR UPDATE
"""
CLOSE = "UPDATE totals_progress SET until_day = %(after)s"
UNTIL = "SELECT until_day FROM totals_progress FOR SHARE"

DUE_CONTENTS = """
SELECT due.id FROM data_sets d CROSS JOIN LATERAL (
  SELECT e.id FROM executions e
   WHERE e.data_set_id = d.id AND e.content_erased_at IS NULL
     AND e.finished_at < now() - make_interval(days => least(d.content_days, d.execution_days))
   ORDER BY e.finished_at LIMIT %(limit)s) due
 WHERE least(d.content_days, d.execution_days) IS NOT NULL
 LIMIT %(limit)s
"""
DUE_EXECUTIONS = """
SELECT due.id FROM data_sets d CROSS JOIN LATERAL (
  SELECT e.id FROM executions e
   WHERE e.data_set_id = d.id AND e.content_erased_at IS NOT NULL
     AND e.finished_at < now() - make_interval(days => d.execution_days)
   ORDER BY e.finished_at LIMIT %(limit)s) due
 WHERE d.execution_days IS NOT NULL
 LIMIT %(limit)s
"""
LOCK_EXECUTIONS = """
SELECT id, conversation_id FROM executions WHERE id = ANY (%(ids)s) AND finished_at IS NOT NULL
 ORDER BY id LIMIT 1000 FOR UPDATE"""

BLOBS_OF = """
SELECT DISTINCT blob_id FROM files WHERE conversation_id = ANY (%(conversations)s) AND blob_id IS NOT NULL LIMIT 100000
"""
FORGET_PROMPTS = "UPDATE turns SET request = '' WHERE execution_id = ANY (%(ids)s) AND request <> ''"
FORGET_RESULTS = "UPDATE tool_calls SET result = '' WHERE execution_id = ANY (%(ids)s) AND result <> ''"
FORGET_FILES = """
UPDATE files SET blob_id = NULL, text = NULL WHERE conversation_id = ANY (%(conversations)s) AND blob_id IS NOT NULL
"""
MARK_ERASED = "UPDATE executions SET content_erased_at = now() WHERE id = ANY (%(ids)s)"
DELETE_BLOBS = """
DELETE FROM blobs WHERE id = ANY (%(blobs)s) AND NOT EXISTS (SELECT FROM files WHERE files.blob_id = blobs.id)
"""
FORGET_ANSWERS = """
UPDATE idempotency_keys SET status = 410, location = NULL, body = %(body)s, settled = true
 WHERE account_id IN (SELECT account_id FROM executions WHERE id = ANY (%(ids)s)) AND execution_ids && %(ids)s::bigint[]
"""
DELETE_EXECUTIONS = "DELETE FROM executions WHERE id = ANY (%(ids)s)"
DELETE_CONVERSATIONS = "DELETE FROM conversations WHERE id = ANY (%(conversations)s)"


async def lock(connection: Connection) -> bool:
    """Take the lock of retention until the transaction ends. False: another process is at it."""
    row = await (await connection.execute(LOCK)).fetchone()
    return row is not None and bool(row["is_locked"])


async def close_day(connection: Connection) -> bool:
    """Total the next day that is over, for good. False: there is none."""
    row = await (await connection.execute(NEXT_DAY, {"minutes": CLOSING_MINUTES})).fetchone()
    if row is None:
        return False
    await connection.execute(ADD_DAY, row)
    await connection.execute(CLOSE, {"after": row["after"]})
    return True


async def due_contents(connection: Connection, *, limit: int) -> list[int]:
    """Executions whose contents are to go, the oldest of each data set first."""
    cursor = await connection.execute(DUE_CONTENTS, {"limit": limit})
    return [row["id"] for row in await cursor.fetchall()]


async def due_executions(connection: Connection, *, limit: int) -> list[int]:
    """Executions that are to go whole. Their contents have gone before."""
    cursor = await connection.execute(DUE_EXECUTIONS, {"limit": limit})
    return [row["id"] for row in await cursor.fetchall()]


async def erase_contents(connection: Connection, ids: Sequence[int]) -> int:
    """Forget prompts, results of tools, and files with their text. Returns of how many; needs a transaction."""
    ended = await _lock_ended(connection, ids)
    given = {"ids": list(ended), "conversations": list(ended.values())}
    blobs = [row["blob_id"] for row in await (await connection.execute(BLOBS_OF, given)).fetchall()]
    for statement in (FORGET_PROMPTS, FORGET_RESULTS, FORGET_FILES, MARK_ERASED):
        await connection.execute(statement, given)
    await connection.execute(DELETE_BLOBS, {"blobs": blobs})
    return len(ended)


async def delete(connection: Connection, ids: Sequence[int], *, waits: bool = False) -> int:
    """Delete executions that have ended with all that is theirs, and total what they were in time.

    Those that another transaction holds are left out, or waited for. Their idempotency keys are answered 410 from now
    on. Returns how many; needs a transaction.
    """
    ended = await _lock_ended(connection, ids, waits=waits)
    given = {"ids": list(ended), "conversations": list(ended.values()), "body": GONE}
    row = await (await connection.execute(UNTIL)).fetchone()
    assert row is not None
    await connection.execute(ADD_SOME, {"ids": list(ended), "until": row["until_day"]})
    blobs = [row["blob_id"] for row in await (await connection.execute(BLOBS_OF, given)).fetchall()]
    for statement in (FORGET_ANSWERS, DELETE_EXECUTIONS, DELETE_CONVERSATIONS):
        await connection.execute(statement, given)
    await connection.execute(DELETE_BLOBS, {"blobs": blobs})
    return len(ended)


async def _lock_ended(connection: Connection, ids: Sequence[int], *, waits: bool = False) -> dict[int, int]:
    """Conversations by execution, of those that have ended and that nobody else holds, or are there after that."""
    statement = LOCK_EXECUTIONS if waits else f"{LOCK_EXECUTIONS} SKIP LOCKED"
    cursor = await connection.execute(statement, {"ids": list(ids)})
    return {row["id"]: row["conversation_id"] for row in await cursor.fetchall()}
