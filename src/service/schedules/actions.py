"""The rules of schedules: each is judged as the starts that it will make, when it is made and when it is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from service.accounts.access import Principal
from service.agents.store import visible_agent
from service.database import Connection, Database, Row
from service.definitions.registry import Registry
from service.errors import Conflict, InvalidInput, NotFound
from service.executions.judging import Start, judge, offered
from service.executions.store import NewExecution
from service.idempotency.actions import Answer, Once, carry_out, digest_of
from service.schedules import store
from service.schedules.models import NewSchedule, ScheduleChange, ScheduleRecord, schedule
from service.schedules.slots import Timetable, problems
from service.settings import Settings
from service.webhooks.callbacks import callbacks

MOST_SCHEDULES = 200
OF_START = ("input", "limits", "metadata", "priority", "webhook_url")
"""What a schedule hands to each start beside its key."""


async def create(
    database: Database,
    registry: Registry,
    settings: Settings,
    *,
    principal: Principal,
    agent: Row,
    new: NewSchedule,
    key: str | None = None,
) -> Answer:
    """A schedule of the account on the agent; with an idempotency `key` it is made once.

    Raises InvalidInput for what a start would be refused for, for a cron expression that cannot be read and a time zone
    that there is not; Conflict for one too many.
    """
    values = msgspec.structs.asdict(new)
    wrong = problems(new.cron, new.time_zone)
    try:
        await judged(database, registry, settings, principal=principal, agent=agent, values=values)
    except InvalidInput as error:
        wrong += error.errors
    if wrong:
        raise InvalidInput(wrong)

    async def work(connection: Connection) -> Answer:
        if await store.count_of_account(connection, principal.account_id) >= MOST_SCHEDULES:
            raise Conflict(f"An account may have {MOST_SCHEDULES} schedules.")
        first = Timetable(new.cron, new.time_zone).after(await store.now(connection)) if new.is_active else None
        schedule_id = await store.insert(
            connection, account_id=principal.account_id, agent_id=agent["id"], next_slot=first, **values
        )
        body = msgspec.json.encode(schedule(await existing(connection, principal, schedule_id)))
        return Answer(status=201, body=body, location=f"/api/schedules/{schedule_id}/")

    if key is not None:
        digest = digest_of("schedule", agent["id"], msgspec.to_builtins(new))
        return await carry_out(database, Once(principal.account_id, key, digest), work)
    async with database.transaction() as connection:
        return await work(connection)


async def change(
    database: Database,
    registry: Registry,
    settings: Settings,
    *,
    principal: Principal,
    schedule_id: int,
    asked: ScheduleChange,
) -> ScheduleRecord:
    """The schedule as it is then. Whatever is started later is as it says; a slot that is being started is not stopped.

    Raises as `create`, and Conflict where its agent is gone. What it starts is judged again only where that changes, or
    where it is made active: to stop one is always possible.
    """
    given = {name: value for name, value in msgspec.structs.asdict(asked).items() if value is not UNSET}
    async with database.connection() as connection:
        row = await existing(connection, principal, schedule_id)
        agent = await visible_agent(connection, principal, row["agent_id"])
    values = {**row, **given}
    if wrong := problems(values["cron"], values["time_zone"]):
        raise InvalidInput(wrong)
    if given.get("is_active") or not given.keys().isdisjoint(OF_START):
        if agent is None:
            raise Conflict("The agent of this schedule is not there any more for this account.")
        owner = Principal(account_id=row["account_id"], is_admin=principal.is_admin)
        await judged(database, registry, settings, principal=owner, agent=agent, values=values)
    async with database.transaction() as connection:
        await store.lock(connection, schedule_id)
        row = await existing(connection, principal, schedule_id)
        values = {**row, **given}
        await store.update(connection, schedule_id, {**values, "next_slot": await _next_slot(connection, row, values)})
        return schedule(await existing(connection, principal, schedule_id))


async def delete(connection: Connection, principal: Principal, schedule_id: int) -> None:
    """What it started goes on. Raises NotFound."""
    await existing(connection, principal, schedule_id)
    await store.delete(connection, schedule_id)


async def existing(connection: Connection, principal: Principal, schedule_id: int) -> Row:
    """The schedule. Raises NotFound for one that is absent or another account's."""
    row = await store.get(connection, None if principal.is_admin else principal.account_id, schedule_id)
    if row is None:
        raise NotFound
    return row


async def judged(
    database: Database,
    registry: Registry,
    settings: Settings,
    *,
    principal: Principal,
    agent: Row,
    values: Mapping[str, Any],
) -> NewExecution:
    """What a schedule with these values starts now. Raises InvalidInput for everything that a start is refused for."""
    asked = Start(execution_key=values["execution_key"], **{name: values[name] for name in OF_START})
    offers = await offered(database, registry, agent["agent_type"])
    told = await callbacks(database, settings, principal, [asked.webhook_url])
    return judge(registry, offers, principal=principal, agent=agent, asked=asked, callbacks=told)


async def _next_slot(connection: Connection, before: Row, values: dict[str, Any]) -> object:
    """When it starts next after a change: as before, unless the change is about that."""
    if not values["is_active"]:
        return None
    if before["is_active"] and all(before[name] == values[name] for name in ("cron", "time_zone")):
        return before["next_slot"]
    return Timetable(values["cron"], values["time_zone"]).after(await store.now(connection))
