"""SQL that reads conversations. What the caller may not see is not even read."""

from __future__ import annotations

from dataclasses import dataclass

from service.accounts.access import Principal
from service.database import Connection, Row

CONVERSATION = """
SELECT c.id, c.started_at, c.summary, c.agent_id, e.id AS execution_id, e.input, e.definition_key, e.definition_version
FROM conversations c LEFT JOIN executions e ON e.conversation_id = c.id
WHERE c.id = %(id)s AND (%(is_admin)s OR c.account_id = %(account_id)s)
"""

FILES = """
SELECT filename, content_type FROM files
WHERE conversation_id = %(id)s AND (%(is_admin)s OR account_id = %(account_id)s) ORDER BY id LIMIT 1000
"""

SECONDS = "extract(epoch FROM {0}.finished_at - {0}.started_at)::float8 AS seconds"
SHOWN = "%(shows_contents)s AND e.content_erased_at IS NULL"
OWNED = """
JOIN executions e ON e.id = {0}.execution_id
WHERE e.conversation_id = %(id)s AND (%(is_admin)s OR e.account_id = %(account_id)s)
"""

# `other` is what the turn's requests cost that brought no answer; the one in flight counts as it was reserved.
TURNS = f"""
SELECT t.number, t.cycle, t.item, t.model, CASE WHEN {SHOWN} THEN t.request END AS request, t.answer,
       t.finish_reason, t.attempts, t.input_tokens, t.cached_tokens, t.output_tokens, t.started_at,
       {SECONDS.format("t")}, t.strategy, t.calls + (t.reserved_output_tokens > 0)::integer AS calls,
       t.lost_input_tokens + t.reserved_input_tokens AS other_input_tokens, t.lost_cached_tokens,
       t.lost_output_tokens + t.reserved_output_tokens AS other_output_tokens,
       CASE WHEN t.finished_at IS NULL THEN 0 ELSE t.cost END + t.lost_cost + t.reserved_cost AS cost,
       t.is_estimated OR t.reserved_output_tokens > 0 AS is_estimated
FROM turns t {OWNED.format("t")} ORDER BY t.number LIMIT 10000
"""  # noqa: S608

TOOL_CALLS = f"""
SELECT c.turn, c.number, c.name, CASE WHEN %(shows_contents)s THEN c.arguments END AS arguments,
       CASE WHEN {SHOWN} THEN c.result END AS result, c.succeeded, c.attempts, c.started_at,
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
    """The conversation with its execution's input and definition; None if absent or somebody else's. Admins see all."""
    cursor = await connection.execute(CONVERSATION, _asking(principal, conversation_id))
    return await cursor.fetchone()


async def read(
    connection: Connection, principal: Principal, conversation: Row, *, shows_contents: bool
) -> ConversationRows:
    """The whole record of a conversation that `find` gave; prompts, arguments and results only if they are shown."""
    arguments = {**_asking(principal, conversation["id"]), "shows_contents": shows_contents}
    files, turns, tool_calls, verdicts = [
        await (await connection.execute(statement, arguments)).fetchall()
        for statement in (FILES, TURNS, TOOL_CALLS, VERDICTS)
    ]
    return ConversationRows(conversation, files, turns, tool_calls, verdicts)


def _asking(principal: Principal, conversation_id: int) -> dict[str, object]:
    return {"id": conversation_id, "account_id": principal.account_id, "is_admin": principal.is_admin}
