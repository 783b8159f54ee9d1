"""/api/agentic-executions/…/approvals/: calls of tools that wait for a decision, and the decision."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.params import QueryParameter

from service.accounts.access import Principal
from service.accounts.gate import AccountRequest
from service.approvals import actions, store
from service.approvals.models import Approval, Decision, approval
from service.bodies import read_body
from service.cursors import Cursor, paginate_by_cursor
from service.database import Row
from service.errors import NotFound
from service.pages import Page
from service.provided import Database, Notifier, Settings
from service.wire import Id

CursorQuery = Annotated[str | None, QueryParameter(description="Absent for the newest; then follow `next`.")]
PageSize = Annotated[str | None, QueryParameter(description="1 to 200; 25 if absent.")]
DECIDES = {"body": Decision, "body_optional": True, "conflicts": True}


class ApprovalsController(Controller):
    """Approvals of tool calls."""

    tags = ("Approvals",)

    @get("/api/agentic-executions/approvals/", operation_id="ListApprovals", summary="List what waits for a decision")
    async def list_open(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        account: Annotated[str | None, QueryParameter(description="`all`, for admins: of every account.")] = None,
        cursor: CursorQuery = None,
        page_size: PageSize = None,
    ) -> Page[Approval]:
        """Calls of tools in the account's executions that nobody has decided on yet, newest first."""
        whose = None if account == "all" and request.user.is_admin else request.user.account_id
        return await paginate_by_cursor(request, settings, partial(_open, database, request.user, whose), approval)

    @get(
        "/api/agentic-executions/{execution_id:int}/approvals/",
        operation_id="ListExecutionApprovals",
        summary="List approvals of an execution",
    )
    async def of_execution(
        self,
        request: AccountRequest,
        database: Database,
        settings: Settings,
        execution_id: Id,
        cursor: CursorQuery = None,
        page_size: PageSize = None,
    ) -> Page[Approval]:
        """Open and decided ones, newest first."""
        async with database.connection() as connection:
            if not await store.execution_is_visible(connection, request.user, execution_id):
                raise NotFound
        rows = partial(_of_execution, database, request.user, execution_id)
        return await paginate_by_cursor(request, settings, rows, approval)

    @post(
        "/api/agentic-executions/{execution_id:int}/approvals/{approval_id:int}/approve/",
        status_code=200,
        opt=DECIDES,
        operation_id="ApproveToolCall",
        summary="Approve a tool call",
    )
    async def approve(
        self, request: AccountRequest, database: Database, notifier: Notifier, execution_id: Id, approval_id: Id
    ) -> Approval:
        """The call runs, and the execution goes on, once nothing else of it is open. A repeat answers the same; 409
        where the call was declined, expired or withdrawn."""
        return await _decide(request, database, notifier, execution_id, approval_id, "approved")

    @post(
        "/api/agentic-executions/{execution_id:int}/approvals/{approval_id:int}/decline/",
        status_code=200,
        opt=DECIDES,
        operation_id="DeclineToolCall",
        summary="Decline a tool call",
    )
    async def decline(
        self, request: AccountRequest, database: Database, notifier: Notifier, execution_id: Id, approval_id: Id
    ) -> Approval:
        """The call does not run: the model is told so, with the `reason`, and the execution goes on. A repeat answers
        the same; 409 where the call was approved, expired or withdrawn."""
        return await _decide(request, database, notifier, execution_id, approval_id, "declined")


async def _decide(
    request: AccountRequest,
    database: Database,
    notifier: Notifier,
    execution_id: int,
    approval_id: int,
    decision: Literal["approved", "declined"],
) -> Approval:
    async with database.connection() as connection:  # absent before anything is wrong with the body
        await actions.existing(connection, request.user, execution_id, approval_id)
    asked = await read_body(request, Decision) if await request.body() else Decision()
    return approval(
        await actions.decide(database, notifier, request.user, execution_id, approval_id, decision, asked.reason)
    )


async def _open(
    database: Database, principal: Principal, account_id: int | None, cursor: Cursor, limit: int
) -> list[Row]:
    async with database.connection() as connection:
        return await store.open_of_account(connection, principal, account_id, cursor, limit=limit)


async def _of_execution(
    database: Database, principal: Principal, execution_id: int, cursor: Cursor, limit: int
) -> list[Row]:
    async with database.connection() as connection:
        return await store.of_execution(connection, principal, execution_id, cursor, limit=limit)
