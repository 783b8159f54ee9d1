"""What a sweep does to executions: those whose worker died, whose time has come, or that nobody can run."""

from __future__ import annotations

from dataclasses import dataclass

from service.database import Connection
from service.definitions.failures import FailureCode
from service.executions import ending
from service.queue import TICKET

# A sweeper that is stopped within its transaction must not keep the others from sweeping: the server ends it.
LOCK = """
SELECT set_config('idle_in_transaction_session_timeout', %(idle_milliseconds)s::text, true),
       pg_try_advisory_xact_lock(7004) AS is_locked
"""

RETURN_LOST = f"""
WITH lost AS (
  UPDATE execution_runtime
     SET phase = 'ready', ready_since = now(), epoch = epoch + 1, losses = losses + 1, next_event = next_event + 1
   WHERE phase = 'running' AND worker_id IS NULL AND losses + 1 < %(max_losses)s AND cancel_asked_at IS NULL
  RETURNING execution_id, account_id, next_event - 1 AS seq, losses),
event AS (
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  SELECT execution_id, seq, account_id, 'worker_lost', jsonb_build_object('losses', losses) FROM lost)
SELECT execution_id, {TICKET} AS ticket FROM lost
"""  # noqa: S608 - a constant

LOST_FOR_GOOD = """
SELECT execution_id FROM execution_runtime
 WHERE phase = 'running' AND worker_id IS NULL AND losses + 1 >= %(max_losses)s
 ORDER BY execution_id LIMIT 100 FOR UPDATE
"""

LAST_STEP = """
SELECT t.number AS turn, t.finished_at IS NULL AS is_open, c.name AS tool, c.finished_at IS NULL AS tool_is_open
  FROM turns t
  LEFT JOIN LATERAL (
    SELECT name, finished_at FROM tool_calls c
     WHERE c.execution_id = t.execution_id AND c.turn = t.number ORDER BY c.number DESC LIMIT 1) c ON true
 WHERE t.execution_id = %(execution_id)s ORDER BY t.number DESC LIMIT 1
"""

WAKE_DUE = f"""
WITH due AS (
  UPDATE execution_runtime SET phase = 'ready', resume_at = NULL, ready_since = now()
   WHERE phase = 'waiting' AND resume_at <= now() RETURNING execution_id)
SELECT execution_id, {TICKET} AS ticket FROM due
"""  # noqa: S608 - a constant

NOBODY_HAS = """
SELECT execution_id, definition FROM execution_runtime r
 WHERE phase = 'ready' AND ready_since < now() - make_interval(secs => %(seconds)s)
   AND EXISTS (SELECT FROM workers WHERE lease_until > now())
   AND NOT EXISTS (SELECT FROM workers WHERE lease_until > now() AND r.definition = ANY (offers))
 ORDER BY execution_id LIMIT 100 FOR UPDATE SKIP LOCKED
"""

FAIL = ending.failing("""
SELECT execution_id, %(code)s AS code, %(explanation)s AS explanation
  FROM execution_runtime WHERE execution_id = %(execution_id)s FOR UPDATE
""")

TOP_UP = "SELECT top_up_ticket() AS ticket_added"


@dataclass
class Swept:
    """What one sweep did: executions returned from dead workers, ended, woken; whether tickets were added.

    `overdue` were ended because a deadline had passed, or because a cancel was not carried out by their worker.
    """

    returned: int = 0
    ended: int = 0
    overdue: int = 0
    woken: int = 0
    topped_up: bool = False

    @property
    def tickets_added(self) -> bool:
        return bool(self.returned or self.woken or self.topped_up)

    @property
    def events_added(self) -> bool:
        return bool(self.returned or self.ended or self.overdue)


async def lock(connection: Connection, *, idle_seconds: float) -> bool:
    """Take the sweep's lock until the transaction ends, or is idle for so long. False: another process is sweeping."""
    row = await (await connection.execute(LOCK, {"idle_milliseconds": round(idle_seconds * 1000)})).fetchone()
    return row is not None and bool(row["is_locked"])


async def sweep(connection: Connection, *, max_losses: int, unavailable_seconds: float) -> Swept:
    """Return what dead workers held, wake what is due, end what cannot go on. Call it under `lock`."""
    swept = Swept()
    overdue = await ending.end_overdue(connection)
    swept.overdue, swept.topped_up = overdue.ended, overdue.ticket_added
    swept.ended += await _end_lost(connection, max_losses=max_losses)
    cursor = await connection.execute(RETURN_LOST, {"max_losses": max_losses})
    swept.returned = len(await cursor.fetchall())
    cursor = await connection.execute(WAKE_DUE)
    swept.woken = len(await cursor.fetchall())
    swept.ended += await _end_unavailable(connection, seconds=unavailable_seconds)
    row = await (await connection.execute(TOP_UP)).fetchone()
    swept.topped_up = swept.topped_up or (row is not None and bool(row["ticket_added"]))
    return swept


async def _end_lost(connection: Connection, *, max_losses: int) -> int:
    rows = await (await connection.execute(LOST_FOR_GOOD, {"max_losses": max_losses})).fetchall()
    for row in rows:
        step = await _last_step(connection, row["execution_id"])
        explanation = f"The worker process was lost {max_losses} times, the last time {step}."
        await _fail(connection, row["execution_id"], FailureCode.WORKER_LOST, explanation)
    return len(rows)


async def _last_step(connection: Connection, execution_id: int) -> str:
    row = await (await connection.execute(LAST_STEP, {"execution_id": execution_id})).fetchone()
    if row is None:
        return "before its first turn"
    if row["is_open"]:
        return f"while the model was asked in turn {row['turn']}"
    if row["tool"] is not None and row["tool_is_open"]:
        return f"while tool {row['tool']!r} ran in turn {row['turn']}"
    return f"after turn {row['turn']}, while its answer was judged or the next step was prepared"


async def _end_unavailable(connection: Connection, *, seconds: float) -> int:
    rows = await (await connection.execute(NOBODY_HAS, {"seconds": seconds})).fetchall()
    for row in rows:
        explanation = f"No running worker has {row['definition']!r}, for more than {seconds:g} seconds."
        await _fail(connection, row["execution_id"], FailureCode.DEFINITION_UNAVAILABLE, explanation)
    return len(rows)


async def _fail(connection: Connection, execution_id: int, code: FailureCode, explanation: str) -> None:
    values = {"execution_id": execution_id, "code": code.value, "explanation": explanation}
    await ending.fail(connection, FAIL, values)
