"""The rules of deciding: who may, once, and what the run does then."""

from __future__ import annotations

from typing import Literal

from service.accounts.access import Principal
from service.approvals import pausing, store
from service.database import Connection, Database, Row
from service.errors import Conflict, Forbidden, NotFound
from service.queue import Notifier

WORDS = {
    "approved": "was approved",
    "declined": "was declined",
    "expired": "was not decided in time",
    "withdrawn": "is needed no more: its execution has ended",
}


async def existing(connection: Connection, principal: Principal, execution_id: int, approval_id: int) -> Row:
    """The approval, which the caller may decide.

    Raises NotFound if it is absent or another account's; Forbidden where the account may not start executions on the
    agent any more.
    """
    row = await store.find(connection, principal, execution_id, approval_id)
    if row is None:
        raise NotFound
    if not row["may_decide"]:
        raise Forbidden("This account may not use the agent of this execution any more.")
    return row


async def decide(
    database: Database,
    notifier: Notifier,
    principal: Principal,
    execution_id: int,
    approval_id: int,
    decision: Literal["approved", "declined"],
    reason: str | None,
) -> Row:
    """The approval as it is now decided; the run goes on where it was the last that was open. Safe to repeat: the first
    decision stays, with its reason.

    Raises as `existing`, and Conflict where it was decided otherwise, or is open no more.
    """
    is_woken = False
    async with database.transaction(party=principal.account_id) as connection:
        await existing(connection, principal, execution_id, approval_id)
        if await store.lock_run(connection, execution_id) and await store.decide(
            connection, principal, execution_id, approval_id, decision, reason
        ):
            is_woken = await pausing.wake(connection, execution_id)
        row = await existing(connection, principal, execution_id, approval_id)
    if is_woken:
        notifier.ticket_added()
    else:
        notifier.events_added()
    if row["status"] != decision:
        raise Conflict(f"This call {WORDS[row['status']]}.")
    return row
