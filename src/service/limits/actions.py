"""The rules of limits: who is held to what, and whether an account may start more."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from psycopg.errors import LockNotAvailable

from service.database import Connection, Database
from service.errors import FieldError, InvalidInput, NotFound, Unavailable
from service.limits import store
from service.limits.admission import Standing
from service.limits.models import LimitsRecord, NewLimits, limits

BUSY = "Other starts of the account are being counted; try again shortly."
PROVIDER = re.compile(r"[!-~]([ -~]{0,198}[!-~])?")
_ID = re.compile(r"[1-9][0-9]{0,17}")


async def require_room(database: Database, account_id: int) -> None:
    """Raises TooManyRequests where the account has no room for one more start: a look, before files are kept.

    What decides is `store.admit`, or the acceptance itself.
    """
    async with database.connection() as connection:
        standing = await store.standing(connection, account_id)
    if standing is not None and not standing.has_room:
        raise standing.refusal()


async def admit(
    connection: Connection, account_id: int, starts: int, *, is_atomic: bool
) -> tuple[int, Standing | None]:
    """As `store.admit`. Raises Unavailable where another transaction of the account does not end in time."""
    try:
        return await store.admit(connection, account_id, starts, is_atomic=is_atomic)
    except LockNotAvailable as error:
        raise Unavailable(BUSY) from error


async def get(connection: Connection, scope: str, name: str) -> LimitsRecord:
    """Raises NotFound for a scope that is held to nothing."""
    row = await store.get(connection, _key(scope, name))
    if row is None:
        raise NotFound
    return limits(row)


async def put(connection: Connection, scope: str, name: str, new: NewLimits) -> LimitsRecord:
    """Hold a scope to these limits alone. Raises NotFound for no such account or agent, InvalidInput for a limit that
    its kind has not."""
    key, values = _key(scope, name), msgspec.structs.asdict(new)
    if scope != "provider" and not await store.is_there(connection, scope, key["scope_id"]):
        raise NotFound
    wrong = [field for field, value in values.items() if value is not None and field != "max_running"]
    if scope != "account" and wrong:
        raise InvalidInput([FieldError(field, "is a limit of accounts alone") for field in wrong])
    await store.put(connection, key, values)
    return await get(connection, scope, name)


async def delete(connection: Connection, scope: str, name: str) -> None:
    """Hold a scope to nothing. Raises NotFound where it was not held to anything."""
    if not await store.delete(connection, _key(scope, name)):
        raise NotFound


def _key(scope: str, name: str) -> dict[str, Any]:
    """The row's key. Raises NotFound for a scope that there cannot be."""
    if scope in ("account", "agent") and _ID.fullmatch(name):
        return {"scope": scope, "scope_id": int(name), "name": ""}
    if scope == "provider" and PROVIDER.fullmatch(name):
        return {"scope": scope, "scope_id": 0, "name": name}
    raise NotFound
