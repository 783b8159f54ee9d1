"""SQL that reads, numbers and tells events. Written they are by the statements of the facts that they tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.database import Connection, Row

CHANNEL = "agentic_events"
EVERYTHING = "*"
"""A notification that names nothing in particular: look at all that you watch."""
MAX_PAYLOAD = 7900
"""Bytes; PostgreSQL takes less than 8,000."""

NUMBER = "SELECT is_ours, numbered, executions, accounts FROM number_new_events(%(limit)s)"
NOTIFY = "SELECT set_config('synchronous_commit', 'off', true), pg_notify(%(channel)s, %(payload)s)"

# Who ran it is nobody's business outside.
COLUMNS = "execution_id, seq, account_id, position, kind, created_at, (data - '{worker,epoch}'::text[])::text AS data"

EXECUTION = """
SELECT e.status IN ('finished', 'failed') AS is_final,
       coalesce((SELECT max(seq) FROM events v WHERE v.execution_id = e.id), 0) AS last
  FROM executions e WHERE e.id = %(id)s AND (%(account_id)s::bigint IS NULL OR e.account_id = %(account_id)s)
"""
LAST_POSITION = "SELECT last_position AS last FROM event_counter"

OF_EXECUTION = f"""
SELECT {COLUMNS} FROM events WHERE execution_id = %(of)s AND seq > %(after)s ORDER BY seq LIMIT %(limit)s
"""  # noqa: S608 - constants
OF_ACCOUNT = f"""
SELECT {COLUMNS} FROM events WHERE account_id = %(of)s AND position > %(after)s ORDER BY position LIMIT %(limit)s
"""  # noqa: S608 - constants

OF_EXECUTIONS = f"""
SELECT e.* FROM unnest(%(of)s::bigint[], %(after)s::bigint[]) AS w(id, after), LATERAL (
  SELECT {COLUMNS} FROM events WHERE execution_id = w.id AND seq > w.after ORDER BY seq LIMIT %(limit)s) e
 ORDER BY e.execution_id, e.seq
"""  # noqa: S608 - constants
OF_ACCOUNTS = f"""
SELECT e.* FROM unnest(%(of)s::bigint[], %(after)s::bigint[]) AS w(id, after), LATERAL (
  SELECT {COLUMNS} FROM events WHERE account_id = w.id AND position > w.after ORDER BY position LIMIT %(limit)s) e
 ORDER BY e.account_id, e.position
"""  # noqa: S608 - constants

ERASED = """
SELECT w.id FROM unnest(%(of)s::bigint[]) AS w(id) WHERE NOT EXISTS (SELECT FROM executions e WHERE e.id = w.id)
"""


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """Whose events got positions. Not `is_ours`: another process was at it, and nothing was done."""

    is_ours: bool
    numbered: int
    executions: Sequence[int]
    accounts: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far events go: the last sequence or position; of an execution, whether that is the end."""

    last: int
    is_final: bool = False


async def number_events(connection: Connection, *, limit: int = 500) -> Numbered:
    """Give committed events their positions, in one transaction."""
    row = await (await connection.execute(NUMBER, {"limit": limit})).fetchone()
    assert row is not None
    return Numbered(**row)


async def tell(connection: Connection, numbered: Numbered) -> None:
    """Notify every process that listens; never in the transaction of a fact."""
    await connection.execute(NOTIFY, {"channel": CHANNEL, "payload": payload(numbered)})


def payload(numbered: Numbered) -> str:
    """e and the id of each execution, a and the id of each account; EVERYTHING if there are too many."""
    words = [f"e{each}" for each in numbered.executions] + [f"a{each}" for each in numbered.accounts]
    text = " ".join(words)
    return text if len(text) <= MAX_PAYLOAD else EVERYTHING


async def standing_of_execution(connection: Connection, account_id: int | None, execution_id: int) -> Standing | None:
    """Of an execution of the account (None: of any); None if there is no such execution."""
    values = {"id": execution_id, "account_id": account_id}
    row = await (await connection.execute(EXECUTION, values)).fetchone()
    return None if row is None else Standing(**row)


async def standing_of_all(connection: Connection) -> Standing:
    """The last position that was given."""
    row = await (await connection.execute(LAST_POSITION)).fetchone()
    return Standing(last=0 if row is None else row["last"])


async def of_execution(connection: Connection, execution_id: int, *, after: int, limit: int) -> list[Row]:
    """Events of an execution in order, from the one after a sequence."""
    values = {"of": execution_id, "after": after, "limit": limit}
    return await (await connection.execute(OF_EXECUTION, values)).fetchall()


async def of_account(connection: Connection, account_id: int, *, after: int, limit: int) -> list[Row]:
    """Numbered events of an account in order, from the one after a position. A later look never finds one before."""
    values = {"of": account_id, "after": after, "limit": limit}
    return await (await connection.execute(OF_ACCOUNT, values)).fetchall()


async def of_executions(connection: Connection, after: Mapping[int, int], *, limit: int) -> list[Row]:
    """The same of many executions, each from its own sequence and up to `limit`, in one statement."""
    values = {"of": list(after), "after": list(after.values()), "limit": limit}
    return await (await connection.execute(OF_EXECUTIONS, values)).fetchall()


async def erased(connection: Connection, among: Sequence[int]) -> list[int]:
    """The executions among these that are not there any more, and their events with them."""
    return [row["id"] for row in await (await connection.execute(ERASED, {"of": list(among)})).fetchall()]


async def of_accounts(connection: Connection, after: Mapping[int, int], *, limit: int) -> list[Row]:
    """The same of many accounts, each from its own position."""
    values = {"of": list(after), "after": list(after.values()), "limit": limit}
    return await (await connection.execute(OF_ACCOUNTS, values)).fetchall()
