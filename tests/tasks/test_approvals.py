"""Runs that wait for an approval, in a real worker over a real database, decided over the real API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentic import ToolContext, tool
from service.accounts.access import Principal
from service.approvals import actions, pausing, store
from service.database import Database
from service.definitions.registry import Registry
from service.errors import Conflict
from service.executions import ending, recovery, runtime
from service.executions.runtime import Claim
from service.executions.waits import count_waits
from service.queue import Notifier
from tasks.approving import OPEN, Standing
from tasks.database_journal import DatabaseJournal
from tasks.journal import LostClaim, ToolCallStart, TurnStart
from tasks.waiting import pause
from tests import http
from tests.tasks.conftest import AsApp
from tests.tasks.holding import add_worker, hold
from tests.tasks.seed import Shop
from tests.tasks.test_run_execution import definition, outcome, run, script

ORDER = {"tool": "order", "args": {"sku": "A-1"}}


class Till:
    """A definition whose tool orders after approval, and notes under which key; the first call may die."""

    def __init__(self, tmp_path: Path, *steps: dict[str, Any], seconds: float | None = None) -> None:
        self.keys: list[str] = []
        self.dies = False

        @tool(requires_approval=True, approval_seconds=seconds)
        async def order(context: ToolContext, sku: str) -> str:
            """Order it."""
            self.keys.append(context.idempotency_key)
            if self.dies:
                self.dies = False
                raise asyncio.CancelledError  # as from a worker that is told to stop at once
            return "ordered"

        self.made = definition(model=script(tmp_path, *(steps or [ORDER]), {"answer": {"a": 1}}), tools=[order])


def phase(shop: Shop) -> Any:
    return shop.connection.execute(
        "SELECT phase, worker_id, losses, resume_at IS NULL FROM execution_runtime ORDER BY execution_id"
    ).fetchone()


def kinds(shop: Shop) -> list[str]:
    return [kind for (kind,) in shop.connection.execute("SELECT kind FROM events ORDER BY execution_id, seq")]


def tickets(shop: Shop) -> int:
    row = shop.connection.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'").fetchone()
    assert row is not None
    return int(row[0])


def approvals(shop: Shop) -> list[Any]:
    return shop.connection.execute("SELECT call, decision, decided_by, reason FROM approvals ORDER BY id").fetchall()


def ids(shop: Shop, call: int = 1) -> tuple[int, int]:
    """Of the execution and of the approval of its call."""
    row = shop.connection.execute("SELECT execution_id, id FROM approvals WHERE call = %s", (call,)).fetchone()
    assert row is not None
    return row[0], row[1]


def decide(app: AsApp, shop: Shop, *, decision: Any = "approved", call: int = 1, reason: str | None = None) -> None:
    async def use(database: Database) -> None:
        execution_id, approval_id = ids(shop, call)
        principal = Principal(account_id=shop.account_id, is_admin=True)
        await actions.decide(database, Notifier(database), principal, execution_id, approval_id, decision, reason)

    app.pooled(use)


def test_run_whose_tool_must_be_approved_is_started_decided_and_finished_over_http(
    app: AsApp, shop: Shop, tmp_path: Path, database_url: str
) -> None:
    till = Till(tmp_path)
    account = http.create_account(shop.connection, "till", data_sets=[shop.data_set_id])
    with http.serving_next(database_url, Registry.of(till.made)) as client:
        client.headers.update(account.headers)
        body = {"execution_key": "any", "input": {}}
        started = client.post(f"/api/agents/{shop.agent_id}/agentic-executions/", json=body).json()
        path = f"/api/agentic-executions/{started['id']}/"
        run(app, till.made)
        waiting = client.get(path).json()
        assert (waiting["status"], waiting["awaits_approval"], till.keys) == ("in_progress", True, [])
        (asked,) = client.get("/api/agentic-executions/approvals/").json()["results"]
        assert (asked["tool"], asked["arguments"], asked["status"]) == ("order", {"sku": "A-1"}, "open")
        assert phase(shop) == ("waiting", None, 0, True)
        before = tickets(shop)
        approved = client.post(f"{path}approvals/{asked['id']}/approve/")
        assert (approved.status_code, approved.json()["status"]) == (200, "approved")
        assert (phase(shop)[0], tickets(shop)) == ("ready", before + 1)
        run(app, till.made)
        ended = client.get(path).json()
        assert (ended["status"], ended["result"], ended["awaits_approval"]) == ("finished", {"a": 1}, False)
    assert till.keys == [f"{started['id']}-1-1"]
    assert kinds(shop) == [
        *("accepted", "started", "turn_started", "turn_answered", "approval_requested", "paused"),
        *("approval_decided", "resumed", "tool_started", "tool_finished"),
        *("turn_started", "turn_answered", "judged", "finished"),
    ]
    told = "SELECT data - '{approval,expires_at}'::text[] FROM events WHERE kind LIKE 'approval%' ORDER BY seq"
    call = {"turn": 1, "call": 1, "tool": "order"}
    assert shop.connection.execute(told).fetchall() == [(call,), (call | {"decision": "approved"},)]


def test_run_that_dies_in_the_approved_call_repeats_it_under_its_key_and_asks_nobody_again(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    till = Till(tmp_path)
    execution_id = shop.accept("any")
    run(app, till.made)
    decide(app, shop)
    till.dies = True
    with pytest.raises(asyncio.CancelledError):
        run(app, till.made)
    assert outcome(shop)[0] == "in_progress"
    run(app, till.made)
    assert (outcome(shop)[0], till.keys) == ("finished", [f"{execution_id}-1-1"] * 2)
    assert (len(approvals(shop)), kinds(shop).count("approval_requested")) == (1, 1)


def test_run_with_two_open_calls_waits_for_both_then_makes_the_approved_one_and_tells_of_the_declined(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    till = Till(tmp_path, {"tools": [ORDER, ORDER]})
    execution_id = shop.accept("any")
    run(app, till.made)
    decide(app, shop, call=2)
    assert (phase(shop)[0], till.keys) == ("waiting", [])
    decide(app, shop, call=1, decision="declined", reason="too dear")
    run(app, till.made)
    assert (outcome(shop)[0], till.keys) == ("finished", [f"{execution_id}-1-2"])
    declined = shop.connection.execute(
        "SELECT succeeded, attempts, convert_from(result, 'UTF8') FROM tool_calls WHERE number = 1"
    )
    said = '{"error": "this call was declined, and was not carried out: too dear"}'
    assert declined.fetchall() == [(False, 1, said)]
    assert (kinds(shop).count("tool_started"), kinds(shop).count("tool_finished")) == (1, 2)


def test_run_whose_approval_expires_is_woken_by_the_sweep_and_goes_on_as_declined(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    till = Till(tmp_path, seconds=3600)
    shop.accept("any")
    run(app, till.made)
    assert phase(shop) == ("waiting", None, 0, False)
    assert sweep(app).woken == 0
    for table, column in (("approvals", "expires_at"), ("execution_runtime", "resume_at")):
        shop.connection.execute(f"UPDATE {table} SET {column} = now()".encode())
    assert sweep(app).woken == 1
    run(app, till.made)
    assert (outcome(shop)[0], till.keys) == ("finished", [])
    assert approvals(shop) == [(1, "expired", None, None)]
    assert kinds(shop).count("approval_decided") == 1


def sweep(app: AsApp) -> recovery.Swept:
    return app.connected(lambda connection: recovery.sweep(connection, max_losses=3, unavailable_seconds=60))


def test_run_that_was_paused_has_the_seconds_left_that_it_had(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    till = Till(tmp_path)
    execution_id = shop.accept("any", limits={"seconds": 60})
    run(app, till.made)
    shop.connection.execute("UPDATE executions SET picked_up_at = picked_up_at - interval '1 hour'")
    shop.connection.execute("UPDATE events SET created_at = created_at - interval '1 hour'")
    decide(app, shop)
    run(app, till.made)
    assert (outcome(shop)[0], len(till.keys)) == ("finished", 1)
    loaded = app.connected(lambda connection: runtime.load(connection, execution_id))
    assert loaded.running_seconds < 60


@pytest.mark.parametrize("way", ["cancel", "deadline"])
def test_run_that_is_ended_while_it_waits_withdraws_its_approval(
    app: AsApp, shop: Shop, tmp_path: Path, way: str
) -> None:
    execution_id = shop.accept("any")
    run(app, Till(tmp_path).made)

    async def end(database: Database) -> None:
        async with database.transaction() as connection:
            if way == "cancel":
                await ending.ask_to_cancel(connection, None, execution_id)
            else:
                await connection.execute("UPDATE execution_runtime SET deadline = now()")
                await ending.end_overdue(connection)

    app.pooled(end)
    assert outcome(shop)[1] == {"cancel": "cancelled", "deadline": "deadline_exceeded"}[way]
    with pytest.raises(Conflict, match="needed no more"):
        decide(app, shop)
    assert approvals(shop) == [(1, None, None, None)]
    assert kinds(shop)[-1] in ("cancelled", "failed")


CALL = ToolCallStart(turn=1, number=1, call_id="c", name="order", arguments="{}", idempotency_key="1-1-1")


@pytest.fixture
def held(app: AsApp, shop: Shop) -> Claim:
    shop.accept()
    return hold(app, add_worker(app))


def asked(app: AsApp, held: Claim, *, seconds: float | None = None) -> Standing:
    def journal(database: Database) -> DatabaseJournal:
        return DatabaseJournal(database, held, is_stopping=lambda: False)

    return app.pooled(lambda database: journal(database).ask_approval(CALL, seconds=seconds))


def test_pause_when_the_last_decision_came_while_other_calls_ran_then_ready_at_once(
    app: AsApp, shop: Shop, held: Claim
) -> None:
    assert asked(app, held) == OPEN
    decide(app, shop)
    before = tickets(shop)
    ended = app.pooled(lambda database: pause(database, held))
    assert (ended.is_recorded, ended.ticket_added) == (True, True)
    assert (phase(shop), tickets(shop)) == (("ready", None, 0, True), before + 1)


def test_pause_when_a_decision_commits_between_its_two_statements_then_the_run_goes_on(
    app: AsApp, shop: Shop, held: Claim
) -> None:
    """The decision holds the run's row; the pause waits for it, and must count after that."""
    asked(app, held)

    async def race(database: Database) -> None:
        principal = Principal(account_id=shop.account_id, is_admin=True)
        execution_id, approval_id = ids(shop)
        async with database.transaction() as deciding:
            await store.lock_run(deciding, execution_id)
            pausing_now = asyncio.ensure_future(pause(database, held))
            await until_one_waits(shop)
            assert await store.decide(deciding, principal, execution_id, approval_id, "approved", None)
            assert not await pausing.wake(deciding, execution_id)
        assert (await pausing_now).ticket_added

    app.pooled(race)
    assert phase(shop)[0] == "ready"


async def until_one_waits(shop: Shop) -> None:
    async with asyncio.timeout(10):
        while not shop.connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_pause_of_a_claim_that_is_lost_or_cancelled_leaves_nothing_waiting(app: AsApp, shop: Shop, held: Claim) -> None:
    asked(app, held)
    lost = Claim(execution_id=held.execution_id, worker_id=held.worker_id, epoch=held.epoch + 1)
    assert not app.pooled(lambda database: pause(database, lost)).is_recorded
    assert phase(shop)[0] == "running"
    with pytest.raises(LostClaim):
        asked(app, lost)
    shop.connection.execute("UPDATE execution_runtime SET cancel_asked_at = now()")
    assert app.pooled(lambda database: pause(database, held)).is_recorded
    assert outcome(shop)[:2] == ("failed", "cancelled")


def test_pause_without_an_expiry_frees_the_slot_for_whoever_is_ready_and_waits_for_as_long_as_it_takes(
    app: AsApp, shop: Shop, held: Claim
) -> None:
    asked(app, held)
    shop.accept()
    shop.connection.execute("DELETE FROM procrastinate_jobs")
    assert app.pooled(lambda database: pause(database, held)).ticket_added
    assert (tickets(shop), phase(shop)[0]) == (1, "waiting")
    shop.connection.execute(
        "UPDATE execution_runtime SET ready_since = now() - interval '1 year' WHERE resume_at IS NULL"
    )
    swept = sweep(app)
    assert (swept.woken, swept.returned, phase(shop)[0]) == (0, 0, "waiting")
    assert app.connected(lambda connection: count_waits(connection, held.execution_id)) == 0


def test_declined_call_that_older_code_had_begun_is_ended_by_its_one_row(app: AsApp, shop: Shop, held: Claim) -> None:
    async def write(database: Database) -> None:
        journal = DatabaseJournal(database, held, is_stopping=lambda: False)
        await journal.start_turn(TurnStart(number=1, cycle=1, item=None, model="m", request_digest=b"", added=()))
        await journal.start_tool_call(CALL)
        for _ in range(2):
            await journal.decline_tool_call(CALL, result='{"error": "no"}')

    app.pooled(write)
    rows = shop.connection.execute("SELECT succeeded, convert_from(result, 'UTF8') FROM tool_calls").fetchall()
    assert rows == [(False, '{"error": "no"}')]
    assert kinds(shop).count("tool_finished") == 1
