"""The journal's statements: each writes one step of a run under the fence of its claim, tells it as an event, and is
safe to repeat.

`turns.request` and `turns.answer` are JSON: the messages that the turn added, and the whole answer as the loop had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from service.database import Connection, Row
from service.executions.runtime import Claim

# The lock serialises a step with the sweep that may take the execution away, and the run's own steps among each other.
CLAIMED = """
WITH claimed AS MATERIALIZED (
  SELECT execution_id, account_id FROM execution_runtime
   WHERE execution_id = %(execution_id)s AND worker_id = %(worker_id)s AND epoch = %(epoch)s AND phase = 'running'
   FOR NO KEY UPDATE),
"""
HELD = "SELECT count(*) AS held FROM claimed"
UTC = """to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
IS_NEW = "xmax = 0 AS is_new"  # an insert that met a row and updated it carries the lock that it took


def _told(kind: str, news: str) -> str:
    """The event of a write, in the same statement. `news` selects its `data` from the rows that were written: none if
    they were there before, because a reply was lost, and then nothing is told again."""
    return f""",
told AS (
  UPDATE execution_runtime r SET next_event = r.next_event + 1 FROM ({news}) news
   WHERE r.execution_id = %(execution_id)s
  RETURNING r.execution_id, r.next_event - 1 AS seq, r.account_id, news.data),
event AS (
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  SELECT execution_id, seq, account_id, '{kind}', data FROM told)
{HELD}"""  # noqa: S608 - constants


TURN_STARTED = """
SELECT jsonb_build_object('turn', number, 'cycle', cycle, 'strategy', strategy, 'model', model) AS data
  FROM written WHERE is_new
"""
TURN_ANSWERED = """
SELECT jsonb_build_object('turn', number, 'cycle', cycle, 'finish_reason', finish_reason, 'model', model,
                          'input_tokens', input_tokens, 'output_tokens', output_tokens) AS data FROM written
"""
# The name is the model's word: it may be any text.
TOOL_STARTED = """
SELECT jsonb_build_object('turn', turn, 'call', number, 'tool', left(name, 100)) AS data FROM written WHERE is_new
"""
TOOL_FINISHED = """
SELECT jsonb_build_object('turn', turn, 'call', number, 'tool', left(name, 100), 'succeeded', succeeded) AS data
  FROM written
"""
APPROVAL_REQUESTED = f"""
SELECT jsonb_strip_nulls(jsonb_build_object(
         'approval', id, 'turn', turn, 'call', call, 'tool', left(tool, 100),
         'expires_at', {UTC.format("expires_at")})) AS data FROM written
"""  # noqa: S608 - constants
APPROVAL_EXPIRED = """
SELECT jsonb_build_object('approval', id, 'turn', turn, 'call', call, 'tool', left(tool, 100),
                          'decision', decision) AS data FROM written
"""
JUDGED = """
SELECT jsonb_build_object(
         'cycle', max(cycle),
         'verdicts', jsonb_agg(jsonb_build_object('validator', validator, 'verdict', kind,
                                                  'issues', jsonb_array_length(issues)) ORDER BY number)) AS data
  FROM written HAVING count(*) > 0
"""

START_TURN = f"""{CLAIMED}
written AS (
  INSERT INTO turns (execution_id, number, cycle, item, model, request_digest, request, strategy, attempts,
                     reserved_input_tokens, reserved_output_tokens, reserved_cost, lost_input_tokens,
                     lost_cached_tokens, lost_output_tokens, lost_cost, calls, is_estimated)
  SELECT execution_id, %(number)s, %(cycle)s, %(item)s, %(model)s, %(digest)s, %(request)s, %(strategy)s, %(attempts)s,
         %(reserved_input_tokens)s, %(reserved_output_tokens)s, %(reserved_cost)s, %(lost_input_tokens)s,
         %(lost_cached_tokens)s, %(lost_output_tokens)s, %(lost_cost)s, %(calls)s, %(is_estimated)s
    FROM claimed
  ON CONFLICT (execution_id, number) DO UPDATE
     SET attempts = EXCLUDED.attempts, model = EXCLUDED.model, request_digest = EXCLUDED.request_digest,
         request = EXCLUDED.request, strategy = EXCLUDED.strategy, started_at = now(),
         reserved_input_tokens = EXCLUDED.reserved_input_tokens,
         reserved_output_tokens = EXCLUDED.reserved_output_tokens, reserved_cost = EXCLUDED.reserved_cost,
         lost_input_tokens = EXCLUDED.lost_input_tokens, lost_cached_tokens = EXCLUDED.lost_cached_tokens,
         lost_output_tokens = EXCLUDED.lost_output_tokens, lost_cost = EXCLUDED.lost_cost,
         calls = EXCLUDED.calls, is_estimated = EXCLUDED.is_estimated
   WHERE turns.finished_at IS NULL
  RETURNING number, cycle, strategy, model, {IS_NEW}){_told("turn_started", TURN_STARTED)}"""  # noqa: S608 - constants

# Nothing is in flight any more; what is lost and sent is set to its sum, so that repeating the statement adds nothing.
SETTLED = """
         reserved_input_tokens = 0, reserved_output_tokens = 0, reserved_cost = 0,
         lost_input_tokens = %(lost_input_tokens)s, lost_cached_tokens = %(lost_cached_tokens)s,
         lost_output_tokens = %(lost_output_tokens)s, lost_cost = %(lost_cost)s, calls = %(calls)s,
         is_estimated = %(is_estimated)s
"""

FINISH_TURN = f"""{CLAIMED}
written AS (
  UPDATE turns t
     SET answer = %(answer)s, finish_reason = %(finish_reason)s, input_tokens = %(input_tokens)s,
         cached_tokens = %(cached_tokens)s, output_tokens = %(output_tokens)s, cost = %(cost)s, finished_at = now(),
         {SETTLED}
    FROM claimed WHERE t.execution_id = claimed.execution_id AND t.number = %(number)s AND t.finished_at IS NULL
  RETURNING t.number, t.cycle, t.model, t.finish_reason, t.input_tokens, t.output_tokens)\
{_told("turn_answered", TURN_ANSWERED)}"""  # noqa: S608 - constants

FAIL_TURN = f"""{CLAIMED}
written AS (
  UPDATE turns t SET {SETTLED}
    FROM claimed WHERE t.execution_id = claimed.execution_id AND t.number = %(number)s AND t.finished_at IS NULL)
{HELD}"""  # noqa: S608 - constants

START_TOOL_CALL = f"""{CLAIMED}
written AS (
  INSERT INTO tool_calls (execution_id, turn, number, call_id, name, arguments, idempotency_key, attempts)
  SELECT execution_id, %(turn)s, %(number)s, %(call_id)s, %(name)s, %(arguments)s, %(key)s, %(attempts)s FROM claimed
  ON CONFLICT (execution_id, turn, number) DO UPDATE SET attempts = EXCLUDED.attempts
   WHERE tool_calls.finished_at IS NULL
  RETURNING turn, number, name, {IS_NEW}){_told("tool_started", TOOL_STARTED)}"""  # noqa: S608 - constants

FINISH_TOOL_CALL = f"""{CLAIMED}
written AS (
  UPDATE tool_calls c SET result = %(result)s, succeeded = %(succeeded)s, finished_at = now()
    FROM claimed
   WHERE c.execution_id = claimed.execution_id AND c.turn = %(turn)s AND c.number = %(number)s
     AND c.finished_at IS NULL
  RETURNING c.turn, c.number, c.name, c.succeeded){_told("tool_finished", TOOL_FINISHED)}"""  # noqa: S608 - constants

# In place of the two above, for a call that was not approved. Older code may have begun it, and died.
DECLINE_TOOL_CALL = f"""{CLAIMED}
written AS (
  INSERT INTO tool_calls (execution_id, turn, number, call_id, name, arguments, idempotency_key, result, succeeded,
                          finished_at)
  SELECT execution_id, %(turn)s, %(number)s, %(call_id)s, %(name)s, %(arguments)s, %(key)s, %(result)s, false, now()
    FROM claimed
  ON CONFLICT (execution_id, turn, number) DO UPDATE
     SET result = EXCLUDED.result, succeeded = false, finished_at = now() WHERE tool_calls.finished_at IS NULL
  RETURNING turn, number, name, succeeded){_told("tool_finished", TOOL_FINISHED)}"""  # noqa: S608 - constants

ASK_APPROVAL = f"""{CLAIMED}
written AS (
  INSERT INTO approvals (execution_id, account_id, turn, call, tool, arguments, expires_at)
  SELECT execution_id, account_id, %(turn)s, %(number)s, %(name)s, %(arguments)s,
         now() + make_interval(secs => %(seconds)s::float8)
    FROM claimed
  ON CONFLICT (execution_id, turn, call) DO NOTHING
  RETURNING id, turn, call, tool, expires_at){_told("approval_requested", APPROVAL_REQUESTED)}"""  # noqa: S608

EXPIRE_APPROVAL = f"""{CLAIMED}
written AS (
  UPDATE approvals a SET decision = 'expired', decided_at = a.expires_at
    FROM claimed
   WHERE a.execution_id = claimed.execution_id AND a.turn = %(turn)s AND a.call = %(number)s
     AND a.decision IS NULL AND a.expires_at <= now()
  RETURNING a.id, a.turn, a.call, a.tool, a.decision){_told("approval_decided", APPROVAL_EXPIRED)}"""  # noqa: S608

# A decision does not change, so this needs no fence.
DECISION = """
SELECT decision, reason FROM approvals
 WHERE execution_id = %(execution_id)s AND turn = %(turn)s AND call = %(number)s
"""

RECORD_VERDICTS = f"""{CLAIMED}
written AS (
  INSERT INTO verdicts (execution_id, cycle, number, validator, kind, code, explanation, issues)
  SELECT claimed.execution_id, %(cycle)s, v.number, v.validator, v.kind, v.code, v.explanation, v.issues
    FROM claimed, jsonb_to_recordset(%(verdicts)s)
      AS v(number integer, validator text, kind text, code text, explanation text, issues jsonb)
  ON CONFLICT (execution_id, cycle, number) DO NOTHING
  RETURNING cycle, number, validator, kind, issues){_told("judged", JUDGED)}"""  # noqa: S608 - constants

TURNS = """
SELECT number, cycle, item, model, request_digest, request, strategy, answer, attempts, finished_at,
       input_tokens, cached_tokens, output_tokens, cost, calls, is_estimated,
       reserved_input_tokens, reserved_output_tokens, reserved_cost,
       lost_input_tokens, lost_cached_tokens, lost_output_tokens, lost_cost
  FROM turns WHERE execution_id = %(execution_id)s ORDER BY number
"""
TOOL_CALLS = """
SELECT turn, number, call_id, name, arguments, result, succeeded, idempotency_key, attempts
  FROM tool_calls WHERE execution_id = %(execution_id)s ORDER BY turn, number
"""
ASKED = "SELECT turn, call FROM approvals WHERE execution_id = %(execution_id)s"
VERDICTS = """
SELECT cycle, validator, kind, code, explanation, issues
  FROM verdicts WHERE execution_id = %(execution_id)s ORDER BY cycle, number
"""


@dataclass(frozen=True)
class JournalRows:
    """Everything journalled of one execution, in order, as stored."""

    turns: list[Row]
    tool_calls: list[Row]
    asked: list[Row]
    verdicts: list[Row]


async def write(connection: Connection, claim: Claim, statement: str, values: dict[str, Any]) -> bool:
    """Run one of the statements above. False: the claim is lost, and nothing was written."""
    cursor = await connection.execute(statement, {**claim.parameters, **values})
    row = await cursor.fetchone()
    return row is not None and row["held"] == 1


async def ask_approval(connection: Connection, claim: Claim, values: dict[str, Any]) -> Row | None:
    """Ask for a call, once, expire what nobody decided in time, and read the `decision` (None: open) and its `reason`.
    None: the claim is lost. Each statement is safe to repeat by itself."""
    for statement in (ASK_APPROVAL, EXPIRE_APPROVAL):
        if not await write(connection, claim, statement, values):
            return None
    return await (await connection.execute(DECISION, {**claim.parameters, **values})).fetchone()


async def record_verdicts(
    connection: Connection, claim: Claim, *, cycle: int, verdicts: Sequence[dict[str, Any]]
) -> bool:
    """Write a cycle's verdicts, numbered in their order of speaking. False: the claim is lost."""
    numbered = [{"number": number, **verdict} for number, verdict in enumerate(verdicts, start=1)]
    return await write(connection, claim, RECORD_VERDICTS, {"cycle": cycle, "verdicts": Jsonb(numbered)})


async def read(connection: Connection, execution_id: int) -> JournalRows:
    """The whole journal of one execution."""
    values = {"execution_id": execution_id}
    turns = await (await connection.execute(TURNS, values)).fetchall()
    calls = await (await connection.execute(TOOL_CALLS, values)).fetchall()
    asked = await (await connection.execute(ASKED, values)).fetchall()
    verdicts = await (await connection.execute(VERDICTS, values)).fetchall()
    return JournalRows(turns, calls, asked, verdicts)
