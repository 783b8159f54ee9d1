"""Every store on PostgreSQL 15, the oldest version that is supported: over REST what REST reaches, the rest called."""

from __future__ import annotations

import importlib
import inspect
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import psycopg

import service
from service.accounts import store as accounts
from service.accounts.access import Principal
from service.conversations import journal_store
from service.database import Connection
from service.datasets import catalogue_store, shop_store
from service.events import store as events
from service.executions import store as executions
from service.files import store as files
from service.idempotency import store as idempotency
from service.limits import store as limits
from service.retention import store as retention
from service.schedules import store as schedules
from service.webhooks import delivery_store
from service.workers import store as workers
from tests import http, postgres
from tests.http import Client
from tests.service.conftest import make_registry
from tests.tasks.conftest import AsApp, sync_connection
from tests.tasks.holding import add_worker, hold
from tests.tasks.hooks import KEY
from tests.tasks.seed import Shop
from tests.tasks.test_shop import ORDER, RECEIPT, using

HOOK = "https://shop.example.com/hook"
PACKAGE = Path(service.__file__).parent
CONNECTIONS = {"connection", "database"}
FILTERS = (
    "agent_id={agent}&dataset_id={data_set}&status=pending&execution_key=summary&external_id=mine&metadata[a]=b"
    "&started_from=2025-04-10T14:00:00Z&started_before=2999-04-10T14:00:00Z"
)


def store_functions() -> dict[CodeType, str]:
    """Those of every module whose name ends with "store" that are given a connection, or where to get one."""
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in PACKAGE.rglob("*store.py")]
    return {
        function.__code__: f"{name}.{function.__name__}"
        for name in names
        for function in vars(importlib.import_module(name)).values()
        if inspect.isfunction(function) and function.__module__ == name
        if CONNECTIONS & set(inspect.signature(function).parameters)
    }


@contextmanager
def noting_calls() -> Iterator[set[CodeType]]:
    """The code of whatever is called meanwhile, in this thread and in those that start."""
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def test_every_function_of_the_stores_when_called_on_postgresql_15_works(pg15_database_url: str) -> None:
    expected = store_functions()
    assert len(expected) > 60
    with noting_calls() as called, psycopg.connect(pg15_database_url, autocommit=True) as connection:
        assert connection.info.server_version // 10000 == 15
        admin = http.create_account(connection, "admin", is_admin=True)
        url = postgres.as_role(pg15_database_url, postgres.APP)
        with http.serving(url, make_registry(), AGENTIC_SECRET_KEY=KEY) as client:
            client.headers.update(admin.headers)
            assert client.get("/readyz").json() == {"status": "ok"}
            data_set, agent, account = set_up(client)
            shop = Shop(connection, account, data_set, agent)
            webhook = set_up_webhooks(client)
            start_and_read(client, shop)
            limit(client, shop)
            schedule(client, shop)
        app = AsApp(pg15_database_url)
        run_by_hand(app, shop)
        deliver_by_hand(app, webhook)
        settle_by_hand(app)
        call_the_rest(app, shop)
    missed = sorted(name for code, name in expected.items() if code not in called)
    assert not missed, f"nothing here calls {missed}: add to the scenario what reaches them"


def ask(client: Client, method: str, path: str, json: object = None, **options: Any) -> Any:
    answer = client.request(method, f"/api/{path}", json=json, **options)
    assert answer.status_code < 300, (method, path, answer.text)
    return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else None


def set_up(client: Client) -> tuple[int, int, int]:
    """A data set, an agent and an account, each made, read, changed and listed; and others that were deleted."""
    products = [{"sku": sku, "name": sku.title(), "description": "Of oak"} for sku in ("CUP", "POT")]
    data_set = cycle(client, "data-sets", {"name": "a"}, {"name": "b"})
    ask(client, "POST", f"data-sets/{data_set}/products/", products)
    ask(client, "GET", f"data-sets/{data_set}/products/?page=last")
    agent = cycle(
        client, "agents", {"name": "a", "agent_type": "one", "data_set": data_set, "file_upload": True}, {"model": "m"}
    )
    ask(client, "GET", f"agents/{agent}/agentic-execution-definitions/")
    account = cycle(client, "service-accounts", {"name": "a", "data_sets": [data_set]}, {"data_sets": [data_set]})
    ask(client, "POST", f"service-accounts/{account}/reset-token/", {"keep_old_seconds": 60})
    ask(client, "POST", f"service-accounts/{account}/reset-token/")
    return data_set, agent, account


def cycle(client: Client, resource: str, new: dict[str, object], change: dict[str, object]) -> int:
    """Two made, one deleted; the id of the other, after its change."""
    kept, gone = (ask(client, "POST", f"{resource}/", {**new, "name": name})["id"] for name in ("kept", "gone"))
    ask(client, "PATCH", f"{resource}/{kept}/", change)
    ask(client, "DELETE", f"{resource}/{gone}/")
    ask(client, "GET", f"{resource}/{kept}/")
    ask(client, "GET", f"{resource}/?page=last")
    return int(kept)


def set_up_webhooks(client: Client) -> int:
    """The id of one for every end; one that signs for executions' own URLs, and one that was deleted, are there too."""
    kept, _, gone = (ask(client, "POST", "webhooks/", body)["id"] for body in ({"url": HOOK}, {}, {"url": HOOK}))
    ask(client, "PATCH", f"webhooks/{kept}/", {"is_active": False})
    ask(client, "PATCH", f"webhooks/{kept}/", {"is_active": True, "event_types": ["execution.accepted"]})
    ask(client, "POST", f"webhooks/{kept}/rotate-secret/")
    ask(client, "DELETE", f"webhooks/{gone}/")
    assert ask(client, "GET", "webhooks/?page=last")["count"] == 2
    ping = ask(client, "POST", f"webhooks/{kept}/ping/")
    ask(client, "PATCH", f"webhooks/{kept}/", {"is_active": False})
    ask(client, "PATCH", f"webhooks/{kept}/", {"is_active": True})
    ask(client, "POST", f"webhooks/{kept}/deliveries/{ping['id']}/redeliver/")
    ask(client, "GET", f"webhooks/{kept}/deliveries/")
    return int(kept)


def start_and_read(client: Client, shop: Shop) -> None:
    asked = {
        "data": {
            "execution_key": "summary",
            "input": '{"text": "a"}',
            "external_id": "mine",
            "metadata": '{"a": "b"}',
            "webhook_url": HOOK,
        },
        "files": {"files[]": ("note.txt", b"some words" * 30_000, "text/plain")},
        "headers": {"Idempotency-Key": "once"},
    }
    path = f"agents/{shop.agent_id}/agentic-executions/"
    started, again = ask(client, "POST", path, **asked), ask(client, "POST", path, **asked)
    assert started == again
    filters = FILTERS.format(agent=shop.agent_id, data_set=shop.data_set_id)
    for query in ("", "cursor=&", "page=last&"):
        assert len(ask(client, "GET", f"agentic-executions/?{query}{filters}")["results"]) == 1
    assert ask(client, "GET", "agentic-executions/?failure_code=unknown")["results"] == []
    ask(client, "GET", f"agentic-executions/{started['id']}/")
    for path in (f"agentic-executions/{started['id']}/", "agentic-executions/"):
        assert ask(client, "GET", f"{path}events/")["results"]
    ask(client, "GET", f"agentic-executions/{started['id']}/deliveries/")
    approve(client, started["id"], http.create_approval(shop.connection, started["id"], call=2))
    ask(client, "GET", f"conversations/{started['conversation']}/")
    assert client.get(started["files"][0]["file_url"]).status_code == 200


def approve(client: Client, execution_id: int, approval_id: int) -> None:
    for path in ("approvals/?account=all", f"{execution_id}/approvals/"):
        assert [each["id"] for each in ask(client, "GET", f"agentic-executions/{path}")["results"]] == [approval_id]
    path = f"agentic-executions/{execution_id}/approvals/{approval_id}"
    assert ask(client, "POST", f"{path}/approve/")["status"] == "approved"


def limit(client: Client, shop: Shop) -> None:
    """Limits set, listed, read, deleted, and set again."""
    path = f"limits/account/{shop.account_id}/"
    all_of_them = {"starts_per_minute": 1000, "max_queued": 2, "tokens_per_day": 5, "cost_per_day": 1}
    made = ask(client, "PUT", path, all_of_them)
    assert ask(client, "GET", "limits/?page=last")["results"] == [made] == [ask(client, "GET", path)]
    ask(client, "DELETE", path)
    ask(client, "PUT", path, all_of_them)


def schedule(client: Client, shop: Shop) -> None:
    """Two made, one of them deleted; the other, after its change, is due."""
    asked = {"execution_key": "summary", "cron": "0 0 1 1 *", "input": {"text": "a"}}
    kept, gone = (ask(client, "POST", f"agents/{shop.agent_id}/schedules/", asked)["id"] for _ in range(2))
    ask(client, "PATCH", f"schedules/{kept}/", {"missed": "all", "time_zone": "Europe/Warsaw"})
    ask(client, "DELETE", f"schedules/{gone}/")
    assert ask(client, "GET", f"agents/{shop.agent_id}/schedules/?page=last")["results"] == [
        ask(client, "GET", f"schedules/{kept}/")
    ]
    shop.connection.execute("UPDATE schedules SET next_slot = now() - interval '1 day'")


def run_by_hand(app: AsApp, shop: Shop) -> None:
    """An execution claimed, journalled, and its goods booked, as a worker does all that."""
    shop.accept("echo")
    worker = add_worker(app)
    claim = hold(app, worker)

    async def journal(connection: Connection) -> None:
        verdict: dict[str, Any] = {"validator": "v", "kind": "accept", "code": None, "explanation": None, "issues": []}
        call = {"turn": 1, "number": 1, "name": "order", "arguments": b"{}", "seconds": 60.0}
        asked = await journal_store.ask_approval(connection, claim, call)
        assert asked == {"decision": None, "reason": None}
        assert await journal_store.record_verdicts(connection, claim, cycle=1, verdicts=[verdict])
        assert len((await journal_store.read(connection, claim.execution_id)).verdicts) == 1
        assert await workers.is_alive(connection, "worker")
        for job in await workers.jobs_of(connection, worker.queue_worker_id):
            await workers.delete_jobs_of(connection, worker.queue_worker_id, [job])
        await workers.delete_jobs_of(connection, worker.queue_worker_id, [])
        assert await workers.delete_expired(connection) == []
        await workers.delete_leftovers(connection)

    app.connected(journal)
    using(app, shop, claim, lambda goods: goods.receive_stock(RECEIPT, key="k"))
    using(app, shop, claim, lambda goods: goods.place_order(ORDER, key="k"))
    with sync_connection(app.url) as connection:
        assert workers.renew(connection, worker.worker_id, lease_seconds=10)
        workers.unregister(connection, worker.worker_id)


def deliver_by_hand(app: AsApp, webhook_id: int) -> None:
    """Events as deliveries, one of which finds that its receiver is gone."""

    async def deliver(connection: Connection) -> None:
        await connection.execute("SELECT number_new_events(500)")
        assert await delivery_store.is_behind(connection)
        async with connection.transaction():
            assert (await delivery_store.fan_out(connection)).added == 1
        claimed = await delivery_store.claim(connection, limit=5, share=5, lease_seconds=60)
        assert {each.webhook_id for each in claimed} == {webhook_id}
        gone = delivery_store.Attempted(status="failed", status_code=410, error="gone", is_gone=True)
        async with connection.transaction():
            assert await delivery_store.record(connection, claimed[0], gone)
        assert await delivery_store.forget(connection, age_seconds=-1, limit=5) == 2

    app.connected(deliver)


def settle_by_hand(app: AsApp) -> None:
    """A slot that has come, settled as a worker does."""

    async def settle(connection: Connection) -> None:
        (due,) = await schedules.due(connection, keys=["summary"], limit=5)
        async with connection.transaction():
            assert await schedules.take(connection, due) == {"is_running": False}
            settled = schedules.Settled(outcome="missed")
            await schedules.settle(connection, due["id"], settled, slot=due["next_slot"], next_slot=None)
        assert await schedules.due(connection, keys=["summary"], limit=5) == []

    app.connected(settle)


def call_the_rest(app: AsApp, shop: Shop) -> None:
    """What only commands, tools, chores and lost replies reach."""

    async def call(connection: Connection) -> None:
        assert await events.erased(connection, [0]) == [0]
        assert await events.of_accounts(connection, {shop.account_id: 0}, limit=5)
        assert await events.of_executions(connection, {1: 0}, limit=5) is not None
        assert await accounts.get_named(connection, "kept")
        assert await catalogue_store.products(connection, shop.data_set_id, ["CUP"])
        assert await catalogue_store.search(connection, shop.data_set_id, "oak", limit=5)
        assert await catalogue_store.undescribed(connection, shop.data_set_id, limit=5) == []
        assert await shop_store.products(connection, shop.data_set_id, ["CUP"])
        asking = Principal(account_id=shop.account_id, is_admin=False)
        for page in (shop_store.orders_page, shop_store.receipts_page):
            (made,) = await page(connection, asking, shop.data_set_id, limit=5, offset=0)
            assert made["execution"] == made["execution_id"]
        assert await shop_store.count_orders(connection, shop.data_set_id) == 1
        assert await shop_store.count_receipts(connection, shop.data_set_id) == 1
        assert await executions.live_offers(connection) == set()
        assert await executions.get_by_task_id(connection, shop.account_id, uuid.uuid4()) is None
        async with connection.transaction():
            assert await retention.lock(connection)
            assert not await retention.close_day(connection)
            await retention.erase_contents(connection, await retention.due_contents(connection, limit=5))
            await retention.delete(connection, await retention.due_executions(connection, limit=5))
        assert await executions.get_by_task_ids(connection, [uuid.uuid4()]) == []
        assert await executions.external_ids(connection, shop.account_id, ["mine", "other"]) <= {"mine"}
        assert (await limits.admit(connection, shop.account_id, 3, is_atomic=False))[0] <= 2
        assert await limits.standing(connection, shop.account_id) is not None
        assert await limits.forget(connection, "minute", limit=5) == 0
        assert await idempotency.settle(connection, shop.account_id, "settled", b"", b"finished") is None
        assert await idempotency.forget(connection, age_seconds=0, limit=5) == 1
        await read_a_file(connection)

    app.connected(call)


async def read_a_file(connection: Connection) -> None:
    """As a worker reads one, and as a sweep looks for those that nobody refers to."""
    row = await (await connection.execute("SELECT id, conversation_id FROM files")).fetchone()
    assert row is not None
    assert len(await files.list_files(connection, row["conversation_id"])) == 1
    text = files.StoredText(text="some words", characters=10, is_cut=False, problem=None)
    assert await files.save_text(connection, row["id"], text)
    assert await files.load_text(connection, row["id"]) == text
    async with connection.transaction():
        await files.sweep_unreferenced(connection, after_id=0)
