"""GET /api/conversations/{id}/: the read-only record of a run."""

from __future__ import annotations

from litestar import Controller, get, post

from service.accounts.gate import AccountRequest
from service.conversations import store
from service.conversations.models import ConversationRecord
from service.conversations.record import conversation_record
from service.database import Row
from service.errors import BadRequest, NotFound
from service.provided import Database, Registry
from service.wire import Id


class ConversationsController(Controller):
    """Conversations of executions."""

    path = "/api/conversations/"
    tags = ("Conversations",)

    @get("/{conversation_id:int}/", operation_id="GetConversation", summary="Get the record of an execution")
    async def get_one(
        self, request: AccountRequest, database: Database, registry: Registry, conversation_id: Id
    ) -> ConversationRecord:
        """Cycle by cycle: the model's turns, its tool calls, the verdicts with their issues; tokens, cost, seconds.

        Prompts, and arguments and results of tool calls, are shown to admin accounts, and to others where the
        definition says so.
        """
        async with database.connection() as connection:
            conversation = await store.find(connection, request.user, conversation_id)
            if conversation is None:
                raise NotFound
            shows = request.user.is_admin or _is_open(conversation, registry)
            rows = await store.read(connection, request.user, conversation, shows_contents=shows)
        return conversation_record(rows, shows_contents=shows)

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


def _is_open(conversation: Row, registry: Registry) -> bool:
    """Whether the definition lets account tokens see all of a run. One that is not installed any more says no."""
    if conversation["execution_id"] is None:
        return False
    definition = registry.get(conversation["definition_key"], conversation["definition_version"])
    return definition is not None and definition.transcript == "all"
