"""The SQL of idempotency keys. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence

from service.database import Connection, Row

WAIT_MILLISECONDS = 5000
"""How long a repeat waits for the first request's commit."""
IDLE_MILLISECONDS = 3000
"""How long the server keeps a transaction whose process it no longer hears: less than a repeat waits."""

# An insertion waits for another transaction that has inserted the same key. Both bounds end with the transaction.
PATIENCE = """
SELECT set_config('lock_timeout', %(wait)s || 'ms', true),
       set_config('idle_in_transaction_session_timeout', %(idle)s || 'ms', true)
"""
TAKE = """
INSERT INTO idempotency_keys (account_id, key, digest) VALUES (%(account_id)s, %(key)s, %(digest)s)
ON CONFLICT DO NOTHING
"""
ANSWER = """
UPDATE idempotency_keys
   SET status = %(status)s, location = %(location)s, body = %(body)s, execution_ids = %(execution_ids)s,
       settled = %(settled)s
 WHERE account_id = %(account_id)s AND key = %(key)s
"""
FIND = """
SELECT digest, status, location, body, settled FROM idempotency_keys
 WHERE account_id = %(account_id)s AND key = %(key)s
"""
# Of several at once the first to come decides; the others wait for its commit and find nothing to settle. A process
# from before there was anything to settle erases an answer without settling it: what it wrote stays.
SETTLE = """
UPDATE idempotency_keys
   SET settled = true, body = CASE WHEN status = 202 THEN coalesce(%(body)s::bytea, body) ELSE body END
 WHERE account_id = %(account_id)s AND key = %(key)s AND digest = %(digest)s AND NOT settled
RETURNING digest, status, location, body, settled
"""
FORGET = """
DELETE FROM idempotency_keys WHERE (account_id, key) IN (
  SELECT account_id, key FROM idempotency_keys
   WHERE created_at < now() - make_interval(secs => %(age_seconds)s) ORDER BY created_at LIMIT %(limit)s)
"""


async def bound(connection: Connection) -> None:
    """Bound what this transaction waits for others, and how long the server keeps it if its process disappears."""
    await connection.execute(PATIENCE, {"wait": str(WAIT_MILLISECONDS), "idle": str(IDLE_MILLISECONDS)})


async def take(connection: Connection, account_id: int, key: str, digest: bytes) -> bool:
    """Take a key in the transaction that does the work. False: it is another's, whose transaction has committed.

    Raises psycopg's LockNotAvailable if that transaction does not end in time.
    """
    await bound(connection)
    return (await connection.execute(TAKE, {"account_id": account_id, "key": key, "digest": digest})).rowcount == 1


async def answer(
    connection: Connection,
    account_id: int,
    key: str,
    *,
    status: int,
    location: str | None,
    body: bytes,
    execution_ids: Sequence[int],
    settled: bool,
) -> None:
    """Keep what the request is answered and what it started, in the same transaction. Where that is not `settled`, the
    body may be replaced, once."""
    given = {"account_id": account_id, "key": key, "status": status, "location": location, "body": body}
    await connection.execute(ANSWER, {**given, "execution_ids": list(execution_ids), "settled": settled})


async def find(connection: Connection, account_id: int, key: str) -> Row | None:
    """The key with its answer, if its request has committed."""
    return await (await connection.execute(FIND, {"account_id": account_id, "key": key})).fetchone()


async def settle(connection: Connection, account_id: int, key: str, digest: bytes, body: bytes | None) -> Row | None:
    """Give an unsettled answer this body for good, or the one that it has; the key with its answer. None if it was
    settled before, or is another request's by now."""
    given = {"account_id": account_id, "key": key, "digest": digest, "body": body}
    return await (await connection.execute(SETTLE, given)).fetchone()


async def forget(connection: Connection, *, age_seconds: float, limit: int) -> int:
    """Delete some of the keys that are older, the oldest first. Returns how many."""
    return (await connection.execute(FORGET, {"age_seconds": age_seconds, "limit": limit})).rowcount
