"""/api/webhooks/: who is told what happens to an account's executions, and what became of each message."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from litestar import Controller, delete, get, patch, post
from litestar.datastructures import ResponseHeader
from litestar.params import QueryParameter

from service.accounts.gate import AccountRequest
from service.bodies import read_body
from service.cursors import Cursor, paginate_by_cursor
from service.database import Row
from service.errors import NotFound
from service.pages import Page, Source, paginate
from service.provided import Database, Settings
from service.webhooks import actions, store
from service.webhooks.models import (
    Delivery,
    NewWebhook,
    SecretRotation,
    Webhook,
    WebhookChange,
    WebhookWithSecret,
    delivery,
    webhook,
)
from service.wire import Id

SHOWN_ONCE = [ResponseHeader(name="Cache-Control", value="no-store", description="The secret is shown once.")]
CursorQuery = Annotated[str | None, QueryParameter(description="Absent for the newest; then follow `next`.")]
PageSize = Annotated[str | None, QueryParameter(description="1 to 200; 25 if absent.")]


class WebhooksController(Controller):
    """Webhooks."""

    path = "/api/webhooks/"
    tags = ("Webhooks",)

    @get("/", operation_id="ListWebhooks", summary="List webhooks")
    async def list_own(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        account: Annotated[str | None, QueryParameter(description="`all`, for admins: of every account.")] = None,
    ) -> Page[Webhook]:
        """The account's own, newest first, 25 a page."""
        whose = None if account == "all" and request.user.is_admin else request.user.account_id
        async with database.connection() as connection:
            source = Source(
                rows=lambda offset, limit: store.page(connection, whose, limit=limit, offset=offset),
                count=lambda: store.count(connection, whose),
            )
            return await paginate(request, settings, source, webhook)

    @post(
        "/",
        opt={"body": NewWebhook, "conflicts": True},
        response_headers=SHOWN_ONCE,
        operation_id="CreateWebhook",
        summary="Create a webhook",
    )
    async def create(self, request: AccountRequest, database: Database, settings: Settings) -> WebhookWithSecret:
        """The answer holds the `secret` that messages are signed with, which is never shown again."""
        new = await read_body(request, NewWebhook)
        async with database.transaction() as connection:
            return await actions.create(connection, settings, request.user, new)

    @get("/{webhook_id:int}/", operation_id="GetWebhook", summary="Get a webhook")
    async def get_one(self, request: AccountRequest, database: Database, webhook_id: Id) -> Webhook:
        """Without its secret."""
        async with database.connection() as connection:
            return webhook(await actions.existing(connection, request.user, webhook_id))

    @patch("/{webhook_id:int}/", opt={"body": WebhookChange}, operation_id="ChangeWebhook", summary="Change a webhook")
    async def change(self, request: AccountRequest, database: Database, settings: Settings, webhook_id: Id) -> Webhook:
        """One that answered 410 was switched off: `is_active` switches it on again."""
        async with database.connection() as connection:
            await actions.existing(connection, request.user, webhook_id)
        change = await read_body(request, WebhookChange)
        async with database.transaction() as connection:
            return await actions.change(connection, settings, request.user, webhook_id, change)

    @delete("/{webhook_id:int}/", operation_id="DeleteWebhook", summary="Delete a webhook")
    async def remove(self, request: AccountRequest, database: Database, webhook_id: Id) -> None:
        """Nothing more is sent, and what waits is dropped."""
        async with database.transaction() as connection:
            await actions.delete(connection, request.user, webhook_id)

    @post(
        "/{webhook_id:int}/rotate-secret/",
        opt={"body": SecretRotation, "body_optional": True, "conflicts": True},
        response_headers=SHOWN_ONCE,
        status_code=200,
        operation_id="RotateSecret",
        summary="Replace the secret of a webhook",
    )
    async def rotate_secret(
        self, request: AccountRequest, database: Database, settings: Settings, webhook_id: Id
    ) -> WebhookWithSecret:
        """The answer holds the new `secret`. For `keep_old_seconds` messages are signed with the old one too."""
        async with database.connection() as connection:
            await actions.existing(connection, request.user, webhook_id)
        rotation = await read_body(request, SecretRotation) if await request.body() else SecretRotation()
        async with database.transaction() as connection:
            return await actions.rotate_secret(connection, settings, request.user, webhook_id, rotation)

    @post(
        "/{webhook_id:int}/ping/",
        status_code=202,
        opt={"conflicts": True},
        operation_id="PingWebhook",
        summary="Send a test message",
    )
    async def ping(self, request: AccountRequest, database: Database, webhook_id: Id) -> Delivery:
        """A signed message of the type `webhook.ping`; the deliveries tell what came of it."""
        async with database.transaction() as connection:
            return await actions.ping(connection, request.user, webhook_id)

    @get("/{webhook_id:int}/deliveries/", operation_id="ListDeliveries", summary="List deliveries")
    async def deliveries(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        webhook_id: Id,
        cursor: CursorQuery = None,
        page_size: PageSize = None,
    ) -> Page[Delivery]:
        """Every message with every attempt, newest first."""
        async with database.connection() as connection:
            await actions.existing(connection, request.user, webhook_id)
        return await paginate_by_cursor(request, settings, partial(_deliveries, database, webhook_id), delivery)

    @post(
        "/{webhook_id:int}/deliveries/{delivery_id:int}/redeliver/",
        status_code=202,
        opt={"conflicts": True},
        operation_id="Redeliver",
        summary="Send a message again",
    )
    async def redeliver(self, request: AccountRequest, database: Database, webhook_id: Id, delivery_id: Id) -> Delivery:
        """Now, with the same `webhook-id`, whatever became of it; a failure begins the schedule anew."""
        async with database.transaction() as connection:
            return await actions.redeliver(connection, request.user, webhook_id, delivery_id)


class ExecutionDeliveriesController(Controller):
    """Deliveries of one execution."""

    tags = ("Webhooks",)

    @get(
        "/api/agentic-executions/{execution_id:int}/deliveries/",
        operation_id="ListExecutionDeliveries",
        summary="List deliveries of an execution",
    )
    async def of_execution(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        execution_id: Id,
        cursor: CursorQuery = None,
        page_size: PageSize = None,
    ) -> Page[Delivery]:
        """Of its events to every webhook, and to the `webhook_url` that its start named."""
        async with database.connection() as connection:
            if not await store.execution_is_visible(connection, actions.whose(request.user), execution_id):
                raise NotFound
        rows = partial(_deliveries_of_execution, database, execution_id)
        return await paginate_by_cursor(request, settings, rows, delivery)


async def _deliveries(database: Database, webhook_id: int, cursor: Cursor, limit: int) -> list[Row]:
    async with database.connection() as connection:
        return await store.deliveries(connection, webhook_id, cursor, limit=limit)


async def _deliveries_of_execution(database: Database, execution_id: int, cursor: Cursor, limit: int) -> list[Row]:
    async with database.connection() as connection:
        return await store.deliveries_of_execution(connection, execution_id, cursor, limit=limit)
