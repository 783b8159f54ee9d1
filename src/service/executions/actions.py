"""The rules of starting and reading executions. Everything about a start is judged before anything is written."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import msgspec
from psycopg.errors import ForeignKeyViolation, LockNotAvailable, UniqueViolation

from service.accounts.access import Principal
from service.agents.store import visible_agent
from service.database import Connection, Database, Row
from service.definitions.registry import Registry
from service.errors import Conflict, NotFound, Unavailable
from service.executions import ending, models, store
from service.executions.judging import Start, judge, offered
from service.executions.lifecycle import Status
from service.files import actions as files
from service.files.limits import FileLimits
from service.idempotency.actions import Answer, Once, answered, carry_out, digest_of
from service.limits import actions as limits_of_accounts
from service.limits.admission import standing_of
from service.queue import Notifier
from service.retention import store as retention
from service.webhooks.callbacks import Callbacks

ATTEMPTS = 3
"""Times that one acceptance is tried: after an outage the pool may still hand out connections that are dead."""


async def look_for_agent(database: Database, principal: Principal, agent_id: int) -> Row | None:
    """The agent; None if it is absent or not this account's to see."""
    async with database.connection() as connection:
        return await visible_agent(connection, principal, agent_id)


async def find_agent(database: Database, principal: Principal, agent_id: int) -> Row:
    """The same. Raises NotFound."""
    agent = await look_for_agent(database, principal, agent_id)
    if agent is None:
        raise NotFound
    return agent


async def start(
    database: Database,
    notifier: Notifier,
    registry: Registry,
    *,
    principal: Principal,
    agent_id: int,
    agent: Row | None,
    asked: Start,
    limits: FileLimits,
    callbacks: Callbacks,
    key: str | None = None,
    waits: bool = False,
) -> Answer:
    """Judge the request, keep its files, accept it. The execution is committed when this returns.

    With an idempotency `key` it is accepted once, and answered the same each time; if it `waits`, what it is answered
    is not settled yet. An `agent` that is absent, by now, starts nothing: then only an earlier answer is told, and
    NotFound raised without one. Raises InvalidInput or BadRequest
    with nothing written; Conflict for an external id that is taken; Unavailable if the database cannot say that the
    execution was kept.
    """
    once = None
    if key is not None:
        once = Once(principal.account_id, key, digest_of("start", agent_id, asked.identity), waits)
        if earlier := await answered(database, once):
            return earlier
    if agent is None:
        raise NotFound
    offers = await offered(database, registry, agent["agent_type"])
    prepared = judge(registry, offers, principal=principal, agent=agent, asked=asked, callbacks=callbacks)
    identified = await files.identify_all(asked.files, limits)
    if asked.files:
        await limits_of_accounts.require_room(database, principal.account_id)
    new = replace(prepared, files=await files.keep(database, asked.files, identified))
    answer = await (accept(database, new) if once is None else accept_once(database, once, new))
    notifier.ticket_added()
    return answer


async def accept(database: Database, new: store.NewExecution) -> Answer:
    """Commit the execution. If the reply to the commit is lost, find out whether it is there before trying again.

    Raises Unavailable only if the database cannot be asked any more.
    """
    was_sent = False
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            async with database.connection(party=new.account_id) as connection:
                if was_sent and (row := await store.get_by_task_id(connection, new.account_id, new.celery_task_id)):
                    return _answer(row, new)
                was_sent = True
                return await _accept(connection, new)
        except UniqueViolation:
            continue  # the commit whose reply was lost was still under way when we looked
        except Conflict:  # perhaps with that same commit
            if attempts_left in (ATTEMPTS - 1, 0):
                raise
        except Unavailable:
            if not was_sent or not attempts_left:
                raise
    raise Unavailable


async def accept_once(database: Database, once: Once, new: store.NewExecution) -> Answer:
    """The same in one transaction with the key of the request, unless it was accepted before."""
    return await carry_out(database, once, partial(_accept, new=new))


async def _accept(connection: Connection, new: store.NewExecution) -> Answer:
    try:
        row = await store.accept(connection, new)
    except ForeignKeyViolation as error:
        raise Unavailable("The uploaded files were given up before the request was complete; try again.") from error
    except UniqueViolation as error:
        if error.diag.constraint_name == store.EXTERNAL_ID_KEY:
            raise taken(new.external_id) from error
        raise
    except LockNotAvailable as error:
        raise Unavailable(limits_of_accounts.BUSY) from error
    standing = standing_of(row["standing"])
    if row["id"] is None:
        assert standing is not None
        raise standing.refusal()
    return replace(_answer(row, new), headers={} if standing is None else standing.after(1).headers())


def taken(external_id: str | None) -> Conflict:
    """What a start is answered whose external id another execution of the account has."""
    return Conflict(f"external_id {external_id!r} is that of another execution; list them by external_id.")


def _answer(row: Row, new: store.NewExecution) -> Answer:
    """The 202. `input` is in the schema's order; jsonb has its own, which later answers show."""
    body = msgspec.json.encode(models.execution({**row, "input": new.input}))
    location = f"/api/agentic-executions/{row['id']}/"
    return Answer(status=202, body=body, location=location, execution_ids=(row["id"],))


async def look_for(database: Database, principal: Principal, execution_id: int) -> Row | None:
    """The execution with its files; None if it is absent or another account's."""
    async with database.connection() as connection:
        return await store.get(connection, None if principal.is_admin else principal.account_id, execution_id)


async def get(database: Database, principal: Principal, execution_id: int) -> Row:
    """The same. Raises NotFound."""
    row = await look_for(database, principal, execution_id)
    if row is None:
        raise NotFound
    return row


async def cancel(database: Database, notifier: Notifier, principal: Principal, execution_id: int) -> Row:
    """The execution after it was asked to end: final at once where no worker had it, and unchanged where it was final.

    Raises NotFound if it is absent or another account's. Safe to repeat.
    """
    account_id = None if principal.is_admin else principal.account_id
    async with database.transaction(party=principal.account_id) as connection:
        await ending.ask_to_cancel(connection, account_id, execution_id)
        row = await store.get(connection, account_id, execution_id)
    if row is None:
        raise NotFound
    if Status(row["status"]).is_final:
        notifier.events_added()
    else:
        notifier.cancel_asked()
    return row


async def erase(database: Database, principal: Principal, execution_id: int) -> None:
    """Delete the execution with all that is its own. Raises NotFound, and Conflict before its outcome."""
    row = await get(database, principal, execution_id)
    if row["finished_at"] is None:
        raise Conflict("Only an execution that has ended can be deleted; cancel it first.")
    async with database.transaction(party=principal.account_id) as connection:
        if not await retention.delete(connection, [execution_id], waits=True):
            raise NotFound  # somebody else has deleted it meanwhile
