"""SQL of service accounts, tokens and the data sets that accounts were given."""

from __future__ import annotations

from collections.abc import Sequence

from service.database import Connection, Row

BY_DIGEST = """
SELECT a.id, a.is_admin, extract(epoch FROM t.expires_at - now())::float8 AS seconds_left
FROM tokens t JOIN accounts a ON a.id = t.account_id
WHERE t.digest = %(digest)s AND a.is_active AND a.deleted_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
"""

ACCOUNT = """
SELECT a.id, a.name, a.is_admin, a.is_active, a.created_at,
       ARRAY(SELECT g.data_set_id FROM account_data_sets g JOIN data_sets d ON d.id = g.data_set_id
             WHERE g.account_id = a.id AND d.deleted_at IS NULL ORDER BY g.data_set_id) AS data_sets
FROM accounts a
WHERE a.deleted_at IS NULL
"""

BY_ID = ACCOUNT + "AND a.id = %(id)s"
BY_NAME = ACCOUNT + "AND a.name = %(name)s"
PAGE = ACCOUNT + "ORDER BY a.id DESC LIMIT %(limit)s OFFSET %(offset)s"
COUNT = "SELECT count(*) AS count FROM accounts WHERE deleted_at IS NULL"

INSERT = "INSERT INTO accounts (name, is_admin) VALUES (%(name)s, %(is_admin)s) RETURNING id"
UPDATE = """
UPDATE accounts SET name = coalesce(%(name)s, name), is_active = coalesce(%(is_active)s, is_active)
WHERE id = %(id)s AND deleted_at IS NULL RETURNING id
"""
DELETE = """
UPDATE accounts SET deleted_at = now(), is_active = false WHERE id = %(id)s AND deleted_at IS NULL RETURNING id
"""

EXISTING_DATA_SETS = "SELECT id FROM data_sets WHERE id = ANY(%(ids)s::bigint[]) AND deleted_at IS NULL FOR SHARE"
TAKE_DATA_SETS = "DELETE FROM account_data_sets WHERE account_id = %(id)s AND data_set_id <> ALL(%(data_sets)s)"
GIVE_DATA_SETS = """
INSERT INTO account_data_sets (account_id, data_set_id) SELECT %(id)s, unnest(%(data_sets)s::bigint[])
ON CONFLICT DO NOTHING
"""

INSERT_DIGEST = "INSERT INTO tokens (account_id, digest) VALUES (%(id)s, %(digest)s)"
EXPIRE_TOKENS = """
UPDATE tokens SET expires_at = least(expires_at, now() + make_interval(secs => %(seconds)s)) WHERE account_id = %(id)s
"""


async def account_of_digest(connection: Connection, digest: bytes) -> Row | None:
    """The active account (id, is_admin) of a live token; `seconds_left` until it expires, None if it does not."""
    return await _one(connection, BY_DIGEST, digest=digest)


async def get(connection: Connection, account_id: int) -> Row | None:
    """An account with the ids of its `data_sets`; None if absent or deleted."""
    return await _one(connection, BY_ID, id=account_id)


async def get_named(connection: Connection, name: str) -> Row | None:
    """The account of that name, as `get`."""
    return await _one(connection, BY_NAME, name=name)


async def page(connection: Connection, *, limit: int, offset: int) -> list[Row]:
    """Accounts, newest first."""
    return await (await connection.execute(PAGE, {"limit": limit, "offset": offset})).fetchall()


async def count(connection: Connection) -> int:
    """How many accounts there are, disabled ones included."""
    row = await _one(connection, COUNT)
    return int(row["count"]) if row else 0


async def insert(connection: Connection, *, name: str, is_admin: bool) -> int:
    """Raises psycopg.errors.UniqueViolation for a name that is taken."""
    row = await _one(connection, INSERT, name=name, is_admin=is_admin)
    assert row is not None
    return int(row["id"])


async def update(connection: Connection, account_id: int, *, name: str | None, is_active: bool | None) -> bool:
    """Change what is not None. False if the account is absent. Raises UniqueViolation as `insert`."""
    return await _one(connection, UPDATE, id=account_id, name=name, is_active=is_active) is not None


async def delete(connection: Connection, account_id: int) -> bool:
    """Soft: executions keep their account, and the name is free again. False if the account is absent."""
    return await _one(connection, DELETE, id=account_id) is not None


async def existing_data_sets(connection: Connection, ids: Sequence[int]) -> frozenset[int]:
    """Which of these data sets exist. They cannot be deleted before the transaction ends."""
    rows = await (await connection.execute(EXISTING_DATA_SETS, {"ids": list(ids)})).fetchall()
    return frozenset(row["id"] for row in rows)


async def set_data_sets(connection: Connection, account_id: int, data_sets: Sequence[int]) -> None:
    """Make these the only data sets that the account was given."""
    arguments = {"id": account_id, "data_sets": list(data_sets)}
    await connection.execute(TAKE_DATA_SETS, arguments)
    await connection.execute(GIVE_DATA_SETS, arguments)


async def insert_token(connection: Connection, account_id: int, digest: bytes) -> None:
    """A token that does not expire."""
    await connection.execute(INSERT_DIGEST, {"id": account_id, "digest": digest})


async def expire_tokens(connection: Connection, account_id: int, *, seconds: float) -> None:
    """Let the account's tokens end in `seconds`, or when they would have ended anyway."""
    await connection.execute(EXPIRE_TOKENS, {"id": account_id, "seconds": seconds})


async def _one(connection: Connection, statement: str, **arguments: object) -> Row | None:
    return await (await connection.execute(statement, arguments)).fetchone()
