"""What can be done to webhooks. Callers open the transaction."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET
from psycopg.errors import UniqueViolation

from service.accounts.access import Principal
from service.database import Connection, Row
from service.errors import BadRequest, Conflict, FieldError, InvalidInput, NotFound
from service.settings import Settings
from service.webhooks import store
from service.webhooks.callbacks import read_url
from service.webhooks.models import (
    Delivery,
    EventType,
    NewWebhook,
    SecretRotation,
    Webhook,
    WebhookChange,
    WebhookWithSecret,
    delivery,
    webhook,
    webhook_with_secret,
)
from service.webhooks.signing import new_secret, shown

MOST_WEBHOOKS = 20
MOST_OLD_SECRETS = 4
NO_KEY = (
    "This installation keeps no secrets: AGENTIC_SECRET_KEY is not set. Its operator finds in docs/operations.md how "
    "to make a key."
)


async def create(
    connection: Connection, settings: Settings, principal: Principal, new: NewWebhook
) -> WebhookWithSecret:
    """A webhook with its first secret. Raises InvalidInput for a URL that is never asked, BadRequest where no secret
    can be kept, Conflict for a second one without a URL or one too many."""
    _require_key(settings)
    url = None if new.url is None else read_url(settings.egress_allow, new.url, "url")
    await store.lock_account(connection, principal.account_id)
    if await store.count(connection, principal.account_id) >= MOST_WEBHOOKS:
        raise Conflict(f"An account may have {MOST_WEBHOOKS} webhooks.")
    try:
        webhook_id = await store.insert(
            connection, principal.account_id, url=url, event_types=_names(new.event_types), body=new.body
        )
    except UniqueViolation as error:
        raise Conflict("There is a webhook without a URL already; rotate its secret if you lost it.") from error
    return await _give_secret(connection, settings, await existing(connection, principal, webhook_id))


async def change(
    connection: Connection, settings: Settings, principal: Principal, webhook_id: int, change: WebhookChange
) -> Webhook:
    """Raises NotFound, and InvalidInput for a URL that is never asked."""
    row = await existing(connection, principal, webhook_id)
    url = row["url"]
    if change.url is not UNSET:
        if url is None:
            raise InvalidInput([FieldError("url", "this webhook signs for the URLs that executions name")])
        url = read_url(settings.egress_allow, change.url, "url")
    await store.update(
        connection,
        webhook_id,
        url=url,
        event_types=row["event_types"] if change.event_types is UNSET else _names(change.event_types),
        body=row["body"] if change.body is UNSET else change.body,
        is_active=row["is_active"] if change.is_active is UNSET else change.is_active,
    )
    return webhook(await existing(connection, principal, webhook_id))


async def delete(connection: Connection, principal: Principal, webhook_id: int) -> None:
    """Nothing more is sent; its secrets are gone. Raises NotFound."""
    await existing(connection, principal, webhook_id)
    await store.delete(connection, webhook_id)


async def rotate_secret(
    connection: Connection, settings: Settings, principal: Principal, webhook_id: int, rotation: SecretRotation
) -> WebhookWithSecret:
    """A further secret; those before it end after `keep_old_seconds`. Raises NotFound, Conflict for too many."""
    _require_key(settings)
    row = await existing(connection, principal, webhook_id)
    await store.lock_account(connection, row["account_id"])
    if await store.expire_secrets(connection, webhook_id, seconds=rotation.keep_old_seconds) > MOST_OLD_SECRETS:
        raise Conflict(f"{MOST_OLD_SECRETS} older secrets still sign; wait for one to end, or keep none.")
    return await _give_secret(connection, settings, await existing(connection, principal, webhook_id))


async def ping(connection: Connection, principal: Principal, webhook_id: int) -> Delivery:
    """A message that only says that the webhook is there. Raises NotFound, Conflict where there is nobody to tell."""
    row = await existing(connection, principal, webhook_id)
    if row["url"] is None:
        raise Conflict("This webhook has no URL of its own to be tried.")
    _require_active(row)
    return await _delivery(connection, webhook_id, await store.ping(connection, webhook_id))


async def redeliver(connection: Connection, principal: Principal, webhook_id: int, delivery_id: int) -> Delivery:
    """Attempt it again, now, whatever became of it. Raises NotFound, Conflict while it is under way anyway."""
    row = await existing(connection, principal, webhook_id)
    await _delivery(connection, webhook_id, delivery_id)
    _require_active(row)
    if not await store.redeliver(connection, webhook_id, delivery_id):
        raise Conflict("This delivery is under way, or waits for its first attempt.")
    return await _delivery(connection, webhook_id, delivery_id)


async def existing(connection: Connection, principal: Principal, webhook_id: int) -> Row:
    """The webhook. Raises NotFound for one that is absent or another account's."""
    row = await store.get(connection, whose(principal), webhook_id)
    if row is None:
        raise NotFound
    return row


def whose(principal: Principal) -> int | None:
    """The account whose webhooks may be seen; None for those of all."""
    return None if principal.is_admin else principal.account_id


def _names(types: Iterable[EventType]) -> list[str]:
    return sorted({str(each) for each in types})


async def _delivery(connection: Connection, webhook_id: int, delivery_id: int) -> Delivery:
    row = await store.delivery(connection, webhook_id, delivery_id)
    if row is None:
        raise NotFound
    return delivery(row)


async def _give_secret(connection: Connection, settings: Settings, row: Row) -> WebhookWithSecret:
    secret = new_secret()
    await store.insert_secret(connection, row["id"], settings.secret_keys.seal(secret))
    return webhook_with_secret(row, shown(secret))


def _require_key(settings: Settings) -> None:
    if not settings.secret_keys:
        raise BadRequest(NO_KEY)


def _require_active(row: Row) -> None:
    if not row["is_active"]:
        raise Conflict("This webhook is switched off; set is_active first.")
