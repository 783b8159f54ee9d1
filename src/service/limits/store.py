"""The SQL of limits. Nothing here commits."""

from __future__ import annotations

from collections.abc import Mapping

from service.database import Connection, Row
from service.limits.admission import Standing, standing_of

ADMIT = "SELECT admitted, standing FROM admit_starts(%(account_id)s, %(starts)s, %(is_atomic)s)"
STANDING = "SELECT standing_of(%(account_id)s) AS standing"

# What is held is counted live. The view of analysts says the same.
SHOWN = """
SELECT l.scope, CASE l.scope WHEN 'provider' THEN l.name ELSE l.scope_id::text END AS name,
       l.max_running, l.share, l.max_queued, l.starts_per_minute, l.tokens_per_day, l.cost_per_day,
       (SELECT count(*) FROM execution_runtime r
         WHERE r.phase = 'running'
           AND CASE l.scope WHEN 'account' THEN r.account_id = l.scope_id
                            WHEN 'agent' THEN r.agent_id = l.scope_id
                            ELSE r.provider = l.name END) AS running,
       (SELECT count(*) FROM execution_runtime r
         WHERE l.scope = 'account' AND r.phase IN ('ready', 'waiting') AND r.account_id = l.scope_id) AS queued,
       coalesce(m.starts, 0) AS starts, coalesce(d.tokens, 0) AS tokens, coalesce(d.cost, 0) AS cost
  FROM limits l
  LEFT JOIN account_usage m
    ON l.scope = 'account' AND m.account_id = l.scope_id AND m.period = 'minute'
   AND m.begins_at = date_trunc('minute', now())
  LEFT JOIN account_usage d
    ON l.scope = 'account' AND d.account_id = l.scope_id AND d.period = 'day'
   AND d.begins_at = date_trunc('day', now(), 'UTC')
"""
PAGE = f"{SHOWN} ORDER BY l.scope, l.scope_id, l.name LIMIT %(limit)s OFFSET %(offset)s"
COUNT = "SELECT count(*) AS count FROM limits"
ONE = "scope = %(scope)s AND scope_id = %(scope_id)s AND name = %(name)s"
GET = f"{SHOWN} WHERE l.scope = %(scope)s AND l.scope_id = %(scope_id)s AND l.name = %(name)s"
PUT = """
INSERT INTO limits (scope, scope_id, name, max_running, share, max_queued, starts_per_minute, tokens_per_day,
                    cost_per_day)
VALUES (%(scope)s, %(scope_id)s, %(name)s, %(max_running)s, %(share)s, %(max_queued)s, %(starts_per_minute)s,
        %(tokens_per_day)s, %(cost_per_day)s)
ON CONFLICT (scope, scope_id, name) DO UPDATE
   SET max_running = EXCLUDED.max_running, share = EXCLUDED.share, max_queued = EXCLUDED.max_queued,
       starts_per_minute = EXCLUDED.starts_per_minute, tokens_per_day = EXCLUDED.tokens_per_day,
       cost_per_day = EXCLUDED.cost_per_day
"""
DELETE = f"DELETE FROM limits WHERE {ONE}"  # noqa: S608 - a constant
IS_THERE = {
    "account": "SELECT FROM accounts WHERE id = %(scope_id)s AND deleted_at IS NULL",
    "agent": "SELECT FROM agents WHERE id = %(scope_id)s AND deleted_at IS NULL",
}

FORGET = """
DELETE FROM account_usage WHERE (account_id, period, begins_at) IN (
  SELECT account_id, period, begins_at FROM account_usage
   WHERE period = %(period)s AND begins_at < now() - make_interval(secs => %(age_seconds)s)
   ORDER BY begins_at LIMIT %(limit)s)
"""
KEPT_SECONDS: Mapping[str, float] = {"minute": 3600.0, "day": 35 * 86400.0}
"""For how long what was spent in a period stays."""


async def admit(
    connection: Connection, account_id: int, starts: int, *, is_atomic: bool
) -> tuple[int, Standing | None]:
    """How many of so many starts the account may have now, counted against its limits when the transaction commits;
    and how it stood before, None without limits. No other start of an account with limits comes in between."""
    values = {"account_id": account_id, "starts": starts, "is_atomic": is_atomic}
    row = await (await connection.execute(ADMIT, values)).fetchone()
    assert row is not None
    return row["admitted"], standing_of(row["standing"])


async def standing(connection: Connection, account_id: int) -> Standing | None:
    """How the account stands now; None without limits on starts."""
    row = await (await connection.execute(STANDING, {"account_id": account_id})).fetchone()
    assert row is not None
    return standing_of(row["standing"])


async def page(connection: Connection, *, limit: int, offset: int) -> list[Row]:
    """Every scope that is limited, with what it has now; by scope and id."""
    return await (await connection.execute(PAGE, {"limit": limit, "offset": offset})).fetchall()


async def count(connection: Connection) -> int:
    """How many scopes are limited."""
    row = await (await connection.execute(COUNT)).fetchone()
    return int(row["count"]) if row else 0


async def get(connection: Connection, key: Mapping[str, object]) -> Row | None:
    """One of them."""
    return await (await connection.execute(GET, key)).fetchone()


async def put(connection: Connection, key: Mapping[str, object], values: Mapping[str, object]) -> None:
    """Hold a scope to these limits, whatever it was held to before."""
    await connection.execute(PUT, {**key, **values})


async def delete(connection: Connection, key: Mapping[str, object]) -> bool:
    """Hold a scope to nothing. False: it was not held to anything."""
    return (await connection.execute(DELETE, key)).rowcount == 1


async def is_there(connection: Connection, scope: str, scope_id: int) -> bool:
    """Whether there is such an account or agent."""
    return await (await connection.execute(IS_THERE[scope], {"scope_id": scope_id})).fetchone() is not None


async def forget(connection: Connection, period: str, *, limit: int) -> int:
    """Delete some of the periods whose time is over, the oldest first. Returns how many."""
    values = {"period": period, "age_seconds": KEPT_SECONDS[period], "limit": limit}
    return (await connection.execute(FORGET, values)).rowcount
