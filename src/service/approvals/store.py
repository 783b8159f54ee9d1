"""SQL of approvals as the API reads and decides them. What the caller may not see is not even read."""

# ruff: noqa: S608 - statements are put together from our own text alone; values are parameters
from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from service.accounts.access import Principal
from service.agents.store import VISIBLE
from service.database import Connection, Row

if TYPE_CHECKING:
    from service.cursors import Cursor

IS_OPEN = "a.decision IS NULL AND (a.expires_at IS NULL OR a.expires_at > now()) AND e.finished_at IS NULL"
TIME_IS_UP = "a.decision IS NULL AND a.expires_at <= coalesce(e.finished_at, now())"

# Nothing is written where time or the execution's end decides: it shows.
APPROVAL = f"""
SELECT a.id, a.execution_id, a.turn, a.call, a.tool, CASE WHEN m.may_decide THEN a.arguments END AS arguments,
       CASE WHEN a.decision IS NOT NULL THEN a.decision WHEN {TIME_IS_UP} THEN 'expired'
            WHEN e.finished_at IS NOT NULL THEN 'withdrawn' ELSE 'open' END AS status,
       a.requested_at, a.expires_at, CASE WHEN {TIME_IS_UP} THEN a.expires_at ELSE a.decided_at END AS decided_at,
       CASE WHEN %(is_admin)s OR a.decided_by = %(account_id)s THEN a.decided_by END AS decided_by,
       a.reason, m.may_decide
  FROM approvals a
  JOIN executions e ON e.id = a.execution_id
 CROSS JOIN LATERAL (
   SELECT %(is_admin)s OR EXISTS ({VISIBLE} AND g.id = e.agent_id) AS may_decide) m
 WHERE (%(is_admin)s OR a.account_id = %(account_id)s)
"""
ONE = f"{APPROVAL} AND a.execution_id = %(execution_id)s AND a.id = %(id)s"

EXECUTION = """
SELECT FROM executions WHERE id = %(execution_id)s AND (%(is_admin)s OR account_id = %(account_id)s)
"""

# To the end of the transaction the run neither goes on nor pauses nor ends.
LOCK = "SELECT FROM execution_runtime WHERE execution_id = %(execution_id)s FOR NO KEY UPDATE"

DECIDE = """
WITH decided AS (
  UPDATE approvals SET decision = %(decision)s, decided_at = now(), decided_by = %(account_id)s, reason = %(reason)s
   WHERE execution_id = %(execution_id)s AND id = %(id)s AND decision IS NULL
     AND (expires_at IS NULL OR expires_at > now())
  RETURNING id, execution_id, turn, call, tool, decision),
told AS (
  UPDATE execution_runtime r SET next_event = r.next_event + 1 FROM decided d WHERE r.execution_id = d.execution_id
  RETURNING r.execution_id, r.next_event - 1 AS seq, r.account_id),
event AS (
  INSERT INTO events (execution_id, seq, account_id, kind, data)
  SELECT t.execution_id, t.seq, t.account_id, 'approval_decided',
         jsonb_build_object('approval', d.id, 'turn', d.turn, 'call', d.call, 'tool', left(d.tool, 100),
                            'decision', d.decision)
    FROM told t JOIN decided d ON d.execution_id = t.execution_id)
SELECT count(*) AS decided FROM decided
"""


async def execution_is_visible(connection: Connection, principal: Principal, execution_id: int) -> bool:
    """Whether the account has this execution. Admins have all."""
    values = {"execution_id": execution_id, **_asking(principal)}
    return await (await connection.execute(EXECUTION, values)).fetchone() is not None


async def find(connection: Connection, principal: Principal, execution_id: int, approval_id: int) -> Row | None:
    """An approval of the execution; None if absent or another account's. `arguments` only for whoever may decide."""
    values = {"execution_id": execution_id, "id": approval_id, **_asking(principal)}
    return await (await connection.execute(ONE, values)).fetchone()


async def of_execution(
    connection: Connection, principal: Principal, execution_id: int, cursor: Cursor, *, limit: int
) -> list[Row]:
    """All approvals of an execution from a cursor on."""
    query = page_query("a.execution_id = %(of)s", cursor)
    return await _page(connection, query, principal, execution_id, cursor, limit)


async def open_of_account(
    connection: Connection, principal: Principal, account_id: int | None, cursor: Cursor, *, limit: int
) -> list[Row]:
    """Those of the account (None: of all) that wait to be decided."""
    whose = IS_OPEN if account_id is None else f"a.account_id = %(of)s AND {IS_OPEN}"
    return await _page(connection, page_query(whose, cursor), principal, account_id, cursor, limit)


async def lock_run(connection: Connection, execution_id: int) -> bool:
    """Hold the run as it is until the transaction ends. False: it has ended."""
    return await (await connection.execute(LOCK, {"execution_id": execution_id})).fetchone() is not None


async def decide(
    connection: Connection,
    principal: Principal,
    execution_id: int,
    approval_id: int,
    decision: Literal["approved", "declined"],
    reason: str | None,
) -> bool:
    """Decide, and tell it as an event. False: it is open no more. The run must be locked."""
    values = {
        "execution_id": execution_id,
        "id": approval_id,
        "account_id": principal.account_id,
        "decision": decision,
        "reason": reason,
    }
    row = await (await connection.execute(DECIDE, values)).fetchone()
    return row is not None and bool(row["decided"])


def page_query(whose: str, cursor: Cursor) -> str:
    """The statement of a page of approvals from a cursor on."""
    conditions = [whose]
    conditions += ["a.id < %(older_than)s"] if cursor.older_than is not None else []
    conditions += ["a.id > %(newer_than)s"] if cursor.newer_than is not None else []
    order = "DESC" if cursor.newer_than is None else "ASC"
    return f"{APPROVAL} AND {' AND '.join(conditions)} ORDER BY a.id {order} LIMIT %(limit)s"


async def _page(
    connection: Connection, query: str, principal: Principal, of: int | None, cursor: Cursor, limit: int
) -> list[Row]:
    bounds = {"of": of, "older_than": cursor.older_than, "newer_than": cursor.newer_than, "limit": limit}
    return await (await connection.execute(query, {**bounds, **_asking(principal)})).fetchall()


def _asking(principal: Principal) -> dict[str, object]:
    return {"account_id": principal.account_id, "is_admin": principal.is_admin}
