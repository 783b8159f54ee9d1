"""Schedules in the worker: each second every process looks for slots that have come, and one of them starts each.

What is started is judged before the transaction that takes the slot, so author code runs in none; the transaction
holds the schedule, starts the execution and moves the schedule on, or does nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace

import psycopg
from psycopg.errors import UniqueViolation

from service.accounts.access import Principal
from service.agents.store import visible_agent
from service.database import Connection, Database, Row
from service.definitions.registry import Registry
from service.errors import Conflict, ServiceError, Unavailable
from service.executions.store import SLOT_KEY, NewExecution, accept
from service.limits.admission import standing_of
from service.queue import Notifier
from service.schedules import store
from service.schedules.actions import judged
from service.schedules.slots import Due, Timetable, due
from service.schedules.store import Settled
from service.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
AT_ONCE = 100
"""Schedules of one look; those that are overdue longest come first, so none is passed over for ever."""


@dataclass(frozen=True)
class Scheduler:
    """What starts slots: the settings and definitions of this process, and the database that all share."""

    settings: Settings
    database: Database
    registry: Registry
    notifier: Notifier

    async def run(self) -> None:
        """Once a second, all slots that have come. Waits out an outage and goes on."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                while await self.start_due() == AT_ONCE:
                    pass
            except Unavailable:
                continue
            except psycopg.Error as error:
                log.error("schedules failed", exc_info=error)

    async def start_due(self) -> int:
        """Settle a slot of each schedule that is due. Returns how many this process settled.

        One that cannot be settled holds up no other."""
        keys = sorted({reference.rpartition("@")[0] for reference in self.registry.references()})
        async with self.database.connection() as connection:
            rows = await store.due(connection, keys=keys, limit=AT_ONCE)
        settled = 0
        for row in rows:
            try:
                settled += await self._settle(row)
            except Unavailable:
                raise
            except Exception:
                log.exception("a schedule's slot cannot be settled", extra={"schedule_id": row["id"]})
        return settled

    async def _settle(self, schedule: Row) -> bool:
        """Whether this process settled its slot; another may have been faster."""
        timetable = Timetable(schedule["cron"], schedule["time_zone"])
        coming = due(timetable, schedule["missed"], schedule["next_slot"], schedule["now"])
        new = Settled(outcome="missed") if coming.is_missed else await self._judged(schedule, coming)
        async with self.database.transaction() as connection:
            held = await store.take(connection, schedule)
            if held is None or (held["is_running"] and schedule["overlap"] == "queue"):
                return False
            settled = await _settled(connection, schedule, new, is_running=held["is_running"])
            await store.settle(connection, schedule["id"], settled, slot=coming.slot, next_slot=coming.next_slot)
        self._tell(schedule, settled)
        return True

    async def _judged(self, schedule: Row, coming: Due) -> NewExecution | Settled:
        """What is to be started for the slot, or why not. A defect in the author's code is a refusal as well: it would
        come again each second."""
        try:
            new = await self._start_of(schedule)
        except Unavailable:
            raise
        except ServiceError as error:
            return _refused(error)
        except Exception:
            log.exception("a schedule's start cannot be judged", extra={"schedule_id": schedule["id"]})
            return _refused(ServiceError("The definition failed while it read the input; the worker's log says more."))
        return replace(new, schedule_id=schedule["id"], schedule_slot=coming.slot)

    async def _start_of(self, schedule: Row) -> NewExecution:
        principal = Principal(account_id=schedule["account_id"], is_admin=schedule["is_admin"])
        if not schedule["has_account"]:
            raise Conflict("The account of this schedule is not active.")
        async with self.database.connection() as connection:
            agent = await visible_agent(connection, principal, schedule["agent_id"])
        if agent is None:
            raise Conflict("The agent of this schedule is not there any more for its account.")
        return await judged(
            self.database, self.registry, self.settings, principal=principal, agent=agent, values=schedule
        )

    def _tell(self, schedule: Row, settled: Settled) -> None:
        if settled.execution_id is not None:
            self.notifier.ticket_added()
        fields = {"schedule_id": schedule["id"], "outcome": settled.outcome, "execution_id": settled.execution_id}
        log.info("a schedule's slot has come", extra=fields)


async def _settled(connection: Connection, schedule: Row, new: NewExecution | Settled, *, is_running: bool) -> Settled:
    """Start what is to be started, unless it is to be skipped or the account's limits leave no room."""
    if isinstance(new, Settled):
        return new
    if is_running and schedule["overlap"] == "skip":
        return Settled(outcome="skipped")
    try:
        async with connection.transaction():
            row = await accept(connection, new)
    except UniqueViolation as error:
        if error.diag.constraint_name != SLOT_KEY:
            raise
        return Settled(outcome="started")  # before the database's clock went back, as after a failover
    if row["id"] is not None:
        return Settled(outcome="started", execution_id=row["id"])
    standing = standing_of(row["standing"])
    assert standing is not None
    return _refused(standing.refusal())


def _refused(error: ServiceError) -> Settled:
    return Settled(outcome="refused", refusal={"type": f"/api/docs/errors/{error.code}", "detail": error.detail})
