"""SQL that reads conversations. What only admins may see is not even read for others."""

from __future__ import annotations

from dataclasses import dataclass

from service.accounts.access import Principal
from service.database import Connection, Row

CONVERSATION = """
SELECT c.id, c.started_at, c.summary, c.agent_id, e.id AS execution_id, e.input
FROM conversations c LEFT JOIN executions e ON e.conversation_id = c.id
WHERE c.id = %(id)s AND (%(is_admin)s OR c.account_id = %(account_id)s)
"""

FILES = """
SELECT filename, content_type FROM files
WHERE conversation_id = %(id)s AND (%(is_admin)s OR account_id = %(account_id)s) ORDER BY id LIMIT 1000
"""

SECONDS = "extract(epoch FROM {0}.finished_at - {0}.started_at)::float8 AS seconds"
OWNED = """
JOIN executions e ON e.id = {0}.execution_id
WHERE e.conversation_id = %(id)s AND (%(is_admin)s OR e.account_id = %(account_id)s)
"""

TURNS = f"""
SELECT t.number, t.cycle, t.item, t.model, CASE WHEN %(is_admin)s THEN t.request END AS request, t.answer,
       t.finish_reason, t.attempts, t.input_tokens, t.cached_tokens, t.output_tokens, t.started_at,
       {SECONDS.format("t")}
FROM turns t {OWNED.format("t")} ORDER BY t.number LIMIT 10000
"""  # noqa: S608

TOOL_CALLS = f"""
SELECT c.turn, c.number, c.name, CASE WHEN %(is_admin)s THEN c.arguments END AS arguments,
       CASE WHEN %(is_admin)s THEN c.result END AS result, c.succeeded, c.attempts, c.started_at,
       {SECONDS.format("c")}
FROM tool_calls c {OWNED.format("c")} ORDER BY c.turn, c.number LIMIT 10000
"""  # noqa: S608

VERDICTS = f"""
SELECT v.cycle, v.validator, v.kind, v.code, v.explanation, v.issues
FROM verdicts v {OWNED.format("v")} ORDER BY v.cycle, v.number LIMIT 10000
"""  # noqa: S608


@dataclass(frozen=True)
class ConversationRows:
    """A conversation with everything that was recorded in it, in order."""

    conversation: Row
    files: list[Row]
    turns: list[Row]
    tool_calls: list[Row]
    verdicts: list[Row]


async def find(connection: Connection, principal: Principal, conversation_id: int) -> Row | None:
    """The conversation with its execution's `input`; None if it is absent or somebody else's. Admins see all."""
    cursor = await connection.execute(CONVERSATION, _asking(principal, conversation_id))
    return await cursor.fetchone()


async def read(connection: Connection, principal: Principal, conversation_id: int) -> ConversationRows | None:
    """The whole record; prompts, arguments and results are None unless an admin asks. None as `find`."""
    conversation = await find(connection, principal, conversation_id)
    if conversation is None:
        return None
    arguments = _asking(principal, conversation_id)
    files, turns, tool_calls, verdicts = [
        await (await connection.execute(statement, arguments)).fetchall()
        for statement in (FILES, TURNS, TOOL_CALLS, VERDICTS)
    ]
    return ConversationRows(conversation, files, turns, tool_calls, verdicts)


def _asking(principal: Principal, conversation_id: int) -> dict[str, object]:
    return {"id": conversation_id, "account_id": principal.account_id, "is_admin": principal.is_admin}
