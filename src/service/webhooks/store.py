"""SQL of webhooks, their secrets, and the lists of what was delivered. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from service.database import Connection, Row

if TYPE_CHECKING:  # the worker loads no web framework
    from service.cursors import Cursor

# A webhook is another account's as long as %(of)s names one; admins ask for null.
WEBHOOK = """
SELECT w.id, w.account_id, w.url, w.event_types, w.body, w.is_active, w.disabled_reason, w.created_at,
       (SELECT min(s.expires_at) FROM webhook_secrets s WHERE s.webhook_id = w.id AND s.expires_at > now())
         AS old_secret_until
  FROM webhooks w
 WHERE w.deleted_at IS NULL AND (%(of)s::bigint IS NULL OR w.account_id = %(of)s)
"""
BY_ID = WEBHOOK + "AND w.id = %(id)s"
PAGE = WEBHOOK + "ORDER BY w.id DESC LIMIT %(limit)s OFFSET %(offset)s"
COUNT = f"SELECT count(*) AS count FROM ({WEBHOOK}) found"  # noqa: S608 - our own text
WITHOUT_URL = """
SELECT is_active FROM webhooks WHERE account_id = %(account_id)s AND url IS NULL AND deleted_at IS NULL
"""

# Locked: of two that are made at once, the second counts the first.
LOCK_ACCOUNT = "SELECT FROM accounts WHERE id = %(account_id)s FOR NO KEY UPDATE"
INSERT = """
INSERT INTO webhooks (account_id, url, event_types, body, after_position)
SELECT %(account_id)s, %(url)s, %(event_types)s, %(body)s, last_position FROM event_counter RETURNING id
"""
# One that is switched on again is not told what happened while it was off.
UPDATE = """
UPDATE webhooks w
   SET url = %(url)s, event_types = %(event_types)s, body = %(body)s, is_active = %(is_active)s,
       disabled_reason = CASE WHEN NOT %(is_active)s THEN disabled_reason END,
       after_position = CASE WHEN %(is_active)s AND NOT w.is_active
                             THEN (SELECT last_position FROM event_counter) ELSE after_position END
 WHERE id = %(id)s AND deleted_at IS NULL
"""
DELETE = "UPDATE webhooks SET deleted_at = now(), is_active = false WHERE id = %(id)s AND deleted_at IS NULL"
DELETE_SECRETS = "DELETE FROM webhook_secrets WHERE webhook_id = %(id)s"
DROP_PENDING = """
UPDATE webhook_deliveries SET status = 'dropped', finished_at = now()
 WHERE webhook_id = %(id)s AND status = 'pending'
"""

ADD_SEALED = "INSERT INTO webhook_secrets (webhook_id, sealed) VALUES (%(id)s, %(sealed)s)"
EXPIRE_SECRETS = """
UPDATE webhook_secrets SET expires_at = least(expires_at, now() + make_interval(secs => %(seconds)s))
 WHERE webhook_id = %(id)s
"""
DELETE_EXPIRED_SECRETS = "DELETE FROM webhook_secrets WHERE webhook_id = %(id)s AND expires_at <= now()"
COUNT_SECRETS = "SELECT count(*) AS count FROM webhook_secrets WHERE webhook_id = %(id)s"

# Of a webhook that fails for days a ping must not wait its turn; so it has a lane of its own.
PING = """
INSERT INTO webhook_deliveries (account_id, webhook_id, type, occurred_at, lane)
SELECT account_id, id, 'webhook.ping', now(), id || ' ping' FROM webhooks WHERE id = %(id)s RETURNING id
"""
# What is under way, or waits for its first turn, is left to it.
REDELIVER = """
UPDATE webhook_deliveries SET status = 'pending', due_at = now(), failures = 0, finished_at = NULL
 WHERE id = %(id)s AND webhook_id = %(webhook_id)s AND (status <> 'pending' OR (claims = attempts AND attempts > 0))
"""

DELIVERY = """
SELECT d.id, d.webhook_id, d.execution_id, d.seq, d.message, d.type, d.status, d.created_at, d.finished_at,
       CASE WHEN d.status = 'pending' AND d.claims = d.attempts THEN d.due_at END AS next_attempt_at,
       (SELECT coalesce(json_agg(json_build_object('number', a.number, 'started_at', a.started_at,
                                  'status_code', a.status_code, 'milliseconds', a.milliseconds,
                                  'error', coalesce(a.error, CASE WHEN a.milliseconds IS NULL
                                    AND (a.number < d.claims OR d.status <> 'pending') THEN 'interrupted' END))
                                  ORDER BY a.number), '[]')
          FROM webhook_attempts a WHERE a.delivery_id = d.id) AS attempts
  FROM webhook_deliveries d
"""
DELIVERY_BY_ID = DELIVERY + " WHERE d.id = %(id)s AND d.webhook_id = %(webhook_id)s"
EXECUTION = """
SELECT FROM executions WHERE id = %(id)s AND (%(of)s::bigint IS NULL OR account_id = %(of)s)
"""


async def get(connection: Connection, account_id: int | None, webhook_id: int) -> Row | None:
    """A webhook of the account (None: of any), without its secrets."""
    return await _one(connection, BY_ID, of=account_id, id=webhook_id)


async def page(connection: Connection, account_id: int | None, *, limit: int, offset: int) -> list[Row]:
    """Webhooks of the account (None: of all), newest first."""
    values = {"of": account_id, "limit": limit, "offset": offset}
    return await (await connection.execute(PAGE, values)).fetchall()


async def count(connection: Connection, account_id: int | None) -> int:
    """How many webhooks there are."""
    row = await _one(connection, COUNT, of=account_id)
    return int(row["count"]) if row else 0


async def signs_for_executions(connection: Connection, account_id: int) -> bool:
    """Whether the account has a webhook without a URL, which signs for those that executions name, and it is on."""
    row = await _one(connection, WITHOUT_URL, account_id=account_id)
    return row is not None and bool(row["is_active"])


async def lock_account(connection: Connection, account_id: int) -> None:
    """Until the transaction's end nobody else makes webhooks of the account."""
    await connection.execute(LOCK_ACCOUNT, {"account_id": account_id})


async def insert(
    connection: Connection, account_id: int, *, url: str | None, event_types: Sequence[str], body: str
) -> int:
    """Raises psycopg.errors.UniqueViolation for a second one without a URL."""
    row = await _one(connection, INSERT, account_id=account_id, url=url, event_types=list(event_types), body=body)
    assert row is not None
    return int(row["id"])


async def update(
    connection: Connection, webhook_id: int, *, url: str | None, event_types: Sequence[str], body: str, is_active: bool
) -> None:
    """Set all that may change. What waits for a webhook that is off is dropped."""
    values = {"id": webhook_id, "url": url, "event_types": list(event_types), "body": body, "is_active": is_active}
    await connection.execute(UPDATE, values)
    if not is_active:
        await connection.execute(DROP_PENDING, {"id": webhook_id})


async def delete(connection: Connection, webhook_id: int) -> None:
    """Soft: what was delivered can still be listed by execution. Its secrets are gone."""
    for statement in (DELETE, DROP_PENDING, DELETE_SECRETS):
        await connection.execute(statement, {"id": webhook_id})


async def insert_secret(connection: Connection, webhook_id: int, sealed: bytes) -> None:
    """A further secret, which does not expire."""
    await connection.execute(ADD_SEALED, {"id": webhook_id, "sealed": sealed})


async def expire_secrets(connection: Connection, webhook_id: int, *, seconds: float) -> int:
    """Let the secrets that there are end in so many seconds, or when they would anyway. Returns how many stay."""
    await connection.execute(EXPIRE_SECRETS, {"id": webhook_id, "seconds": seconds})
    await connection.execute(DELETE_EXPIRED_SECRETS, {"id": webhook_id})
    row = await _one(connection, COUNT_SECRETS, id=webhook_id)
    return int(row["count"]) if row else 0


async def ping(connection: Connection, webhook_id: int) -> int:
    """The id of a new delivery that only says that the webhook is there."""
    row = await _one(connection, PING, id=webhook_id)
    assert row is not None
    return int(row["id"])


async def redeliver(connection: Connection, webhook_id: int, delivery_id: int) -> bool:
    """Make it due again, under the same webhook-id. False: it is under way, or not attempted yet."""
    values = {"id": delivery_id, "webhook_id": webhook_id}
    return (await connection.execute(REDELIVER, values)).rowcount == 1


async def delivery(connection: Connection, webhook_id: int, delivery_id: int) -> Row | None:
    """A delivery of the webhook with its attempts."""
    return await _one(connection, DELIVERY_BY_ID, id=delivery_id, webhook_id=webhook_id)


async def deliveries(connection: Connection, webhook_id: int, cursor: Cursor, *, limit: int) -> list[Row]:
    """Deliveries of a webhook from a cursor on, each with its attempts."""
    return await _deliveries(connection, "d.webhook_id = %(id)s", webhook_id, cursor, limit)


async def deliveries_of_execution(
    connection: Connection, execution_id: int, cursor: Cursor, *, limit: int
) -> list[Row]:
    """Deliveries of an execution's events to any webhook."""
    return await _deliveries(connection, "d.execution_id = %(id)s", execution_id, cursor, limit)


async def execution_is_visible(connection: Connection, account_id: int | None, execution_id: int) -> bool:
    """Whether the account (None: any) has this execution."""
    return await _one(connection, EXECUTION, of=account_id, id=execution_id) is not None


async def _deliveries(connection: Connection, whose: str, of: int, cursor: Cursor, limit: int) -> list[Row]:
    bounds = {"id": of, "older_than": cursor.older_than, "newer_than": cursor.newer_than, "limit": limit}
    return await (await connection.execute(deliveries_query(whose, cursor), bounds)).fetchall()


def deliveries_query(whose: str, cursor: Cursor) -> str:
    """The statement of a page of deliveries from a cursor on."""
    conditions = [whose]
    conditions += ["d.id < %(older_than)s"] if cursor.older_than is not None else []
    conditions += ["d.id > %(newer_than)s"] if cursor.newer_than is not None else []
    order = "DESC" if cursor.newer_than is None else "ASC"
    return f"{DELIVERY} WHERE {' AND '.join(conditions)} ORDER BY d.id {order} LIMIT %(limit)s"


async def _one(connection: Connection, statement: str, **values: object) -> Row | None:
    return await (await connection.execute(statement, values)).fetchone()
