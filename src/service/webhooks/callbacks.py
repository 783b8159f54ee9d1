"""The URL that a start may name, to be told of that execution alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import Struct

from service.accounts.access import Principal
from service.bodies import decode_body
from service.database import Database
from service.egress import Allowed, Refused
from service.errors import FieldError, InvalidInput
from service.settings import Settings
from service.webhooks import store

FIELD = "webhook_url"
UNSIGNED = (
    "cannot be signed for: first make the webhook whose secret signs such messages, "
    "with POST /api/webhooks/ and a body without url"
)


class Callback(Struct, frozen=True):
    """The field of a start, which may hold anything that JSON can."""

    webhook_url: str | None = None


@dataclass(frozen=True)
class Callbacks:
    """Where executions of an account may be told of, and whether there is a secret to sign with."""

    allowed: Allowed
    is_signed: bool

    def read(self, given: object) -> str | None:
        """The URL that a start names; None without one. Raises InvalidInput for one that is never asked."""
        asked = decode_body({FIELD: given}, Callback).webhook_url
        if asked is None:
            return None
        url = read_url(self.allowed, asked, FIELD)
        if not self.is_signed:
            raise InvalidInput([FieldError(FIELD, UNSIGNED)])
        return url


async def callbacks(database: Database, settings: Settings, principal: Principal, asked: Iterable[object]) -> Callbacks:
    """What holds for starts of this account; the database is asked only if one of them names a URL."""
    is_signed = False
    if any(url is not None for url in asked):
        async with database.connection() as connection:
            is_signed = await store.signs_for_executions(connection, principal.account_id)
    return Callbacks(settings.egress_allow, is_signed)


def read_url(allowed: Allowed, given: str, field: str) -> str:
    """A URL that messages may be sent to. Raises InvalidInput naming the field."""
    try:
        return allowed.check_url(given).url
    except Refused as error:
        raise InvalidInput([FieldError(field, str(error))]) from error
