"""SQL of schedules. Nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from service.database import Connection, Row

COLUMNS = (
    "s.id, s.account_id, s.agent_id, s.execution_key, s.cron, s.time_zone, s.input::text, s.limits, s.metadata,"
    " s.priority, s.webhook_url, s.is_active, s.missed, s.overlap, s.revision, s.created_at,"
    " s.next_slot, s.last_slot, s.last_outcome, s.last_refusal, s.last_execution_id"
)
# A schedule is another account's as long as %(of)s names one; admins ask for null.
SCHEDULE = f"SELECT {COLUMNS} FROM schedules s WHERE (%(of)s::bigint IS NULL OR s.account_id = %(of)s)"  # noqa: S608
BY_ID = SCHEDULE + " AND s.id = %(id)s"
OF_AGENT = SCHEDULE + " AND s.agent_id = %(agent_id)s"
PAGE = OF_AGENT + " ORDER BY s.id DESC LIMIT %(limit)s OFFSET %(offset)s"
COUNT = f"SELECT count(*) AS count FROM ({OF_AGENT}) found"  # noqa: S608 - our own text

# Locked: of two that are made at once, the second counts the first.
LOCK_ACCOUNT = "SELECT FROM accounts WHERE id = %(account_id)s FOR NO KEY UPDATE"
COUNT_OF_ACCOUNT = "SELECT count(*) AS count FROM schedules WHERE account_id = %(account_id)s"
CHANGEABLE = (
    *("cron", "time_zone", "input", "limits", "metadata", "priority", "webhook_url"),
    *("is_active", "missed", "overlap", "next_slot"),
)
_NAMED = ("account_id", "agent_id", "execution_key", *CHANGEABLE)
INSERT = (
    f"INSERT INTO schedules ({', '.join(_NAMED)})"  # noqa: S608 - our own names
    f" VALUES ({', '.join(f'%({name})s' for name in _NAMED)}) RETURNING id"
)
UPDATE = (
    f"UPDATE schedules SET revision = revision + 1, {', '.join(f'{name} = %({name})s' for name in CHANGEABLE)}"  # noqa: S608
    " WHERE id = %(id)s"
)
LOCK = "SELECT FROM schedules WHERE id = %(id)s FOR UPDATE"
DELETE = "DELETE FROM schedules WHERE id = %(id)s"
CLOCK = "SELECT clock_timestamp() AS now"

RUNNING = "EXISTS (SELECT FROM executions e WHERE e.schedule_id = s.id AND e.finished_at IS NULL)"
"""Whether an execution of the schedule has not ended."""

# Left to others: what needs a definition that is not here, and that a live worker has.
DUE = f"""
SELECT {COLUMNS}, clock_timestamp() AS now, a.is_admin, a.is_active AND a.deleted_at IS NULL AS has_account
  FROM schedules s JOIN accounts a ON a.id = s.account_id
 WHERE s.next_slot <= now()
   AND NOT (s.overlap = 'queue' AND {RUNNING})
   AND (s.execution_key = ANY (%(keys)s::text[])
        OR NOT EXISTS (SELECT FROM workers w CROSS JOIN unnest(w.offers) AS offer
                        WHERE w.lease_until > now() AND split_part(offer, '@', 1) = s.execution_key))
 ORDER BY s.next_slot, s.id LIMIT %(limit)s
"""  # noqa: S608 - our own text
TAKE = f"""
SELECT {RUNNING} AS is_running FROM schedules s
 WHERE s.id = %(id)s AND s.next_slot = %(next_slot)s AND s.revision = %(revision)s FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - our own text
SETTLE = """
UPDATE schedules
   SET next_slot = %(next_slot)s, last_slot = %(slot)s, last_outcome = %(outcome)s, last_refusal = %(refusal)s,
       last_execution_id = coalesce(%(execution_id)s, last_execution_id)
 WHERE id = %(id)s
"""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What became of a slot: started with its execution, skipped, missed, or refused with the reason."""

    outcome: str
    execution_id: int | None = None
    refusal: Mapping[str, str] | None = None


async def get(connection: Connection, of: int | None, schedule_id: int) -> Row | None:
    """One schedule of the account; None: of any account."""
    return await _one(connection, BY_ID, of=of, id=schedule_id)


async def page(connection: Connection, of: int | None, agent_id: int, *, limit: int, offset: int) -> list[Row]:
    """The account's schedules on an agent, newest first."""
    arguments = {"of": of, "agent_id": agent_id, "limit": limit, "offset": offset}
    return await (await connection.execute(PAGE, arguments)).fetchall()


async def count(connection: Connection, of: int | None, agent_id: int) -> int:
    """How many there are."""
    return await _count(connection, COUNT, of=of, agent_id=agent_id)


async def count_of_account(connection: Connection, account_id: int) -> int:
    """How many schedules the account has. Until the transaction's end no other may make one."""
    await connection.execute(LOCK_ACCOUNT, {"account_id": account_id})
    return await _count(connection, COUNT_OF_ACCOUNT, account_id=account_id)


async def now(connection: Connection) -> datetime:
    """What time it is, by the clock that slots are compared with."""
    row = await _one(connection, CLOCK)
    assert row is not None
    moment: datetime = row["now"]
    return moment


async def insert(connection: Connection, **values: Any) -> int:
    """A new schedule, of the columns of INSERT; its id."""
    row = await _one(connection, INSERT, **_as_json(values))
    assert row is not None
    return int(row["id"])


async def lock(connection: Connection, schedule_id: int) -> None:
    """No slot of it is settled until the transaction's end."""
    await connection.execute(LOCK, {"id": schedule_id})


async def update(connection: Connection, schedule_id: int, values: Mapping[str, Any]) -> None:
    """Give a schedule these values, all of CHANGEABLE."""
    await connection.execute(UPDATE, {**_as_json(values), "id": schedule_id})


async def delete(connection: Connection, schedule_id: int) -> None:
    """What it started stays."""
    await connection.execute(DELETE, {"id": schedule_id})


async def due(connection: Connection, *, keys: Sequence[str], limit: int) -> list[Row]:
    """Schedules whose next slot has come, the longest overdue first, with the database's `now` and their account's
    rights: those for these definitions, and those that no live worker has the definition for."""
    return await (await connection.execute(DUE, {"keys": list(keys), "limit": limit})).fetchall()


async def take(connection: Connection, schedule: Row) -> Row | None:
    """Hold a schedule of `due`, and whether an execution of it has not ended (`is_running`).

    None if it was changed, its slot was settled, or another process is at it.
    """
    wanted = {name: schedule[name] for name in ("id", "next_slot", "revision")}
    return await _one(connection, TAKE, **wanted)


async def settle(
    connection: Connection, schedule_id: int, settled: Settled, *, slot: datetime, next_slot: datetime | None
) -> None:
    """Record what became of the slot of a schedule that is held, and which is next."""
    values = {"slot": slot, "next_slot": next_slot, "outcome": settled.outcome, "execution_id": settled.execution_id}
    refusal = None if settled.refusal is None else Jsonb(dict(settled.refusal))
    await connection.execute(SETTLE, {**values, "id": schedule_id, "refusal": refusal})


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Jsonb(value) if isinstance(value, dict) else value for name, value in values.items()}


async def _count(connection: Connection, statement: str, **arguments: object) -> int:
    row = await _one(connection, statement, **arguments)
    return int(row["count"]) if row else 0


async def _one(connection: Connection, statement: str, **arguments: object) -> Row | None:
    return await (await connection.execute(statement, arguments)).fetchone()
