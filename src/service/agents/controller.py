"""/api/agents/: accounts read agents of the data sets they were given; admins read and write all."""

from __future__ import annotations

from litestar import Controller, delete, get, patch, post

from service.accounts.gate import AccountRequest, admins_only
from service.agents import actions, store
from service.agents.models import AgentChange, AgentRecord, NewAgent, agent
from service.bodies import read_body
from service.pages import Page, Source, paginate
from service.provided import Database, Settings
from service.wire import Id


class AgentsController(Controller):
    """Agents, which executions are started on."""

    path = "/api/agents/"
    tags = ("Agents",)

    @get("/", operation_id="ListAgents", summary="List agents")
    async def list_visible(self, request: AccountRequest, database: Database, settings: Settings) -> Page[AgentRecord]:
        """Those that the account may use, newest first, 25 a page; all for an admin."""
        async with database.connection() as connection:
            source = Source(
                rows=lambda offset, limit: store.visible_page(connection, request.user, limit=limit, offset=offset),
                count=lambda: store.count_visible(connection, request.user),
            )
            return await paginate(request, settings, source, agent)

    @post(
        "/",
        guards=[admins_only],
        opt={"body": NewAgent},
        operation_id="CreateAgent",
        summary="Create an agent",
    )
    async def create(self, request: AccountRequest, database: Database) -> AgentRecord:
        """A type that no definition names is allowed: such an agent offers nothing yet. A field schema is checked, and
        refused with the places that are wrong. Admin only."""
        new = await read_body(request, NewAgent)
        async with database.transaction() as connection:
            return await actions.create(connection, request.user, new)

    @get("/{agent_id:int}/", operation_id="GetAgent", summary="Get an agent")
    async def get_one(self, request: AccountRequest, database: Database, agent_id: Id) -> AgentRecord:
        """Absent for accounts that were not given its data set."""
        async with database.connection() as connection:
            return await actions.get(connection, request.user, agent_id)

    @patch("/{agent_id:int}/", opt={"body": AgentChange}, operation_id="ChangeAgent", summary="Change an agent")
    async def change(self, request: AccountRequest, database: Database, agent_id: Id) -> AgentRecord:
        """Executions that were accepted before take another model with their next claim, but keep the field schema of
        their start. Admin only."""
        async with database.connection() as connection:
            await actions.require_admin(connection, request.user, agent_id)
        change = await read_body(request, AgentChange)
        async with database.transaction() as connection:
            return await actions.change(connection, request.user, agent_id, change)

    @delete("/{agent_id:int}/", operation_id="DeleteAgent", summary="Delete an agent")
    async def remove(self, request: AccountRequest, database: Database, agent_id: Id) -> None:
        """Nothing new starts on it; what was accepted goes on. Admin only."""
        async with database.transaction() as connection:
            await actions.delete(connection, request.user, agent_id)
