"""The log of facts about executions: of one, and of all that an account started."""

from __future__ import annotations

from typing import Annotated, TypeVar

from litestar import Controller, Response, get
from litestar.params import QueryParameter
from litestar.status_codes import HTTP_204_NO_CONTENT

from service.accounts.access import Principal
from service.accounts.gate import AccountRequest, still_allowed
from service.errors import NotFound
from service.events import models, store
from service.events.asking import Asked, read_asked
from service.events.hub import ACCOUNT, EXECUTION, Source
from service.events.models import AccountEvent, Event, EventPage
from service.events.numbering import number_and_tell
from service.events.stream import EventStream, Feed
from service.pages import link
from service.provided import Authenticator, Database, Hub, Settings
from service.wire import Id

After = Annotated[str | None, QueryParameter(description="The cursor: only what comes after it. Absent: everything.")]
Limit = Annotated[str | None, QueryParameter(description="1 to 500 events on a page; 100 if absent.")]

E = TypeVar("E", bound=Event)


STREAMS = {"streams": True}


class EventsController(Controller):
    """Events of executions."""

    tags = ("Events",)

    @get(
        "/api/agentic-executions/{execution_id:int}/events/",
        operation_id="ListExecutionEvents",
        summary="List or stream events",
        opt=STREAMS,
    )
    async def of_execution(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        authenticator: Authenticator,
        hub: Hub,
        execution_id: Id,
        after: After = None,
        limit: Limit = None,
    ) -> Response[EventPage[Event]]:
        """Everything that happened to an execution, in order; the cursor is a `sequence`. A stream ends with the
        execution's last event; asked for again after that one, the answer is 204."""
        asked = read_asked(request)
        async with database.connection() as connection:
            standing = await store.standing_of_execution(connection, _whose(request.user), execution_id)
            if standing is None:
                raise NotFound
            asked.check(standing.last)
            if not asked.is_stream:
                rows = await store.of_execution(connection, execution_id, after=asked.after, limit=asked.limit + 1)
                return _page(request, settings, asked, [(row["seq"], models.event(row)) for row in rows])
        if standing.is_final and asked.after == standing.last:
            return Response(None, status_code=HTTP_204_NO_CONTENT)  # type: ignore[arg-type]
        feed = _feed(request, settings, authenticator, asked, EXECUTION, execution_id, standing.last)
        return EventStream(hub, database, feed)

    @get(
        "/api/agentic-executions/events/",
        operation_id="ListEvents",
        summary="List or stream events of all executions",
        opt=STREAMS,
    )
    async def of_account(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        authenticator: Authenticator,
        hub: Hub,
        after: After = None,
        limit: Limit = None,
    ) -> Response[EventPage[AccountEvent]]:
        """Everything that happened to the account's executions; the cursor is a `position`, which loses nothing: an
        event that commits late gets a later one. A stream of them does not end."""
        asked, account_id = read_asked(request), request.user.account_id
        await number_and_tell(database)
        async with database.connection() as connection:
            standing = await store.standing_of_all(connection)
            asked.check(standing.last)
            if not asked.is_stream:
                rows = await store.of_account(connection, account_id, after=asked.after, limit=asked.limit + 1)
                return _page(request, settings, asked, [(row["position"], models.account_event(row)) for row in rows])
        feed = _feed(request, settings, authenticator, asked, ACCOUNT, account_id, standing.last)
        return EventStream(hub, database, feed)


def _feed(
    request: AccountRequest,
    settings: Settings,
    authenticator: Authenticator,
    asked: Asked,
    source: Source,
    of: int,
    head: int,
) -> Feed:
    """A stream that lasts as long as its token does, and means the same account."""
    return Feed(
        source=source,
        of=of,
        after=asked.after,
        head=head,
        is_allowed=still_allowed(request, authenticator),
        beat_seconds=settings.heartbeat_seconds,
    )


def _whose(principal: Principal) -> int | None:
    return None if principal.is_admin else principal.account_id


def _page(
    request: AccountRequest, settings: Settings, asked: Asked, found: list[tuple[int, E]]
) -> Response[EventPage[E]]:
    """Of what was found, one more than asked for says that there is more."""
    shown = found[: asked.limit]
    next_after = shown[-1][0] if shown else asked.after
    has_more = len(found) > len(shown)
    page = EventPage(
        next=link(request, settings, "after", str(next_after)) if has_more else None,
        next_after=next_after,
        results=[each for _, each in shown],
    )
    return Response(page, headers={"Vary": "Accept"})
