"""GET /api/conversations/{id}/: the read-only record of a run."""

from __future__ import annotations

from litestar import Controller, get, post

from service.accounts.gate import AccountRequest
from service.conversations import store
from service.conversations.models import ConversationRecord
from service.conversations.record import conversation_record
from service.errors import BadRequest, NotFound
from service.provided import Database
from service.wire import Id


class ConversationsController(Controller):
    """Conversations of executions."""

    path = "/api/conversations/"
    tags = ("Conversations",)

    @get("/{conversation_id:int}/", operation_id="GetConversation", summary="Get the record of an execution")
    async def get_one(self, request: AccountRequest, database: Database, conversation_id: Id) -> ConversationRecord:
        """Cycle by cycle: the model's turns, its tool calls, the verdicts with their issues.

        Prompts, and arguments and results of tool calls, are shown to admin accounts only.
        """
        async with database.connection() as connection:
            rows = await store.read(connection, request.user, conversation_id)
        if rows is None:
            raise NotFound
        return conversation_record(rows, shows_contents=request.user.is_admin)

    @post(
        "/{conversation_id:int}/",
        opt={"always_refused": True},
        operation_id="PostToConversation",
        summary="Always refused",
        status_code=200,
    )
    async def refuse(self, request: AccountRequest, database: Database, conversation_id: Id) -> None:
        """The conversation of an execution cannot be written to: 400."""
        async with database.connection() as connection:
            conversation = await store.find(connection, request.user, conversation_id)
        if conversation is None:
            raise NotFound
        raise BadRequest("The conversation of an execution is a record; nothing can be posted to it.")
