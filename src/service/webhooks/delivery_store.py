"""SQL of deliveries as workers make them: events become deliveries, which are claimed, attempted and recorded.

Nothing is open while a receiver is asked. A claim moves a delivery's `due_at` to when it will be taken for lost, so
what a killed worker had in hand is due again by itself; `claims` is the fence of whatever records an attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.database import Connection

LOOK = """
SELECT (c.position < n.last_position AND EXISTS (SELECT FROM webhooks WHERE is_active AND deleted_at IS NULL))
    OR EXISTS (SELECT FROM webhook_arrears) AS is_behind
  FROM webhook_cursor c, event_counter n
"""

# One worker at a time, to its commit: then deliveries of an endpoint have ids in the order of positions.
LOCK = "SELECT pg_try_advisory_xact_lock(7010) AS is_locked"

# Webhooks are locked so that one that is switched off meanwhile is off when its pending deliveries are dropped. One
# that somebody has locked, or that is to be told of an execution that somebody has locked, stays behind alone: its
# arrears say where it stands, and it is told from there, in order, once the row is free.
FAN_OUT = """
WITH standing AS MATERIALIZED (
  SELECT c.position AS after, n.last_position AS last FROM webhook_cursor c, event_counter n),
wanted AS MATERIALIZED (
  SELECT w.id, coalesce(r.position, s.after) AS after
    FROM standing s, webhooks w
    JOIN accounts a ON a.id = w.account_id
    LEFT JOIN webhook_arrears r ON r.webhook_id = w.id
   WHERE w.is_active AND w.deleted_at IS NULL AND a.is_active AND a.deleted_at IS NULL),
live AS MATERIALIZED (
  SELECT w.id, w.account_id, w.url, w.event_types, greatest(f.after, w.after_position) AS after
    FROM webhooks w JOIN wanted f ON f.id = w.id
   WHERE w.is_active AND w.deleted_at IS NULL FOR SHARE OF w SKIP LOCKED),
fresh AS MATERIALIZED (
  SELECT e.* FROM (SELECT account_id, min(after) AS after FROM live GROUP BY account_id) a, LATERAL (
    SELECT execution_id, seq, account_id, position, kind, created_at FROM events
     WHERE account_id = a.account_id AND position > a.after ORDER BY position LIMIT %(limit)s) e
   ORDER BY e.position LIMIT %(limit)s),
page AS MATERIALIZED (
  SELECT CASE WHEN (SELECT count(*) FROM fresh) = %(limit)s THEN (SELECT max(position) FROM fresh)
              ELSE s.last END AS reached FROM standing s),
told AS MATERIALIZED (
  SELECT w.id AS webhook_id, f.*, concat_ws(' ', w.id, lower(substring(x.webhook_url FROM '^[^:]+://[^/?#]+'))) AS lane
    FROM fresh f
    JOIN live w ON w.account_id = f.account_id AND f.position > w.after AND 'execution.' || f.kind = ANY (w.event_types)
    LEFT JOIN executions x ON w.url IS NULL AND x.id = f.execution_id
   WHERE w.url IS NOT NULL OR x.webhook_url IS NOT NULL),
free AS MATERIALIZED (
  SELECT id FROM executions WHERE id IN (SELECT execution_id FROM told) FOR KEY SHARE SKIP LOCKED),
stopped AS MATERIALIZED (
  SELECT webhook_id, min(position) - 1 AS position FROM told
   WHERE execution_id NOT IN (SELECT id FROM free) GROUP BY webhook_id),
moved AS (
  UPDATE webhook_cursor c SET position = greatest(c.position, p.reached) FROM page p RETURNING c.position),
added AS (
  INSERT INTO webhook_deliveries (account_id, webhook_id, execution_id, seq, type, occurred_at, lane)
  SELECT t.account_id, t.webhook_id, t.execution_id, t.seq, 'execution.' || t.kind, t.created_at, t.lane
    FROM told t LEFT JOIN stopped s USING (webhook_id)
   WHERE s.position IS NULL OR t.position <= s.position
   ORDER BY t.position, t.webhook_id
  ON CONFLICT DO NOTHING RETURNING id),
behind AS MATERIALIZED (
  SELECT f.id AS webhook_id, l.id IS NOT NULL AND s.position IS NULL AS has_more,
         CASE WHEN l.id IS NULL THEN f.after ELSE greatest(l.after, coalesce(s.position, p.reached)) END AS position
    FROM page p, wanted f LEFT JOIN live l USING (id) LEFT JOIN stopped s ON s.webhook_id = f.id),
kept AS (
  INSERT INTO webhook_arrears AS r (webhook_id, position)
  SELECT b.webhook_id, b.position FROM behind b, moved m WHERE b.position < m.position
  ON CONFLICT (webhook_id) DO UPDATE SET position = excluded.position WHERE r.position <> excluded.position),
caught_up AS (
  DELETE FROM webhook_arrears r USING moved m
   WHERE NOT EXISTS (SELECT FROM behind b WHERE b.webhook_id = r.webhook_id AND b.position < m.position))
SELECT (SELECT count(*) FROM added) AS added,
       m.position < s.last OR EXISTS (SELECT FROM behind b WHERE b.has_more AND b.position < m.position) AS has_more
  FROM moved m, standing s
"""

# Of each lane the first attempt whose turn it is, and the retry that has been due longest; accounts take turns. Lanes
# are found by skipping through the indexes, so an endpoint with a long backlog costs what one with a short has.
CLAIM = """
WITH RECURSIVE first_lanes AS (
  (SELECT lane FROM webhook_deliveries WHERE status = 'pending' AND attempts = 0 ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT n.lane FROM first_lanes l CROSS JOIN LATERAL (
    SELECT lane FROM webhook_deliveries
     WHERE status = 'pending' AND attempts = 0 AND lane > l.lane ORDER BY lane LIMIT 1) n),
retry_lanes AS (
  (SELECT lane FROM webhook_deliveries WHERE status = 'pending' AND attempts > 0 ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT n.lane FROM retry_lanes l CROSS JOIN LATERAL (
    SELECT lane FROM webhook_deliveries
     WHERE status = 'pending' AND attempts > 0 AND lane > l.lane ORDER BY lane LIMIT 1) n),
heads AS (
  SELECT f.* FROM first_lanes l CROSS JOIN LATERAL (
    SELECT id, account_id, due_at FROM webhook_deliveries
     WHERE lane = l.lane AND status = 'pending' AND attempts = 0 ORDER BY id LIMIT 1) f
   WHERE f.due_at <= now()
  UNION ALL
  SELECT r.* FROM retry_lanes l CROSS JOIN LATERAL (
    SELECT id, account_id, due_at FROM webhook_deliveries
     WHERE lane = l.lane AND status = 'pending' AND attempts > 0 AND due_at <= now() ORDER BY due_at LIMIT 1) r
   WHERE l.lane <> ALL (%(busy_lanes)s::text[])),
ranked AS (
  SELECT id, due_at, row_number() OVER (PARTITION BY account_id ORDER BY due_at, id) AS turn
    FROM heads WHERE account_id <> ALL (%(busy_accounts)s::bigint[])),
picked AS (
  SELECT d.id FROM ranked r JOIN webhook_deliveries d ON d.id = r.id
   WHERE d.status = 'pending' AND d.due_at <= now() AND r.turn <= %(share)s
   ORDER BY r.turn, r.due_at, d.id LIMIT %(limit)s FOR UPDATE OF d SKIP LOCKED),
claimed AS (
  UPDATE webhook_deliveries d
     SET claims = d.claims + 1, due_at = now() + make_interval(secs => %(lease_seconds)s)
    FROM picked WHERE d.id = picked.id
  RETURNING d.id, d.account_id, d.webhook_id, d.execution_id, d.seq, d.message, d.type, d.occurred_at, d.lane,
            d.claims, d.attempts, d.failures),
begun AS (
  INSERT INTO webhook_attempts (delivery_id, number) SELECT id, claims FROM claimed)
SELECT c.*, coalesce(w.url, e.webhook_url) AS url, w.body, e.status, e.external_id, e.failure_code,
       ARRAY(SELECT sealed FROM webhook_secrets s
              WHERE s.webhook_id = w.id AND (s.expires_at IS NULL OR s.expires_at > now()) ORDER BY s.id DESC) AS sealed
  FROM claimed c
  JOIN webhooks w ON w.id = c.webhook_id
  LEFT JOIN executions e ON e.id = c.execution_id
 ORDER BY c.id
"""

RECORD_ATTEMPT = """
UPDATE webhook_attempts SET status_code = %(status_code)s, milliseconds = %(milliseconds)s, error = %(error)s
 WHERE delivery_id = %(id)s AND number = %(claims)s
"""
RECORD = """
UPDATE webhook_deliveries
   SET attempts = claims, status = %(status)s, failures = failures + %(failed)s::integer,
       due_at = now() + make_interval(secs => %(retry_in)s),
       finished_at = CASE WHEN %(status)s <> 'pending' THEN now() END
 WHERE id = %(id)s AND claims = %(claims)s AND status = 'pending'
"""

# Before any of its deliveries, as whoever switches it off does: the other way round the two would wait for each other.
LOCK_WEBHOOK = "SELECT FROM webhooks WHERE id = %(webhook_id)s FOR NO KEY UPDATE"
# Only the webhook that was asked: its URL may have been changed since.
DISABLE = """
UPDATE webhooks SET is_active = false, disabled_reason = 'gone'
 WHERE id = %(webhook_id)s AND url = %(url)s AND is_active
"""
DROP_OF_WEBHOOK = """
UPDATE webhook_deliveries SET status = 'dropped', finished_at = now()
 WHERE webhook_id = %(webhook_id)s AND status = 'pending'
"""
DROP_OF_EXECUTION = """
UPDATE webhook_deliveries d SET status = 'dropped', finished_at = now() FROM webhooks w
 WHERE d.execution_id = %(execution_id)s AND d.webhook_id = %(webhook_id)s AND d.status = 'pending'
   AND w.id = d.webhook_id AND w.url IS NULL
"""

FORGET = """
DELETE FROM webhook_deliveries WHERE id IN (
  SELECT id FROM webhook_deliveries
   WHERE finished_at < now() - make_interval(secs => %(age_seconds)s) ORDER BY finished_at LIMIT %(limit)s)
"""


@dataclass(frozen=True, kw_only=True)
class FannedOut:
    """What one look added. `has_more`: look again at once."""

    added: int = 0
    has_more: bool = False


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """One attempt to make. `claims` is its number and its fence; `attempts` are those that ended before it, `failures`
    those of them that failed since the delivery was last asked for. A ping is of no execution."""

    id: int
    account_id: int
    webhook_id: int
    execution_id: int | None
    seq: int | None
    message: UUID
    type: str
    occurred_at: datetime
    lane: str
    claims: int
    attempts: int
    failures: int
    url: str
    body: str
    status: str | None
    external_id: str | None
    failure_code: str | None
    sealed: Sequence[bytes]

    @property
    def is_retry(self) -> bool:
        """Whether it has had its turn in its lane."""
        return self.attempts > 0


@dataclass(frozen=True, kw_only=True)
class Attempted:
    """How an attempt ended. `status` is what the delivery is now: pending, with seconds to the next attempt, delivered,
    failed or dropped. `is_gone`: the receiver wants nothing more, ever."""

    status: str
    status_code: int | None = None
    milliseconds: int = 0
    error: str | None = None
    retry_in: float = 0.0
    is_gone: bool = False


async def is_behind(connection: Connection) -> bool:
    """Whether there are numbered events that have not become deliveries, and somebody to tell. Locks nothing."""
    row = await (await connection.execute(LOOK)).fetchone()
    return row is not None and bool(row["is_behind"])


async def fan_out(connection: Connection, *, limit: int = 500) -> FannedOut:
    """Make deliveries of the events after the cursor, and move it. Call it in a transaction; another worker may be at
    it, and then nothing is done. It waits for nobody's locks."""
    row = await (await connection.execute(LOCK)).fetchone()
    if row is None or not row["is_locked"]:
        return FannedOut()
    row = await (await connection.execute(FAN_OUT, {"limit": limit})).fetchone()
    assert row is not None
    return FannedOut(added=row["added"], has_more=row["has_more"])


async def claim(
    connection: Connection,
    *,
    limit: int,
    share: int,
    lease_seconds: float,
    busy_lanes: Sequence[str] = (),
    busy_accounts: Sequence[int] = (),
) -> list[Claimed]:
    """Up to `limit` attempts that are due, at most `share` of one account. No retry of `busy_lanes`, nothing of
    `busy_accounts`. Whoever does not record one within its lease has lost it."""
    values = {
        "limit": limit,
        "share": share,
        "lease_seconds": lease_seconds,
        "busy_lanes": list(busy_lanes),
        "busy_accounts": list(busy_accounts),
    }
    rows = await (await connection.execute(CLAIM, values)).fetchall()
    return [Claimed(**row) for row in rows]


async def record(connection: Connection, claimed: Claimed, attempted: Attempted) -> bool:
    """Record how an attempt ended. Call it in a transaction. False: it was taken for lost, or dropped meanwhile.

    A receiver that is gone has its webhook switched off, and what waits for it dropped; a URL of one execution takes
    only that execution's deliveries with it.
    """
    values = {
        "id": claimed.id,
        "claims": claimed.claims,
        "status": attempted.status,
        "status_code": attempted.status_code,
        "milliseconds": attempted.milliseconds,
        "error": attempted.error,
        "failed": attempted.error is not None,
        "retry_in": attempted.retry_in,
    }
    if attempted.is_gone:
        await connection.execute(LOCK_WEBHOOK, {"webhook_id": claimed.webhook_id})
    await connection.execute(RECORD_ATTEMPT, values)
    is_recorded = (await connection.execute(RECORD, values)).rowcount == 1
    if attempted.is_gone:
        await _disable(connection, claimed)
    return is_recorded


async def _disable(connection: Connection, claimed: Claimed) -> None:
    values = {"webhook_id": claimed.webhook_id, "url": claimed.url, "execution_id": claimed.execution_id}
    if (await connection.execute(DISABLE, values)).rowcount:
        await connection.execute(DROP_OF_WEBHOOK, values)
    await connection.execute(DROP_OF_EXECUTION, values)


async def forget(connection: Connection, *, age_seconds: float, limit: int) -> int:
    """Delete some of the deliveries that ended longer ago, the oldest first, with their attempts. Returns how many."""
    return (await connection.execute(FORGET, {"age_seconds": age_seconds, "limit": limit})).rowcount
