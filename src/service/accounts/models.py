"""Service accounts as REST takes and gives them; the CLI prints the same records."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.database import Row
from service.definitions.problems import NOT_BLANK
from service.times import ts

Name = Annotated[str, Meta(max_length=200, pattern=NOT_BLANK)]
RowId = Annotated[int, Meta(ge=1, le=2**63 - 1)]

MAX_KEEP_OLD_SECONDS = 30 * 24 * 3600


class NewServiceAccount(Struct, kw_only=True, forbid_unknown_fields=True):
    """A service account to create. It sees agents of these data sets; an admin account sees everything."""

    name: Name
    is_admin: bool = False
    data_sets: list[RowId] = msgspec.field(default_factory=list)


class ServiceAccountChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change of a service account; fields that are left out stay. `data_sets` replaces the whole list."""

    name: Name | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    data_sets: list[RowId] | UnsetType = UNSET


class TokenReset(Struct, kw_only=True, forbid_unknown_fields=True):
    """How long the tokens that the account has now stay valid beside the new one."""

    keep_old_seconds: Annotated[int, Meta(ge=0, le=MAX_KEEP_OLD_SECONDS)] = 0


class ServiceAccount(Struct, kw_only=True):
    """A service account. Its token is not part of it: that is shown once, when it is made."""

    id: int
    name: str
    is_admin: bool
    is_active: bool
    data_sets: list[int]
    created_at: str


class ServiceAccountWithToken(ServiceAccount, kw_only=True):
    """A service account and its new token, which is never shown again."""

    token: str


def service_account(row: Row) -> ServiceAccount:
    """The record of a row of `store.get`."""
    return ServiceAccount(**_fields(row))


def service_account_with_token(row: Row, token: str) -> ServiceAccountWithToken:
    """The same beside its new token."""
    return ServiceAccountWithToken(**_fields(row), token=token)


def _fields(row: Row) -> Row:
    return {
        "id": row["id"],
        "name": row["name"],
        "is_admin": row["is_admin"],
        "is_active": row["is_active"],
        "data_sets": row["data_sets"],
        "created_at": ts(row["created_at"]),
    }
