"""Schedules: starts that repeat, of an account on an agent."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import QueryParameter

from service.accounts.gate import AccountRequest
from service.bodies import read_body
from service.executions.actions import find_agent
from service.idempotency.actions import HEADER, REPEATED, Answer, read_key
from service.pages import Page, Source, paginate
from service.provided import Database, Registry, Settings
from service.responses import JSON
from service.schedules import actions, store
from service.schedules.models import NewSchedule, ScheduleChange, ScheduleRecord, schedule
from service.wire import Id


class SchedulesController(Controller):
    """Schedules."""

    tags = ("Schedules",)

    @get("/api/agents/{agent_id:int}/schedules/", operation_id="ListSchedules", summary="List schedules of an agent")
    async def list_of_agent(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        agent_id: Id,
        account: Annotated[str | None, QueryParameter(description="`all`, for admins: of every account.")] = None,
    ) -> Page[ScheduleRecord]:
        """The account's own, newest first, 25 a page."""
        await find_agent(database, request.user, agent_id)
        whose = None if account == "all" and request.user.is_admin else request.user.account_id
        async with database.connection() as connection:
            source = Source(
                rows=lambda offset, limit: store.page(connection, whose, agent_id, limit=limit, offset=offset),
                count=lambda: store.count(connection, whose, agent_id),
            )
            return await paginate(request, settings, source, schedule)

    @post(
        "/api/agents/{agent_id:int}/schedules/",
        opt={"body": NewSchedule, "once": True, "conflicts": True},
        operation_id="CreateSchedule",
        summary="Create a schedule",
    )
    async def create(
        self, request: AccountRequest, database: Database, registry: Registry, settings: Settings, agent_id: Id
    ) -> Response[ScheduleRecord]:
        """One execution starts for each of its slots, however many workers there are, as if the account had started it
        then. What a start would be refused for is refused here."""
        key = read_key(request.headers.get(HEADER))
        agent = await find_agent(database, request.user, agent_id)
        new = await read_body(request, NewSchedule)
        return _respond(
            await actions.create(database, registry, settings, principal=request.user, agent=agent, new=new, key=key)
        )

    @get("/api/schedules/{schedule_id:int}/", operation_id="GetSchedule", summary="Get a schedule")
    async def get_one(self, request: AccountRequest, database: Database, schedule_id: Id) -> ScheduleRecord:
        """When it starts next, and what became of its last slot. What it started is in the list of executions, by
        `?schedule_id=`."""
        async with database.connection() as connection:
            return schedule(await actions.existing(connection, request.user, schedule_id))

    @patch(
        "/api/schedules/{schedule_id:int}/",
        opt={"body": ScheduleChange, "conflicts": True},
        operation_id="ChangeSchedule",
        summary="Change a schedule",
    )
    async def change(
        self, request: AccountRequest, database: Database, registry: Registry, settings: Settings, schedule_id: Id
    ) -> ScheduleRecord:
        """Holds for the slots that come. One that is switched on again makes up for nothing; its next slot is the first
        from then on, as after another `cron` or `time_zone`."""
        async with database.connection() as connection:
            await actions.existing(connection, request.user, schedule_id)
        asked = await read_body(request, ScheduleChange)
        return await actions.change(
            database, registry, settings, principal=request.user, schedule_id=schedule_id, asked=asked
        )

    @delete("/api/schedules/{schedule_id:int}/", operation_id="DeleteSchedule", summary="Delete a schedule")
    async def remove(self, request: AccountRequest, database: Database, schedule_id: Id) -> None:
        """Starts nothing more; what it started stays and goes on."""
        async with database.transaction() as connection:
            await actions.delete(connection, request.user, schedule_id)


def _respond(answer: Answer) -> Response[Any]:
    """An answer that is JSON already; one that is a repeat says so."""
    headers = {"Location": answer.location} if answer.location else {}
    headers |= {REPEATED: "true"} if answer.is_repeated else {}
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=JSON)
