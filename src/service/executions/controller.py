"""The guide's four requests: list what an agent offers, start one, get one, list those that were started."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import QueryParameter

from service.accounts.gate import AccountRequest
from service.bodies import decode_body, read_body, read_json
from service.cursors import Cursor, paginate_by_cursor
from service.database import Row
from service.events.waits import seconds_asked, until_final
from service.executions import actions, batch, models, polling, rerun, store
from service.executions.answering import only_repeats, respond, respond_at_end
from service.executions.filters import Filters, read_filters
from service.executions.judging import Start, offered
from service.executions.lifecycle import Status
from service.executions.start_bodies import read_item, read_start
from service.files.limits import FileLimits
from service.idempotency.actions import HEADER, read_key
from service.pages import Page, Source, paginate
from service.provided import Authenticator, Database, Hub, Notifier, Registry, Settings
from service.webhooks.callbacks import callbacks
from service.wire import Id, only_header

BY_CURSOR = (
    "Empty for the newest; then follow `next`. Pages by a cursor are not counted, and cost the same at any depth."
)


class ExecutionsController(Controller):
    """Agentic executions."""

    tags = ("Agentic executions",)

    @get(
        "/api/agents/{agent_id:int}/agentic-execution-definitions/",
        operation_id="ListExecutionDefinitions",
        summary="List what an agent offers",
    )
    async def list_definitions(
        self, request: AccountRequest, database: Database, registry: Registry, agent_id: Id
    ) -> list[models.OfferedDefinition]:
        """Empty if nothing is registered for the agent's type."""
        agent = await actions.find_agent(database, request.user, agent_id)
        offers = await offered(database, registry, agent["agent_type"])
        return [models.offered_definition(definition) for definition in offers]

    @post(
        "/api/agents/{agent_id:int}/agentic-executions/",
        operation_id="StartExecution",
        summary="Start an execution",
        status_code=202,
        request_max_body_size=None,  # files have limits of their own
        opt={"once": True, "conflicts": True, "limited": True, "waits": True},
    )
    async def start(
        self,
        request: AccountRequest,
        database: Database,
        notifier: Notifier,
        registry: Registry,
        settings: Settings,
        authenticator: Authenticator,
        hub: Hub,
        agent_id: Id,
    ) -> Response[models.Execution]:
        """Accepted means kept: the execution is committed before this answers. With `Prefer: wait=N` it is shown as it
        is when it has ended, or after N seconds."""
        key = read_key(only_header(request, HEADER))
        agent = await actions.look_for_agent(database, request.user, agent_id)
        limits = FileLimits.of(settings)
        with only_repeats(agent is None, key):
            async with read_start(request, settings, limits, agent) as asked:
                answer = await actions.start(
                    database,
                    notifier,
                    registry,
                    principal=request.user,
                    agent_id=agent_id,
                    agent=agent,
                    asked=asked,
                    limits=limits,
                    callbacks=await callbacks(database, settings, request.user, [asked.webhook_url]),
                    key=key,
                    waits=seconds_asked(request) is not None,
                )
        return await respond_at_end(request, database, authenticator, hub, answer)

    @post(
        "/api/agents/{agent_id:int}/agentic-executions/batch/",
        operation_id="StartBatch",
        summary="Start many executions",
        status_code=202,
        request_max_body_size=None,  # a limit of its own
        opt={"body": models.Batch, "once": True, "conflicts": True, "limited": True},
    )
    async def start_batch(
        self,
        request: AccountRequest,
        database: Database,
        notifier: Notifier,
        registry: Registry,
        settings: Settings,
        agent_id: Id,
    ) -> Response[models.StartedBatch]:
        """Up to 1,000 starts without files in one transaction: those that are valid start, the others are told why not.
        With `atomic` all of them start, or none."""
        key = read_key(only_header(request, HEADER))
        agent = await actions.look_for_agent(database, request.user, agent_id)
        with only_repeats(agent is None, key):
            asked = decode_body(await read_json(request, max_bytes=settings.max_batch_bytes), models.Batch)
            starts = [batch.read(read_item, item) for item in asked.items]
            urls = (start.webhook_url for start in starts if isinstance(start, Start))
            answer = await batch.start(
                database,
                notifier,
                registry,
                principal=request.user,
                agent_id=agent_id,
                agent=agent,
                asked=batch.Asked(starts, asked),
                callbacks=await callbacks(database, settings, request.user, urls),
                key=key,
            )
        return respond(answer)

    @get(
        "/api/agentic-executions/{execution_id:int}/",
        operation_id="GetExecution",
        summary="Get an execution",
        opt={"waits": True, "tagged": True},
    )
    async def get_execution(
        self, request: AccountRequest, database: Database, authenticator: Authenticator, hub: Hub, execution_id: Id
    ) -> Response[models.Execution]:
        """Poll it until `status` is finished or failed, every `Retry-After` seconds, or let `Prefer: wait=N` hold the
        answer back until then."""
        seconds = seconds_asked(request)
        if seconds is not None:
            await until_final(request, database, authenticator, hub, execution_id, seconds=seconds)
        row = await actions.get(database, request.user, execution_id)
        return polling.polled(row, if_none_match=request.headers.get("if-none-match"), waited=seconds)

    @post(
        "/api/agentic-executions/{execution_id:int}/cancel/",
        operation_id="CancelExecution",
        summary="Cancel an execution",
        status_code=200,
        opt={"may_be_under_way": True, "paced": True},
    )
    async def cancel(
        self, request: AccountRequest, database: Database, notifier: Notifier, execution_id: Id
    ) -> Response[models.Execution]:
        """200 with the execution once it is final: at once, as cancelled, where no worker has it, and as it ended where
        it had ended before. 202 while its worker is stopping it; then poll it. Where that worker does not answer within
        two seconds another process ends it, at its next look a second later at most."""
        row = await actions.cancel(database, notifier, request.user, execution_id)
        status = 200 if Status(row["status"]).is_final else 202
        return Response(models.execution(row), status_code=status, headers=polling.pace(row))

    @post(
        "/api/agentic-executions/{execution_id:int}/rerun/",
        operation_id="RerunExecution",
        summary="Start an execution once more",
        status_code=202,
        opt={
            "body": models.Rerun,
            "body_optional": True,
            "once": True,
            "conflicts": True,
            "limited": True,
            "waits": True,
        },
    )
    async def rerun(
        self,
        request: AccountRequest,
        database: Database,
        notifier: Notifier,
        registry: Registry,
        settings: Settings,
        authenticator: Authenticator,
        hub: Hub,
        execution_id: Id,
    ) -> Response[models.Execution]:
        """A new execution of the same agent, key and files, in the version that is offered now; the body says what is
        to be different. 409 where the agent or the key is there no more. `Prefer: wait=N` works as with a start."""
        key = read_key(only_header(request, HEADER))
        source = await actions.look_for(database, request.user, execution_id)
        with only_repeats(source is None, key):
            asked = await read_body(request, models.Rerun) if await request.body() else models.Rerun()
            answer = await rerun.start(
                database,
                notifier,
                registry,
                principal=request.user,
                execution_id=execution_id,
                asked=asked,
                callbacks=await callbacks(database, settings, request.user, [asked.webhook_url]),
                key=key,
                waits=seconds_asked(request) is not None,
            )
        return await respond_at_end(request, database, authenticator, hub, answer)

    @delete(
        "/api/agentic-executions/{execution_id:int}/",
        operation_id="DeleteExecution",
        summary="Delete an execution",
        opt={"conflicts": True},
    )
    async def erase(self, request: AccountRequest, database: Database, execution_id: Id) -> None:
        """Erases it at once, with its conversation, files and events. Totals of usage keep what it was; orders and
        receipts of goods that it made stay. Only after its outcome."""
        await actions.erase(database, request.user, execution_id)

    @get(
        "/api/agentic-executions/",
        operation_id="ListExecutions",
        summary="List executions",
        dependencies={"filters": Provide(read_filters, sync_to_thread=False)},
    )
    async def list_executions(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        filters: NamedDependency[Filters],
        account: Annotated[str | None, QueryParameter(description="`all`, for admins: of every account.")] = None,
        page: Annotated[str | None, QueryParameter(description="From 1, or `last`.")] = None,
        cursor: Annotated[str | None, QueryParameter(description=BY_CURSOR)] = None,
        page_size: Annotated[str | None, QueryParameter(description="1 to 200, with a cursor; otherwise 25.")] = None,
    ) -> Page[models.ListedExecution]:
        """25 a page, newest first. Filters for what is not there or not yours find nothing; `metadata[name]=text` is a
        filter as well."""
        if not (account == "all" and request.user.is_admin):
            filters = {"account_id": request.user.account_id, **filters}
        if cursor is not None:
            rows = partial(_rows_from, database, filters)
            return await paginate_by_cursor(request, settings, rows, models.listed_execution)
        source = Source(rows=partial(_rows, database, filters), count=partial(_count, database, filters))
        return await paginate(request, settings, source, models.listed_execution)


async def _rows(database: Database, filters: Filters, offset: int, limit: int) -> list[Row]:
    async with database.connection() as connection:
        return await store.list_page(connection, filters, limit=limit, offset=offset)


async def _rows_from(database: Database, filters: Filters, cursor: Cursor, limit: int) -> list[Row]:
    async with database.connection() as connection:
        return await store.list_from(connection, filters, cursor, limit=limit)


async def _count(database: Database, filters: Filters) -> int:
    async with database.connection() as connection:
        return await store.count(connection, filters)
