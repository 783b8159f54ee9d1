"""/api/limits/: what accounts, agents and providers are held to. For admins; it holds from the next start and claim."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, delete, get, put
from litestar.params import PathParameter

from service.accounts.gate import AccountRequest, absent_unless_admin, admins_only
from service.bodies import read_body
from service.limits import actions, store
from service.limits.models import LimitsRecord, NewLimits, limits
from service.pages import Page, Source, paginate
from service.provided import Database, Settings

Kind = Annotated[str, PathParameter(description="account, agent or provider.")]
Name = Annotated[str, PathParameter(description="An id; of a provider, the model as agents name it.")]


class LimitsController(Controller):
    """Limits and shares."""

    path = "/api/limits/"
    tags = ("Limits",)

    @get("/", guards=[admins_only], operation_id="ListLimits", summary="List limits")
    async def list_all(self, request: AccountRequest, database: Database, settings: Settings) -> Page[LimitsRecord]:
        """Everything that is held to something, with what it has now, 25 a page. Admin only."""
        async with database.connection() as connection:
            source = Source(
                rows=lambda offset, limit: store.page(connection, limit=limit, offset=offset),
                count=lambda: store.count(connection),
            )
            return await paginate(request, settings, source, limits)

    @get("/{kind:str}/{name:str}/", guards=[absent_unless_admin], operation_id="GetLimits", summary="Get limits")
    async def get_one(self, database: Database, kind: Kind, name: Name) -> LimitsRecord:
        """Absent where nothing is limited. Admin only."""
        async with database.connection() as connection:
            return await actions.get(connection, kind, name)

    @put(
        "/{kind:str}/{name:str}/",
        guards=[absent_unless_admin],
        opt={"body": NewLimits},
        operation_id="SetLimits",
        summary="Set limits",
    )
    async def set_one(self, request: AccountRequest, database: Database, kind: Kind, name: Name) -> LimitsRecord:
        """Replaces what was set: a limit that is left out is none. Running executions go on. Admin only."""
        new = await read_body(request, NewLimits)
        async with database.transaction() as connection:
            return await actions.put(connection, kind, name, new)

    @delete(
        "/{kind:str}/{name:str}/", guards=[absent_unless_admin], operation_id="DeleteLimits", summary="Delete limits"
    )
    async def remove(self, database: Database, kind: Kind, name: Name) -> None:
        """Nothing is limited any more. Admin only."""
        async with database.transaction() as connection:
            await actions.delete(connection, kind, name)
