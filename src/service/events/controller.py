"""The log of facts about executions: of one, and of all that an account started."""

from __future__ import annotations

from typing import Annotated, TypeVar

from litestar import Controller, get
from litestar.params import QueryParameter

from service.accounts.access import Principal
from service.accounts.gate import AccountRequest
from service.errors import NotFound
from service.events import models, numbering, store
from service.events.asking import Asked, read_asked
from service.events.models import AccountEvent, Event, EventPage
from service.pages import link
from service.provided import Database, Settings
from service.wire import Id

After = Annotated[str | None, QueryParameter(description="The cursor: only what comes after it. Absent: everything.")]
Limit = Annotated[str | None, QueryParameter(description="1 to 500 events on a page; 100 if absent.")]

E = TypeVar("E", bound=Event)


class EventsController(Controller):
    """Events of executions."""

    tags = ("Events",)

    @get(
        "/api/agentic-executions/{execution_id:int}/events/", operation_id="ListExecutionEvents", summary="List events"
    )
    async def of_execution(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        execution_id: Id,
        after: After = None,
        limit: Limit = None,
    ) -> EventPage[Event]:
        """Everything that happened to an execution, in order; the cursor is a `sequence`."""
        asked = read_asked(request)
        async with database.connection() as connection:
            standing = await store.standing_of_execution(connection, _whose(request.user), execution_id)
            if standing is None:
                raise NotFound
            asked.check(standing.last)
            rows = await store.of_execution(connection, execution_id, after=asked.after, limit=asked.limit + 1)
        return _page(request, settings, asked, [(row["seq"], models.event(row)) for row in rows])

    @get("/api/agentic-executions/events/", operation_id="ListEvents", summary="List events of all executions")
    async def of_account(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        after: After = None,
        limit: Limit = None,
    ) -> EventPage[AccountEvent]:
        """Everything that happened to the account's executions; the cursor is a `position`, which loses nothing: an
        event that commits late gets a later one."""
        asked = read_asked(request)
        await numbering.number_and_tell(database)
        async with database.connection() as connection:
            standing = await store.standing_of_all(connection)
            asked.check(standing.last)
            rows = await store.of_account(connection, request.user.account_id, after=asked.after, limit=asked.limit + 1)
        return _page(request, settings, asked, [(row["position"], models.account_event(row)) for row in rows])


def _whose(principal: Principal) -> int | None:
    return None if principal.is_admin else principal.account_id


def _page(request: AccountRequest, settings: Settings, asked: Asked, found: list[tuple[int, E]]) -> EventPage[E]:
    """Of what was found, one more than asked for says that there is more."""
    shown = found[: asked.limit]
    next_after = shown[-1][0] if shown else asked.after
    has_more = len(found) > len(shown)
    return EventPage(
        next=link(request, settings, "after", str(next_after)) if has_more else None,
        next_after=next_after,
        results=[each for _, each in shown],
    )
