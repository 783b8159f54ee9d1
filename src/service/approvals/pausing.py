"""A run that waits for approvals: given back without a time to go on at, and ready again with the last decision.

Whoever changes both locks the row of execution_runtime first, then those of approvals: worker and API alike.
"""

from __future__ import annotations

from service.database import Connection
from service.executions import runtime
from service.executions.runtime import Claim, Ended
from service.queue import TICKET

# Nothing open is left, or somebody's time is up: there is something to do.
GOES_ON = "o.open = 0 OR o.expires_at <= now()"

PAUSE = f"""
WITH open AS MATERIALIZED (
  SELECT count(*) AS open, min(expires_at) AS expires_at
    FROM approvals WHERE execution_id = %(execution_id)s AND decision IS NULL),
paused AS (
  UPDATE execution_runtime r
     SET phase = CASE WHEN {GOES_ON} THEN 'ready' ELSE 'waiting' END,
         resume_at = CASE WHEN {GOES_ON} THEN NULL ELSE o.expires_at END, ready_since = now(),
         worker_id = NULL, epoch = epoch + 1, next_event = next_event + 1
    FROM open o
   WHERE execution_id = %(execution_id)s AND worker_id = %(worker_id)s AND epoch = %(epoch)s AND phase = 'running'
     AND cancel_asked_at IS NULL
  RETURNING execution_id, account_id, next_event - 1 AS seq, phase),
event AS (
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  SELECT execution_id, seq, account_id, 'paused', jsonb_build_object('worker', %(worker_id)s, 'epoch', %(epoch)s)
    FROM paused)
SELECT phase = 'ready' AS is_ready, CASE WHEN phase = 'ready' THEN {TICKET} END AS ticket FROM paused
"""  # noqa: S608 - constants

WAKE = f"""
WITH woken AS (
  UPDATE execution_runtime SET phase = 'ready', resume_at = NULL, ready_since = now()
   WHERE execution_id = %(execution_id)s AND phase = 'waiting'
     AND NOT EXISTS (SELECT FROM approvals WHERE execution_id = %(execution_id)s AND decision IS NULL)
  RETURNING execution_id)
SELECT {TICKET} AS ticket FROM woken
"""  # noqa: S608 - a constant

TOP_UP = "SELECT top_up_ticket() AS ticket_added"


async def pause(connection: Connection, held: Claim) -> Ended:
    """Give the execution back until its open approvals are decided, or the first of them expires; at once where they
    were meanwhile. To be called in a transaction. Not recorded: it was not ours any more.

    One that is to be cancelled is ended instead: it must not start again.
    """
    if not await runtime.hold(connection, held):
        return Ended(is_recorded=False)
    # In a statement after the one that waited for the row: it sees what was decided before.
    row = await (await connection.execute(PAUSE, held.parameters)).fetchone()
    if row is None:
        return await runtime.end_cancelled(connection, held)
    if row["is_ready"]:
        return Ended(is_recorded=True, ticket_added=True)
    topped_up = await (await connection.execute(TOP_UP)).fetchone()
    return Ended(is_recorded=True, ticket_added=topped_up is not None and topped_up["ticket_added"])


async def wake(connection: Connection, execution_id: int) -> bool:
    """Let the execution go on, with a ticket, if it waits and nothing of it is open any more. Its row must be locked,
    by a statement before."""
    return await (await connection.execute(WAKE, {"execution_id": execution_id})).fetchone() is not None
