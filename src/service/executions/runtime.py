"""What a worker does to an execution: claim it, read it, give it back, end it. One statement each, all fenced.

A claim is the fence: every write after it names worker and epoch, and the epoch rises with each claim and each
release. So a worker that was thought dead, and wakes up, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never

from psycopg.types.json import Jsonb

from service.database import Connection
from service.definitions.failures import ExitReason, Failed, Finished, Outcome
from service.executions import ending
from service.executions.ending import USAGE
from service.executions.lifecycle import Status, sources
from service.queue import TICKET

CLAIM = "SELECT execution_id, epoch, ticket_added FROM claim_execution(%(worker_id)s, %(offers)s)"

LOAD = """
SELECT e.definition_key, e.definition_version, e.input, e.conversation_id, e.deadline, e.limits,
       extract(epoch FROM now() - e.picked_up_at)::float8 - paused_seconds.sum AS running_seconds,
       extract(epoch FROM e.deadline - now())::float8 AS seconds_to_deadline,
       e.data_set_id, d.name AS data_set_name, a.model AS agent_model, a.name AS agent_name, e.field_schema
  FROM executions e
  JOIN agents a ON a.id = e.agent_id
 CROSS JOIN LATERAL (
   SELECT coalesce(extract(epoch FROM sum((
            SELECT v.created_at FROM events v
             WHERE v.execution_id = e.id AND v.seq > p.seq AND v.kind = 'resumed' ORDER BY v.seq LIMIT 1)
            - p.created_at)), 0)::float8 AS sum
     FROM events p WHERE p.execution_id = e.id AND p.kind = 'paused') paused_seconds
  JOIN data_sets d ON d.id = e.data_set_id
 WHERE e.id = %(execution_id)s
"""

RELEASE = f"""
WITH released AS (
  UPDATE execution_runtime
     SET phase = CASE WHEN %(resume_in)s::float8 IS NULL THEN 'ready' ELSE 'waiting' END,
         resume_at = now() + make_interval(secs => %(resume_in)s), ready_since = now(),
         worker_id = NULL, epoch = epoch + 1, next_event = next_event + 1
   WHERE execution_id = %(execution_id)s AND worker_id = %(worker_id)s AND epoch = %(epoch)s AND phase = 'running'
     AND cancel_asked_at IS NULL
  RETURNING execution_id, account_id, next_event - 1 AS seq, phase, resume_at),
event AS (
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  SELECT execution_id, seq, account_id, CASE WHEN phase = 'ready' THEN 'released' ELSE 'waiting' END,
         jsonb_strip_nulls(jsonb_build_object('worker', %(worker_id)s, 'epoch', %(epoch)s, 'resume_at',
           to_char(resume_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))) FROM released)
SELECT CASE WHEN phase = 'ready' THEN {TICKET} END AS ticket FROM released
"""  # noqa: S608 - a constant

# The row's end is the fence; the guard on status keeps to the lifecycle.
END = f"""
WITH ended AS (
  DELETE FROM execution_runtime r USING executions e
   WHERE r.execution_id = %(execution_id)s AND r.worker_id = %(worker_id)s AND r.epoch = %(epoch)s
     AND r.phase = 'running' AND e.id = r.execution_id AND e.status = ANY (%(sources)s)
  RETURNING r.execution_id, r.account_id, r.next_event AS seq),
execution AS (
  UPDATE executions e
     SET status = %(status)s, result = %(result)s, failure_code = %(code)s, failure_explanation = %(explanation)s,
         retryable = %(retryable)s, cycles = %(cycles)s, exit_reason = %(exit_reason)s, finished_at = now(),
         {USAGE}
    FROM ended WHERE e.id = ended.execution_id),
event AS (
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  SELECT execution_id, seq, account_id, %(status)s, %(data)s FROM ended)
SELECT count(*) AS ended, top_up_ticket() AS ticket_added FROM ended
"""  # noqa: S608 - a constant

IS_OURS = """
SELECT FROM events
 WHERE execution_id = %(execution_id)s AND kind IN ('finished', 'failed')
   AND data ->> 'worker' = %(worker_id)s::text AND data ->> 'epoch' = %(epoch)s::text
 LIMIT 1
"""

ASKED_TO_CANCEL = """
SELECT execution_id, epoch FROM execution_runtime
 WHERE phase = 'running' AND worker_id = %(worker_id)s AND cancel_asked_at IS NOT NULL
 ORDER BY execution_id LIMIT 1000
"""

CLAIMS_OF = """
SELECT execution_id, epoch FROM execution_runtime
 WHERE phase = 'running' AND worker_id = %(worker_id)s ORDER BY execution_id LIMIT 1000
"""


HOLD = """
SELECT FROM execution_runtime
 WHERE execution_id = %(execution_id)s AND worker_id = %(worker_id)s AND epoch = %(epoch)s AND phase = 'running'
   FOR NO KEY UPDATE
"""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One worker's hold on one execution, for as long as the epoch stays."""

    execution_id: int
    worker_id: int
    epoch: int

    @property
    def parameters(self) -> dict[str, Any]:
        """The fence, as parameters of a statement."""
        return {"execution_id": self.execution_id, "worker_id": self.worker_id, "epoch": self.epoch}


@dataclass(frozen=True, kw_only=True)
class LoadedExecution:
    """What a run needs of its execution. `input` and `limits` are as stored: decoded JSON.

    `running_seconds` are counted from the first worker, without those in which somebody had to approve something;
    `seconds_to_deadline` by the database's clock.
    """

    definition_key: str
    definition_version: int
    input: Any
    conversation_id: int
    deadline: datetime | None
    limits: dict[str, Any]
    running_seconds: float
    seconds_to_deadline: float | None
    data_set_id: int
    data_set_name: str
    agent_model: str | None
    agent_name: str
    field_schema: dict[str, Any] | None


@dataclass(frozen=True)
class Ended:
    """How recording an outcome ended: whether it is there (now, or since an attempt whose reply was lost)."""

    is_recorded: bool
    ticket_added: bool = False


async def claim(connection: Connection, worker_id: int, offers: Sequence[str]) -> tuple[Claim | None, bool]:
    """Claim the execution whose turn it is among those with these definitions, or none; and whether a ticket was
    added for the next. One statement; a worker whose lease ran out gets none."""
    cursor = await connection.execute(CLAIM, {"worker_id": worker_id, "offers": list(offers)})
    row = await cursor.fetchone()
    if row is None:
        return None, False
    made = Claim(execution_id=row["execution_id"], worker_id=worker_id, epoch=row["epoch"])
    return made, row["ticket_added"]


async def load(connection: Connection, execution_id: int) -> LoadedExecution:
    """Read what a run needs. Raises LookupError if there is no such execution."""
    cursor = await connection.execute(LOAD, {"execution_id": execution_id})
    row = await cursor.fetchone()
    if row is None:
        raise LookupError(f"execution {execution_id} does not exist")
    return LoadedExecution(**row)


async def hold(connection: Connection, held: Claim) -> bool:
    """Whether the claim stands. If so, it cannot be lost before the transaction ends, and one that is held so waits."""
    return await (await connection.execute(HOLD, held.parameters)).fetchone() is not None


async def release(connection: Connection, held: Claim, *, resume_in_seconds: float | None = None) -> bool:
    """Give the execution back: ready at once, with a ticket, or waiting until it is time. False: it was not ours.

    One that is to be cancelled is ended instead: it must not start again.
    """
    cursor = await connection.execute(RELEASE, {**held.parameters, "resume_in": resume_in_seconds})
    return await cursor.fetchone() is not None or (await end_cancelled(connection, held)).is_recorded


async def end_cancelled(connection: Connection, held: Claim) -> Ended:
    """End an execution that is to be cancelled, with everything spent on it. Not recorded: it was not ours any more,
    perhaps because an outcome came first, or nobody asked."""
    failures = await ending.fail(connection, ending.END_CLAIMED, held.parameters)
    return Ended(is_recorded=failures.ended == 1, ticket_added=failures.ticket_added)


async def record_outcome(connection: Connection, held: Claim, outcome: Outcome) -> Ended:
    """End the execution, once. Safe to repeat: an attempt that committed and lost its reply is recognised."""
    cursor = await connection.execute(END, _outcome_parameters(held, outcome))
    row = await cursor.fetchone()
    assert row is not None
    if row["ended"] == 1:
        return Ended(is_recorded=True, ticket_added=row["ticket_added"])
    cursor = await connection.execute(IS_OURS, held.parameters)
    return Ended(is_recorded=await cursor.fetchone() is not None)


async def claims_of(connection: Connection, worker_id: int) -> set[Claim]:
    """The executions that the database believes this worker to run."""
    return await _claims(connection, CLAIMS_OF, worker_id)


async def asked_to_cancel(connection: Connection, worker_id: int) -> set[Claim]:
    """Those of them that are to be cancelled."""
    return await _claims(connection, ASKED_TO_CANCEL, worker_id)


async def _claims(connection: Connection, statement: str, worker_id: int) -> set[Claim]:
    rows = await (await connection.execute(statement, {"worker_id": worker_id})).fetchall()
    return {Claim(execution_id=row["execution_id"], worker_id=worker_id, epoch=row["epoch"]) for row in rows}


def _outcome_parameters(held: Claim, outcome: Outcome) -> dict[str, Any]:
    data: dict[str, Any] = {"worker": held.worker_id, "epoch": held.epoch}
    values: dict[str, Any] = {"result": None, "code": None, "explanation": None, "retryable": None}
    match outcome:
        case Finished(result=result):
            status, reason = Status.FINISHED, ExitReason.FINISHED
            values["result"] = Jsonb(result)
        case Failed(code=code, explanation=explanation, retryable=retryable):
            status, reason = Status.FAILED, outcome.exit_reason
            values |= {"code": code, "explanation": explanation, "retryable": retryable}
            data["code"] = code
        case _ as never:
            assert_never(never)
    return {
        **held.parameters,
        **values,
        "sources": list(sources(status)),
        "status": status.value,
        "cycles": outcome.cycles,
        "exit_reason": reason.value,
        "data": Jsonb(data),
    }
