"""Ending executions without a worker's outcome: by cancel, by deadline, by whoever finds that nobody else can.

The row of execution_runtime is deleted in the statement that ends its execution. Whoever still holds a claim on it
finds no row under its worker and epoch any more, and writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg.types.json import Jsonb

from service.database import Connection, Database
from service.definitions.failures import EXIT_REASONS, MEANINGS
from service.errors import Unavailable
from service.executions.lifecycle import Status, sources
from service.queue import Notifier

log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0
STOP_SECONDS = 2.0
"""How long the worker of a run that is to be cancelled has to end it before anybody else does."""

USAGE = """
(input_tokens, cached_tokens, output_tokens, cost, model_seconds, calls, is_estimated) = (
  SELECT input_tokens, cached_tokens, output_tokens, cost, model_seconds, calls, is_estimated FROM usage_of(e.id))
"""
"""What ends an execution sets: everything that was spent on it."""


def failing(which: str) -> str:
    """The statement that fails what `which` selects: execution_id, code and explanation of rows of execution_runtime
    that it locks. Run it with `fail`."""
    return f"""
WITH chosen AS MATERIALIZED ({which}),
ended AS (
  DELETE FROM execution_runtime r USING chosen c, executions e
   WHERE r.execution_id = c.execution_id AND e.id = r.execution_id AND e.status = ANY (%(sources)s)
  RETURNING r.execution_id, r.account_id, r.next_event AS seq, c.code, c.explanation),
execution AS (
  UPDATE executions e
     SET status = 'failed', failure_code = ended.code, failure_explanation = ended.explanation, finished_at = now(),
         retryable = (%(retryable)s::jsonb ->> ended.code)::boolean,
         exit_reason = %(exit_reasons)s::jsonb ->> ended.code,
         cycles = (SELECT coalesce(max(cycle), 0) FROM verdicts v WHERE v.execution_id = e.id),
         {USAGE}
    FROM ended WHERE e.id = ended.execution_id),
event AS (
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  SELECT execution_id, seq, account_id, CASE WHEN code = 'cancelled' THEN code ELSE 'failed' END,
         jsonb_build_object('code', code)
    FROM ended)
SELECT count(*) AS ended, CASE WHEN count(*) > 0 THEN top_up_ticket() ELSE false END AS ticket_added FROM ended
"""  # noqa: S608 - our own text alone


# The row is locked to the end of the transaction: no claim, release or outcome comes in between.
ASK = """
WITH asked AS (
  UPDATE execution_runtime SET cancel_asked_at = now(), next_event = next_event + 1
   WHERE execution_id = %(execution_id)s AND (%(account_id)s::bigint IS NULL OR account_id = %(account_id)s)
     AND cancel_asked_at IS NULL
  RETURNING execution_id, account_id, next_event - 1 AS seq),
execution AS (
  UPDATE executions e SET cancel_requested_at = now() FROM asked WHERE e.id = asked.execution_id)
INSERT INTO events (execution_id, seq, account_id, kind)
SELECT execution_id, seq, account_id, 'cancel_requested' FROM asked
"""

CANCELLED = "SELECT execution_id, 'cancelled' AS code, %(cancelled)s AS explanation FROM execution_runtime WHERE "

END_ASKED = failing(
    f"{CANCELLED} execution_id = %(execution_id)s AND cancel_asked_at IS NOT NULL AND phase <> 'running' FOR UPDATE"
)

END_CLAIMED = failing(f"""{CANCELLED}
  execution_id = %(execution_id)s AND worker_id = %(worker_id)s AND epoch = %(epoch)s AND phase = 'running'
  AND cancel_asked_at IS NOT NULL FOR UPDATE
""")

# A cancel that was asked of a run is its worker's to carry out, while there is one and for a moment.
END_OVERDUE = failing("""
SELECT execution_id,
       CASE WHEN cancel_asked_at IS NOT NULL THEN 'cancelled' ELSE 'deadline_exceeded' END AS code,
       CASE WHEN cancel_asked_at IS NOT NULL THEN %(cancelled)s ELSE %(passed)s END AS explanation
  FROM execution_runtime
 WHERE (SELECT pg_try_advisory_xact_lock(7005))
   AND ((cancel_asked_at IS NOT NULL
         AND (phase <> 'running' OR worker_id IS NULL OR cancel_asked_at < now() - make_interval(secs => %(stop)s)))
        OR (deadline <= now() AND phase <> 'running'))
 ORDER BY execution_id LIMIT 1000 FOR UPDATE SKIP LOCKED
""")

FAILING: dict[str, object] = {
    "sources": list(sources(Status.FAILED)),
    "retryable": Jsonb({code.value: retryable for code, (_, retryable) in MEANINGS.items()}),
    "exit_reasons": Jsonb({code: reason.value for code, reason in EXIT_REASONS.items()}),
    "cancelled": "The execution was cancelled.",
    "passed": "The deadline of the execution passed while it waited to go on.",
    "stop": STOP_SECONDS,
}


@dataclass(frozen=True)
class Failures:
    """How many executions a statement of `failing` ended, and whether it added a ticket."""

    ended: int
    ticket_added: bool


async def fail(connection: Connection, statement: str, values: Mapping[str, object] | None = None) -> Failures:
    """Run a statement of `failing`. Safe to repeat: what it has ended has no row any more."""
    row = await (await connection.execute(statement, {**FAILING, **(values or {})})).fetchone()
    assert row is not None
    return Failures(row["ended"], row["ticket_added"])


async def ask_to_cancel(connection: Connection, account_id: int | None, execution_id: int) -> None:
    """Note that an execution of the account (None: of any) is to end, and end it if no worker has it.

    To be called in a transaction. A second time it changes nothing; nor where there is none, or it is final.
    """
    values = {"execution_id": execution_id, "account_id": account_id}
    await connection.execute(ASK, values)
    await fail(connection, END_ASKED, values)


async def end_overdue(connection: Connection) -> Failures:
    """End what waits past its deadline, and what was to be cancelled and is not. One statement.

    Safe for any process, at any time; where another does the same just now, it does nothing.
    """
    return await fail(connection, END_OVERDUE)


async def watch_overdue(database: Database, notifier: Notifier) -> None:
    """The same each second until cancelled, for processes other than workers: it holds also while none is alive."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        try:
            async with database.connection() as connection:
                failures = await end_overdue(connection)
        except Unavailable:
            continue  # told by the database's own log
        except psycopg.Error:
            log.exception("overdue executions cannot be ended")
            continue
        if failures.ended:
            log.info("overdue executions ended", extra={"ended": failures.ended})
            notifier.events_added()
        if failures.ticket_added:
            notifier.ticket_added()
