"""What can be done to service accounts. Callers open the transaction, and make the Authenticator forget after it."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.errors import UniqueViolation

from service.accounts import store
from service.accounts.models import (
    NewServiceAccount,
    ServiceAccount,
    ServiceAccountChange,
    ServiceAccountWithToken,
    TokenReset,
    service_account,
    service_account_with_token,
)
from service.accounts.tokens import digest_of, new_token
from service.database import Connection, Row
from service.errors import Conflict, FieldError, InvalidInput, NotFound


async def create(connection: Connection, new: NewServiceAccount) -> ServiceAccountWithToken:
    """An account with its first token. Raises Conflict for a name that is taken, InvalidInput for unknown data sets."""
    await _require_data_sets(connection, new.data_sets)
    try:
        account_id = await store.insert(connection, name=new.name, is_admin=new.is_admin)
    except UniqueViolation as error:
        raise _name_is_taken(new.name) from error
    await store.set_data_sets(connection, account_id, new.data_sets)
    token = await _give_token(connection, account_id)
    return service_account_with_token(await _existing(connection, account_id), token)


async def change(connection: Connection, account_id: int, change: ServiceAccountChange) -> ServiceAccount:
    """Raises NotFound, Conflict for a name that is taken, InvalidInput for unknown data sets."""
    name = change.name or None
    is_active = change.is_active if isinstance(change.is_active, bool) else None
    try:
        found = await store.update(connection, account_id, name=name, is_active=is_active)
    except UniqueViolation as error:
        raise _name_is_taken(str(name)) from error
    if not found:
        raise NotFound
    if isinstance(change.data_sets, list):
        await _require_data_sets(connection, change.data_sets)
        await store.set_data_sets(connection, account_id, change.data_sets)
    return service_account(await _existing(connection, account_id))


async def reset_token(connection: Connection, account_id: int, reset: TokenReset) -> ServiceAccountWithToken:
    """A new token; the old ones end after `keep_old_seconds`. Raises NotFound."""
    row = await _existing(connection, account_id)
    await store.expire_tokens(connection, account_id, seconds=reset.keep_old_seconds)
    return service_account_with_token(row, await _give_token(connection, account_id))


async def delete(connection: Connection, account_id: int) -> None:
    """Disable for good. What the account ran stays, for admins. Raises NotFound."""
    if not await store.delete(connection, account_id):
        raise NotFound


async def get(connection: Connection, account_id: int) -> ServiceAccount:
    """Raises NotFound."""
    return service_account(await _existing(connection, account_id))


async def get_named(connection: Connection, name: str) -> ServiceAccount:
    """By name, for the command line. Raises NotFound."""
    row = await store.get_named(connection, name)
    if row is None:
        raise NotFound(f"There is no service account named {name!r}.")
    return service_account(row)


async def _give_token(connection: Connection, account_id: int) -> str:
    token = new_token()
    await store.insert_token(connection, account_id, digest_of(token))
    return token


async def _existing(connection: Connection, account_id: int) -> Row:
    row = await store.get(connection, account_id)
    if row is None:
        raise NotFound
    return row


async def _require_data_sets(connection: Connection, ids: Sequence[int]) -> None:
    known = await store.existing_data_sets(connection, ids)
    errors = [
        FieldError(f"data_sets[{place}]", f"There is no data set {data_set_id}.")
        for place, data_set_id in enumerate(ids)
        if data_set_id not in known
    ]
    if errors:
        raise InvalidInput(errors)


def _name_is_taken(name: str) -> Conflict:
    return Conflict(f"There is a service account named {name!r} already.")
