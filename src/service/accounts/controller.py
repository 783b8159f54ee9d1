"""/api/service-accounts/: who may use the API. For admins; other accounts are told no more than that it exists."""

from __future__ import annotations

from litestar import Controller, delete, get, patch, post
from litestar.datastructures import ResponseHeader

from service.accounts import actions, store
from service.accounts.gate import AccountRequest, absent_unless_admin, admins_only
from service.accounts.models import (
    NewServiceAccount,
    ServiceAccount,
    ServiceAccountChange,
    ServiceAccountWithToken,
    TokenReset,
    service_account,
)
from service.bodies import read_body
from service.pages import Page, Source, paginate
from service.provided import Authenticator, Database, Settings
from service.wire import Id

SHOWN_ONCE = [ResponseHeader(name="Cache-Control", value="no-store", description="The token is shown once.")]


class ServiceAccountsController(Controller):
    """Service accounts and their tokens."""

    path = "/api/service-accounts/"
    tags = ("Service accounts",)

    @get("/", guards=[admins_only], operation_id="ListServiceAccounts", summary="List service accounts")
    async def list_all(self, request: AccountRequest, database: Database, settings: Settings) -> Page[ServiceAccount]:
        """Newest first, 25 a page; disabled ones too. Admin only."""
        async with database.connection() as connection:
            source = Source(
                rows=lambda offset, limit: store.page(connection, limit=limit, offset=offset),
                count=lambda: store.count(connection),
            )
            return await paginate(request, settings, source, service_account)

    @post(
        "/",
        guards=[admins_only],
        opt={"body": NewServiceAccount, "conflicts": True},
        response_headers=SHOWN_ONCE,
        operation_id="CreateServiceAccount",
        summary="Create a service account",
    )
    async def create(self, request: AccountRequest, database: Database) -> ServiceAccountWithToken:
        """The answer holds the account's `token`, which is never shown again. Admin only."""
        new = await read_body(request, NewServiceAccount)
        async with database.transaction() as connection:
            return await actions.create(connection, new)

    @get(
        "/{account_id:int}/",
        guards=[absent_unless_admin],
        operation_id="GetServiceAccount",
        summary="Get a service account",
    )
    async def get_one(self, database: Database, account_id: Id) -> ServiceAccount:
        """Admin only; absent for others."""
        async with database.connection() as connection:
            return await actions.get(connection, account_id)

    @patch(
        "/{account_id:int}/",
        guards=[absent_unless_admin],
        opt={"body": ServiceAccountChange, "conflicts": True},
        operation_id="ChangeServiceAccount",
        summary="Change a service account",
    )
    async def change(
        self, request: AccountRequest, database: Database, authenticator: Authenticator, account_id: Id
    ) -> ServiceAccount:
        """Rename, disable, enable, or replace its data sets. Holds at once here, within 5 s in other processes."""
        change = await read_body(request, ServiceAccountChange)
        async with database.transaction() as connection:
            changed = await actions.change(connection, account_id, change)
        authenticator.forget()
        return changed

    @delete(
        "/{account_id:int}/",
        guards=[absent_unless_admin],
        operation_id="DeleteServiceAccount",
        summary="Delete a service account",
    )
    async def remove(self, database: Database, authenticator: Authenticator, account_id: Id) -> None:
        """Its tokens end; what it ran stays, for admins. Holds at once here, within 5 s in other processes."""
        async with database.transaction() as connection:
            await actions.delete(connection, account_id)
        authenticator.forget()

    @post(
        "/{account_id:int}/reset-token/",
        guards=[absent_unless_admin],
        opt={"body": TokenReset, "body_optional": True},
        response_headers=SHOWN_ONCE,
        status_code=200,
        operation_id="ResetToken",
        summary="Replace the token of a service account",
    )
    async def reset_token(
        self, request: AccountRequest, database: Database, authenticator: Authenticator, account_id: Id
    ) -> ServiceAccountWithToken:
        """The old tokens end now, or after `keep_old_seconds`. Without a body they end now."""
        reset = await read_body(request, TokenReset) if await request.body() else TokenReset()
        async with database.transaction() as connection:
            account = await actions.reset_token(connection, account_id, reset)
        authenticator.forget()
        return account
