"""Starting an execution once more: the same agent, key and files, and what the caller changes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET

from service.accounts.access import Principal
from service.agents.store import visible_agent
from service.database import Database, Row
from service.definitions.definition import AnyDefinition
from service.definitions.limits import NAMES, Limits
from service.definitions.registry import Registry
from service.errors import Conflict, FieldError, InvalidInput
from service.executions import actions
from service.executions.judging import Start, judge, offered
from service.executions.models import Rerun
from service.files import store as files
from service.files.store import NewFile
from service.idempotency.actions import Answer, Once, answered, digest_of
from service.queue import Notifier
from service.webhooks.callbacks import Callbacks


async def start(
    database: Database,
    notifier: Notifier,
    registry: Registry,
    *,
    principal: Principal,
    execution_id: int,
    asked: Rerun,
    callbacks: Callbacks,
    key: str | None = None,
    waits: bool = False,
) -> Answer:
    """Accept a new execution like that one, in the version that is offered now.

    Raises NotFound for one that is absent or another account's, unless this was answered before; Conflict where its
    agent or key is there no more, and whatever a start raises.
    """
    once = None
    if key is not None:
        once = Once(principal.account_id, key, digest_of("rerun", execution_id, msgspec.to_builtins(asked)), waits)
        if before := await answered(database, once):
            return before
    earlier = await actions.get(database, principal, execution_id)
    agent, kept = await _agent_and_files(database, principal, earlier)
    offers = await offered(database, registry, agent["agent_type"])
    definition = next((offer for offer in offers if offer.key == earlier["definition_key"]), None)
    if definition is None:
        raise Conflict(f"The agent does not offer {earlier['definition_key']!r} any more.")
    if kept and not (agent["file_upload"] and definition.accepts_files):
        raise InvalidInput([FieldError("files", "are not taken by this agent any more: file upload is disabled")])
    wanted = _as_start(definition, earlier, asked)
    prepared = judge(registry, offers, principal=principal, agent=agent, asked=wanted, callbacks=callbacks)
    new = replace(prepared, files=kept, rerun_of=execution_id)
    answer = await (actions.accept(database, new) if once is None else actions.accept_once(database, once, new))
    notifier.ticket_added()
    return answer


async def _agent_and_files(database: Database, principal: Principal, earlier: Row) -> tuple[Row, list[NewFile]]:
    """The files stay where they are: the new execution refers to the same bytes."""
    async with database.connection() as connection:
        agent = await visible_agent(connection, principal, earlier["agent_id"])
        stored = await files.list_files(connection, earlier["conversation_id"])
    if agent is None:
        raise Conflict("The agent of this execution is not there any more for this account.")
    if len(stored) < len(earlier["files"]):
        raise Conflict("The files of this execution are kept no more; start a new one with them.")
    kept = [NewFile(blob_id=file.blob_id, filename=file.filename, content_type=file.content_type) for file in stored]
    return agent, kept


def _as_start(definition: AnyDefinition, earlier: Row, asked: Rerun) -> Start:
    """What is not given is as before; but an external id is of one execution, and times, order and who is told of one
    start."""
    return Start(
        execution_key=definition.key,
        input=earlier["input"] if asked.input is UNSET else asked.input,
        limits=_as_before(definition.limits, earlier["limits"]) if asked.limits is UNSET else asked.limits,
        external_id=asked.external_id,
        metadata=earlier["metadata"] if asked.metadata is UNSET else asked.metadata,
        deadline=asked.deadline,
        start_after=asked.start_after,
        priority=asked.priority,
        webhook_url=asked.webhook_url,
    )


def _as_before(most: Limits, earlier: dict[str, Any]) -> dict[str, Any]:
    """The earlier limits, where the definition has not become stricter: a rerun spends no more than its first run."""
    given = {name: earlier.get(name) for name in NAMES}
    return {
        name: value
        for name, value in given.items()
        if value is not None and (getattr(most, name) is None or value <= getattr(most, name))
    }
