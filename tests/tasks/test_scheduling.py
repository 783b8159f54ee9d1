"""Slots of schedules in the worker: one execution each however many processes look, or the reason why there is none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from service.database import Connection, Database, Row
from service.definitions.definition import Definition, Input
from service.definitions.registry import Registry
from service.queue import Notifier
from service.schedules import store
from service.workers.store import WorkerDescription
from tasks.lifetime import Lifetime
from tasks.scheduling import Scheduler
from tests.tasks.conftest import AsApp
from tests.tasks.seed import Shop
from tests.tasks.test_run_execution import NoTickets

T = TypeVar("T")

YEARLY, DAILY = "0 0 1 1 *", "0 0 * * *"
THIS_YEAR = "date_trunc('year', now(), 'UTC')"
TWO_DAYS_AGO = "date_trunc('day', now(), 'UTC') - interval '2 days'"


class Task(Input):
    """What to do."""

    text: str


def offering(*keys: str) -> Registry:
    def definition(key: str) -> Definition[Any, Any]:
        defined = Definition(key=key, name=key, agent_type="any", input=Task, output=dict[str, Any])
        defined.instructions(lambda given: "Do it.")
        return defined

    return Registry.of(*map(definition, keys))


ECHO = offering("echo")


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """One whose account was given the data set."""
    shop.connection.execute("INSERT INTO account_data_sets VALUES (%s, %s)", (shop.account_id, shop.data_set_id))
    return shop


def add(shop: Shop, *, slot: str = THIS_YEAR, **given: Any) -> int:
    """A schedule whose next slot is that SQL expression; without more, one of this year's beginning."""
    columns: dict[str, Any] = {
        "cron": YEARLY,
        "time_zone": "UTC",
        "missed": "latest",
        "overlap": "skip",
        "execution_key": "echo",
    }
    columns |= {"account_id": shop.account_id, "agent_id": shop.agent_id, "is_active": True, "priority": 0}
    columns |= {"input": {"text": "a"}, "limits": {}, "metadata": {"shop": "7"}, **given}
    values = {name: Jsonb(value) if isinstance(value, dict) else value for name, value in columns.items()}
    row = shop.connection.execute(
        f"INSERT INTO schedules ({', '.join(values)}, next_slot)"
        f" VALUES ({', '.join(f'%({name})s' for name in values)}, {slot}) RETURNING id".encode(),
        values,
    ).fetchone()
    assert row is not None
    return int(row[0])


def scheduling(app: AsApp, use: Callable[[list[Scheduler]], Awaitable[T]], *registries: Registry) -> T:
    """What `use` returns, given a scheduler of a worker for each of these registries, with connections of its own."""

    async def run() -> T:
        async with AsyncExitStack() as opened:
            schedulers = []
            for registry in registries:
                database = Database(app.settings, application_name="test")
                await database.open()
                opened.push_async_callback(database.close)
                notifier = Notifier(database)
                opened.push_async_callback(notifier.close)
                schedulers.append(Scheduler(app.settings, database, registry, notifier))
            return await use(schedulers)

    return asyncio.run(run())


def look(app: AsApp, registry: Registry = ECHO) -> int:
    """What one worker settles at one look."""
    return scheduling(app, lambda schedulers: schedulers[0].start_due(), registry)


def rows(shop: Shop, statement: str) -> Sequence[Any]:
    return shop.connection.execute(statement.encode()).fetchall()


def outcome(shop: Shop, schedule_id: int) -> dict[str, Any]:
    """What the schedule says of its last slot."""
    columns = "next_slot, last_slot, last_outcome, last_refusal, last_execution_id"
    with shop.connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(f"SELECT {columns} FROM schedules WHERE id = {schedule_id}".encode()).fetchone()
    assert found is not None
    return found


def refusal(shop: Shop, schedule_id: int) -> tuple[str, str]:
    """Code and reason, of a slot that is over, so that it is not tried again, and that has written nothing."""
    said = outcome(shop, schedule_id)
    assert (said["last_outcome"], said["last_slot"] < said["next_slot"]) == ("refused", True)
    assert rows(shop, "SELECT count(*) FROM conversations, executions") == [(0,)]
    return said["last_refusal"]["type"].rpartition("/")[2], said["last_refusal"]["detail"]


def test_slot_when_it_has_come_then_its_execution_starts_as_a_client_would_start_it(app: AsApp, shop: Shop) -> None:
    schedule_id = add(shop, priority=4, limits={"corrections": 1})
    assert look(app) == 1
    assert look(app) == 0
    started = rows(
        shop,
        "SELECT account_id, agent_id, data_set_id, definition_key, definition_version, input, metadata, priority,"
        f" limits ->> 'corrections', schedule_id, schedule_slot = {THIS_YEAR} FROM executions",
    )
    at = (shop.account_id, shop.agent_id, shop.data_set_id)
    assert started == [(*at, "echo", 1, {"text": "a"}, {"shop": "7"}, 4, "1", schedule_id, True)]
    assert rows(shop, "SELECT kind FROM events") == [("accepted",)]
    assert rows(shop, "SELECT phase FROM execution_runtime") == [("ready",)]
    assert rows(shop, "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'") == [(1,)]
    said = outcome(shop, schedule_id)
    assert [(said["last_execution_id"],)] == rows(shop, "SELECT id FROM executions")
    assert (said["last_outcome"], said["last_refusal"]) == ("started", None)
    assert rows(shop, f"SELECT next_slot = {THIS_YEAR} + interval '1 year' FROM schedules") == [(True,)]


def test_slots_when_many_workers_look_at_once_then_one_of_them_starts_each(app: AsApp, shop: Shop) -> None:
    for _ in range(10):
        add(shop, cron=DAILY, slot=TWO_DAYS_AGO, missed="all", overlap="allow")

    async def race(schedulers: list[Scheduler]) -> int:
        total = 0
        while settled := sum(await asyncio.gather(*[each.start_due() for each in schedulers])):
            total += settled
        return total

    settled = scheduling(app, race, *[ECHO] * 4)
    started = rows(shop, "SELECT schedule_id, array_agg(schedule_slot ORDER BY id) FROM executions GROUP BY 1")
    days = [rows(shop, f"SELECT {TWO_DAYS_AGO} + {n} * interval '1 day'")[0][0] for n in range(3)]
    assert [slots for _, slots in started] == [days] * 10
    assert settled == 30


def test_worker_from_its_beginning_on_starts_the_slots_that_come(app: AsApp, shop: Shop) -> None:
    add(shop)

    async def work() -> None:
        description = WorkerDescription(name="w", host="h", pid=1, offers=ECHO.references(), concurrency=1)
        lifetime = Lifetime(app.settings, ECHO, description, NoTickets())
        await lifetime.begin()
        try:
            async with asyncio.timeout(20):
                while not await asyncio.to_thread(rows, shop, "SELECT FROM executions"):  # noqa: ASYNC110 - in use
                    await asyncio.sleep(0.02)
        finally:
            await lifetime.end()

    asyncio.run(work())
    assert rows(shop, "SELECT last_outcome FROM schedules") == [("started",)]


def test_slot_that_has_an_execution_is_not_started_again_where_the_clock_went_back(app: AsApp, shop: Shop) -> None:
    schedule_id = add(shop, overlap="allow")
    look(app)
    first = outcome(shop, schedule_id)
    shop.connection.execute("UPDATE schedules SET next_slot = last_slot")
    assert look(app) == 1
    assert outcome(shop, schedule_id) == first
    assert rows(shop, "SELECT count(*) FROM executions") == [(1,)]


@pytest.mark.parametrize("missed", ["latest", "none", "all"])
def test_slots_when_no_worker_was_alive_then_as_many_start_as_was_said(app: AsApp, shop: Shop, missed: str) -> None:
    schedule_id = add(shop, cron=YEARLY, slot=f"{THIS_YEAR} - interval '5 years'", missed=missed)
    daily = add(shop, cron=DAILY, slot=TWO_DAYS_AGO, missed=missed, overlap="allow")
    while look(app):
        pass
    count = f"SELECT count(*) FROM executions WHERE schedule_id = {daily}"
    assert rows(shop, count) == [({"latest": 1, "none": 0, "all": 3}[missed],)]
    assert outcome(shop, schedule_id)["last_outcome"] == ("started" if missed == "latest" else "missed")
    assert rows(shop, "SELECT count(*) FROM schedules WHERE next_slot <= now()") == [(0,)]


@pytest.mark.parametrize(("overlap", "at_once"), [("skip", 1), ("queue", 0), ("allow", 1)])
def test_slot_while_the_one_before_runs_drops_out_waits_or_starts(
    app: AsApp, shop: Shop, overlap: str, at_once: int
) -> None:
    schedule_id = add(shop, overlap=overlap)
    look(app)
    shop.connection.execute(
        "UPDATE executions SET schedule_slot = schedule_slot - interval '1 year';"
        f"UPDATE schedules SET next_slot = {THIS_YEAR}".encode()
    )
    assert look(app) == at_once
    assert outcome(shop, schedule_id)["last_outcome"] == ("skipped" if overlap == "skip" else "started")
    shop.connection.execute("UPDATE executions SET status = 'finished', result = '{}', finished_at = now()")
    assert look(app) == 1 - at_once
    assert rows(shop, "SELECT count(*) FROM executions") == [(1 if overlap == "skip" else 2,)]


def test_slot_beyond_a_limit_of_its_account_is_refused_and_not_tried_again(app: AsApp, shop: Shop) -> None:
    schedule_id = add(shop)
    shop.connection.execute(
        "INSERT INTO limits (scope, scope_id, name, max_queued) VALUES ('account', %s, '', 0)", (shop.account_id,)
    )
    assert (look(app), look(app)) == (1, 0)
    assert refusal(shop, schedule_id)[0] == "queue_full"


def test_slot_whose_input_the_definition_takes_no_more_is_refused_naming_the_field(app: AsApp, shop: Shop) -> None:
    schedule_id = add(shop, input={"word": "a"})
    assert (look(app), look(app)) == (1, 0)
    code, detail = refusal(shop, schedule_id)
    assert code == "invalid_input"
    assert "input.text" in detail


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE agents SET deleted_at = now()", "agent"),
        ("DELETE FROM account_data_sets", "agent"),
        ("UPDATE accounts SET is_active = false", "account"),
    ],
)
def test_slot_of_whom_nothing_is_started_for_any_more_is_refused(
    app: AsApp, shop: Shop, statement: str, reason: str
) -> None:
    schedule_id = add(shop)
    shop.connection.execute(statement.encode())
    assert look(app) == 1
    code, detail = refusal(shop, schedule_id)
    assert code == "conflict"
    assert reason in detail


def test_slot_of_a_definition_that_is_not_here_is_left_to_a_live_worker_that_has_it_else_refused(
    app: AsApp, shop: Shop
) -> None:
    schedule_id = add(shop)
    shop.connection.execute(
        "INSERT INTO workers (name, host, pid, offers, concurrency, lease_until)"
        " VALUES ('one', 'ops-1', 1, '{echo@2}', 1, now() + interval '1 minute')"
    )
    assert look(app, offering("other")) == 0
    shop.connection.execute("UPDATE workers SET lease_until = now() - interval '1 second'")
    assert look(app, offering("other")) == 1
    assert refusal(shop, schedule_id)[0] == "invalid_input"


def test_slot_is_settled_although_the_one_before_it_cannot_be_and_that_is_logged(
    app: AsApp, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    broken = add(shop, cron="none", slot=f"{THIS_YEAR} - interval '1 day'")
    add(shop)
    with caplog.at_level(logging.ERROR):
        assert look(app) == 1
    assert [getattr(record, "schedule_id", None) for record in caplog.records] == [broken]
    assert outcome(shop, broken)["last_outcome"] is None


@pytest.mark.parametrize(
    "statement",
    ["UPDATE schedules SET revision = revision + 1, is_active = false, next_slot = NULL", "DELETE FROM schedules"],
)
def test_schedule_that_is_changed_or_deleted_after_it_was_seen_to_be_due_starts_nothing(
    app: AsApp, shop: Shop, statement: str
) -> None:
    add(shop)

    async def use(connection: Connection) -> Row | None:
        [seen] = await store.due(connection, keys=["echo"], limit=10)
        shop.connection.execute(statement.encode())
        return await store.take(connection, seen)

    assert app.connected(use) is None
