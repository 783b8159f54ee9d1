"""Runs that are to be cancelled: stopped by their worker, or ended by others where it does not answer."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from agentic import ProductChange, ToolContext, tool
from service.database import Connection
from service.definitions.definition import AnyDefinition
from service.definitions.failures import Finished
from service.definitions.registry import Registry
from service.executions import ending, runtime
from service.executions.runtime import Claim
from service.profiles import read_profiles
from service.workers.store import WorkerDescription
from tasks.lifetime import Lifetime
from tasks.run_execution import run_ticket
from tests.tasks.conftest import AsApp
from tests.tasks.holding import add_worker, claim, hold
from tests.tasks.seed import Shop, add_product
from tests.tasks.test_run_execution import NoTickets, definition, outcome, script
from tests.tasks.test_sweep import expire, sweep

SECONDS = 30.0
CANCELLED = ("failed", "cancelled", "The execution was cancelled.", True, None)


@pytest.fixture(scope="module", autouse=True)
def loaded_sdks() -> None:
    """Before any clock runs: it takes seconds on a busy machine."""
    for adapter in ("anthropic", "openai"):
        importlib.import_module(f"tasks.llm.{adapter}")


@asynccontextmanager
async def running(app: AsApp, made: AnyDefinition, **settings: Any) -> AsyncIterator[Lifetime]:
    """A worker of this process with one run in hand. Ends when the run has."""
    registry = Registry.of(made)
    description = WorkerDescription(name="w", host="h", pid=1, offers=registry.references(), concurrency=1)
    lifetime = Lifetime(replace(app.settings, **settings), registry, description, NoTickets())
    await lifetime.begin()
    try:
        async with asyncio.timeout(SECONDS):
            await lifetime.registered()
            ticket = asyncio.ensure_future(run_ticket(lifetime))
            while not lifetime.held:  # noqa: ASYNC110 - nothing tells when a claim is made
                await asyncio.sleep(0.01)
            yield lifetime
            await ticket
    finally:
        await lifetime.end()


async def ask(connection: Connection, execution_id: int) -> None:
    """What the API does, without the notification."""
    async with connection.transaction():
        await ending.ask_to_cancel(connection, None, execution_id)


async def cancel(lifetime: Lifetime) -> None:
    (held,) = lifetime.held
    async with lifetime.database.connection() as connection:
        await ask(connection, held.execution_id)


def kinds(shop: Shop) -> list[str]:
    return [kind for (kind,) in shop.connection.execute("SELECT kind FROM events ORDER BY seq").fetchall()]


@dataclass
class Silent:
    """A provider that answers nothing, or begins a stream that does not go on. `left` once its client hung up."""

    begins: bytes = b""
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.begins)
        self.asked.set()
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.left.set()
        writer.close()


BEGUN = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


@pytest.mark.parametrize(
    ("kind", "begins"),
    [("openai", b""), ("anthropic", b""), ("openai", BEGUN)],
    ids=["openai", "anthropic", "streamed"],
)
def test_cancel_closes_the_connection_to_the_model_and_keeps_what_was_spent(
    app: AsApp, shop: Shop, kind: str, begins: bytes
) -> None:
    async def scenario() -> None:
        provider = Silent(begins)
        async with provider.serving() as url:
            stream = str(bool(begins)).lower()
            profiles = read_profiles(f'[it]\nmodel = "{kind}:m"\nstream = {stream}\nbase_url = "{url}/v1"')
            async with running(app, definition(model="it"), profiles=profiles) as lifetime:
                await provider.asked.wait()
                await cancel(lifetime)
                await provider.left.wait()

    shop.accept("any")
    asyncio.run(scenario())
    assert outcome(shop) == CANCELLED
    spent = "calls, input_tokens > 0, output_tokens > 0, is_estimated, exit_reason, cancel_requested_at < finished_at"
    row = shop.connection.execute(f"SELECT {spent} FROM executions".encode()).fetchone()
    assert row == (1, True, True, True, "cancelled", True)
    assert kinds(shop) == ["accepted", "started", "turn_started", "cancel_requested", "cancelled"]
    assert shop.connection.execute("SELECT finished_at, reserved_output_tokens > 0 FROM turns").fetchall() == [
        (None, True)
    ]


def with_tool(tmp_path: Path, used: Any) -> AnyDefinition:
    """A definition whose model calls the tool once, and then answers."""
    steps: tuple[dict[str, Any], ...] = ({"tool": used.name, "args": {}}, {"answer": {}})
    return definition(model=script(tmp_path, *steps), tools=[used])


def test_cancel_ends_a_tool_and_asks_again_where_it_does_not_listen(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    begun, ends = asyncio.Event(), list[str]()

    @tool(timeout_seconds=600)
    async def stubborn(context: ToolContext) -> str:
        """Carries on, the first time."""
        for _ in range(2):
            try:
                begun.set()
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                ends.append("told")
        raise asyncio.CancelledError

    async def scenario() -> None:
        async with running(app, with_tool(tmp_path, stubborn)) as lifetime:
            await begun.wait()
            await cancel(lifetime)

    shop.accept("any")
    asyncio.run(scenario())
    assert ends == ["told", "told"]
    assert outcome(shop) == CANCELLED


def test_cancel_leaves_a_tool_in_a_thread_whose_result_is_written_nowhere(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    begun, goes_on, done = threading.Event(), threading.Event(), threading.Event()

    @tool(timeout_seconds=600)
    def deaf(context: ToolContext) -> str:
        """Cannot be told anything."""
        begun.set()
        goes_on.wait(SECONDS)
        done.set()
        return "done"

    async def scenario() -> None:
        async with running(app, with_tool(tmp_path, deaf)) as lifetime:
            while not begun.is_set():  # noqa: ASYNC110 - a thread's event
                await asyncio.sleep(0.01)
            await cancel(lifetime)
            while lifetime.held:  # noqa: ASYNC110 - nothing tells when a run has ended
                await asyncio.sleep(0.01)
            goes_on.set()
            await asyncio.to_thread(done.wait, SECONDS)

    shop.accept("any")
    asyncio.run(scenario())
    assert outcome(shop) == CANCELLED
    assert shop.connection.execute("SELECT result, finished_at FROM tool_calls").fetchall() == [(None, None)]


def test_cancel_when_a_tool_waits_for_a_row_that_somebody_locked_then_both_are_over_before_the_row_is_free(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    connection, ends = shop.connection, list[type[BaseException]]()
    add_product(connection, shop.data_set_id, "CUP", "Cup", "")

    @tool(timeout_seconds=600)
    async def rename(context: ToolContext) -> str:
        """Waits for the product."""
        try:
            await context.data_set.upsert([ProductChange(sku="CUP", name="Mug")])
        except BaseException as error:
            ends.append(type(error))
            raise
        return "done"

    async def scenario() -> None:
        async with running(app, with_tool(tmp_path, rename)) as lifetime:
            while not waiting(shop):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
            async with lifetime.database.transaction() as asking:
                await asking.execute("SET LOCAL lock_timeout = '1s'")
                (held,) = lifetime.held
                await ending.ask_to_cancel(asking, None, held.execution_id)

    shop.accept("any")
    with connection.transaction():
        connection.execute("SELECT FROM products FOR UPDATE")
        asyncio.run(scenario())
        assert not waiting(shop)
    assert ends == [asyncio.CancelledError]
    assert outcome(shop) == CANCELLED
    assert connection.execute("SELECT name FROM products").fetchall() == [("Cup",)]


def waiting(shop: Shop) -> bool:
    return shop.connection.execute("SELECT FROM pg_locks WHERE NOT granted").fetchone() is not None


def test_run_that_others_ended_is_stopped_and_writes_nothing(app: AsApp, shop: Shop) -> None:
    async def scenario() -> None:
        provider = Silent()
        async with (
            provider.serving() as url,
            running(app, definition(model="openai:m"), openai_base_url=url) as lifetime,
        ):
            await provider.asked.wait()
            (held,) = lifetime.held
            async with lifetime.database.transaction() as connection:
                await ending.ask_to_cancel(connection, None, held.execution_id)
                await connection.execute("UPDATE execution_runtime SET cancel_asked_at = now() - interval '3 seconds'")
                assert (await ending.end_overdue(connection)).ended == 1
            await provider.left.wait()

    shop.accept("any")
    asyncio.run(scenario())
    assert outcome(shop) == CANCELLED
    assert kinds(shop) == ["accepted", "started", "turn_started", "cancel_requested", "cancelled"]


def test_cancel_of_a_run_that_a_stopping_worker_gives_back_ends_it(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()

    @tool(timeout_seconds=600)
    async def slow(context: ToolContext) -> str:
        """Goes on when it is told to, whatever else it is told."""
        begun.set()
        while not goes_on.is_set():
            try:
                await goes_on.wait()
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()  # type: ignore[union-attr]
        return "done"

    async def scenario() -> None:
        async with running(app, with_tool(tmp_path, slow)) as lifetime:
            await begun.wait()
            await cancel(lifetime)
            lifetime.told_to_stop()
            goes_on.set()

    shop.accept("any")
    asyncio.run(scenario())
    assert outcome(shop) == CANCELLED


def test_cancel_that_comes_after_the_outcome_changes_nothing(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept()
    held = hold(app, add_worker(app))

    async def both(connection: Connection) -> bool:
        await ask(connection, execution_id)
        assert (await runtime.record_outcome(connection, held, Finished({}))).is_recorded
        await ask(connection, execution_id)
        return (await runtime.end_cancelled(connection, held)).is_recorded

    assert not app.connected(both)
    assert outcome(shop)[0] == "finished"
    assert kinds(shop) == ["accepted", "started", "cancel_requested", "finished"]


@pytest.mark.parametrize("resume_in_seconds", [None, 60.0])
def test_release_of_what_is_to_be_cancelled_ends_it(app: AsApp, shop: Shop, resume_in_seconds: float | None) -> None:
    execution_id = shop.accept()
    worker = add_worker(app)
    held = hold(app, worker)

    async def release(connection: Connection) -> list[bool]:
        await ask(connection, execution_id)
        lost = Claim(execution_id=execution_id, worker_id=held.worker_id, epoch=held.epoch - 1)
        return [await runtime.release(connection, each, resume_in_seconds=resume_in_seconds) for each in (lost, held)]

    assert app.connected(release) == [False, True]
    assert outcome(shop) == CANCELLED
    assert claim(app, worker) is None


def test_sweep_ends_what_a_dead_worker_was_to_cancel_instead_of_returning_it(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept()
    hold(app, add_worker(app))
    app.connected(lambda connection: ask(connection, execution_id))
    assert sweep(app).overdue == 0  # its worker may still answer
    expire(shop.connection)
    swept = sweep(app)
    assert (swept.overdue, swept.returned) == (1, 0)
    assert outcome(shop) == CANCELLED


def test_slot_that_a_cancel_frees_is_given_to_the_next_by_a_ticket(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept()
    held = hold(app, add_worker(app))
    shop.accept()
    shop.connection.execute("DELETE FROM procrastinate_jobs")
    app.connected(lambda connection: ask(connection, execution_id))
    ended = app.connected(lambda connection: runtime.end_cancelled(connection, held))
    assert ended.ticket_added
    assert shop.connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (1,)


def test_pending_run_and_its_claim_at_once_never_start_after_the_cancel(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept()
    worker = add_worker(app)

    async def both(connection: Connection) -> None:
        async with connection.transaction():
            await ending.ask_to_cancel(connection, None, execution_id)
            # Another connection finds the row taken, and passes over it.
            assert await asyncio.to_thread(claim, app, worker) is None

    app.connected(both)
    assert kinds(shop) == ["accepted", "cancel_requested", "cancelled"]
    assert claim(app, worker) is None
