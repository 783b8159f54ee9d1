"""One ticket in a worker that lives in the test's own process: what the run was given, and how it ended."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.definitions.context import RunContext
from service.definitions.definition import AnyDefinition, Definition, Proposal
from service.definitions.registry import Registry
from service.definitions.verdicts import Accept, Verdict
from service.workers.store import WorkerDescription
from tasks.chores import sweep_blobs
from tasks.lifetime import Lifetime
from tasks.outage import outlast, pauses
from tasks.run_execution import run_ticket
from tests.tasks.conftest import AsApp
from tests.tasks.seed import Shop

SECRET = "postgresql://user:password@host SELECT * FROM tokens sk-12345"


class NoTickets:
    """A queue worker that has none in hand."""

    def job_ids(self) -> set[int]:
        return set()

    def adopt(self, queue_worker_id: int) -> None:
        raise AssertionError("nobody was swept")

    def ticket_ended(self, *, found: bool) -> None:
        pass


def definition(ask: Callable[..., Any] | None = None, **options: Any) -> AnyDefinition:
    made: AnyDefinition = Definition(
        key="any", name="Any", agent_type="any", input=dict[str, Any], output=dict[str, Any], **options
    )
    made.instructions(ask or (lambda given: "Do it."))
    return made


def run(app: AsApp, made: AnyDefinition, **settings: Any) -> None:
    """What a ticket does."""

    async def one() -> None:
        registry = Registry.of(made)
        description = WorkerDescription(name="w", host="h", pid=1, offers=registry.references(), concurrency=1)
        lifetime = Lifetime(replace(app.settings, **settings), registry, description, NoTickets())
        await lifetime.begin()
        try:
            await lifetime.registered()
            await run_ticket(lifetime)
        finally:
            await lifetime.end()

    asyncio.run(one())


def script(tmp_path: Path, *steps: dict[str, Any]) -> str:
    path = tmp_path / "script"
    path.write_text("\n".join(json.dumps(step) for step in steps))
    return f"scripted:{path}"


def outcome(shop: Shop) -> Any:
    return shop.connection.execute(
        "SELECT status, failure_code, failure_explanation, retryable, result FROM executions"
    ).fetchone()


def test_run_that_is_accepted_ends_finished_with_its_result(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    shop.accept("any")
    run(app, definition(model=script(tmp_path, {"answer": {"a": "b"}})))
    assert outcome(shop) == ("finished", None, None, None, {"a": "b"})
    assert shop.connection.execute("SELECT count(*) FROM workers").fetchone() == (0,)


def test_model_of_the_agent_goes_before_that_of_the_definition_and_the_setting(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    named = script(tmp_path, {"answer": {"by": "agent"}})
    shop.another_agent(model=named).accept("any")
    run(app, definition(model="scripted:/definition"), model="scripted:/setting")
    assert outcome(shop)[4] == {"by": "agent"}


def test_model_of_the_setting_is_taken_where_no_other_is_named(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    shop.accept("any")
    run(app, definition(), model=script(tmp_path, {"answer": {"by": "setting"}}))
    assert outcome(shop)[4] == {"by": "setting"}


def test_run_when_the_agent_changed_since_then_it_has_the_field_schema_of_its_start(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    seen: list[object] = []

    def ask(_given: dict[str, Any], context: RunContext) -> str:
        seen.append(context.field_schema)
        return "Do it."

    made = definition(ask, model=script(tmp_path, {"answer": {}}))
    for given in ('{"type": "object"}', None):
        shop.connection.execute("UPDATE agents SET field_schema = %s::jsonb", (given,))
        shop.accept("any")
    shop.connection.execute("UPDATE agents SET field_schema = '{}'")
    run(app, made)
    run(app, made)
    assert seen == [{"type": "object"}, None]


def test_run_without_a_model_ends_as_runtime_error_that_says_what_to_set(app: AsApp, shop: Shop) -> None:
    shop.accept("any")
    run(app, definition())
    status, code, explanation, retryable, _ = outcome(shop)
    assert (status, code, retryable) == ("failed", "runtime_error", False)
    assert "AGENTIC_MODEL" in explanation


@pytest.mark.parametrize(("fault", "retryable"), [("500", True), ("401", False)])
def test_run_whose_provider_fails_ends_as_runtime_error_that_says_whether_to_retry(
    app: AsApp, shop: Shop, tmp_path: Path, fault: str, retryable: bool
) -> None:
    shop.accept("any")
    run(app, definition(model=script(tmp_path, {"fault": fault})), provider_waits=0)
    status, code, explanation, is_retryable, _ = outcome(shop)
    assert (status, code, is_retryable) == ("failed", "runtime_error", retryable)
    assert f"({fault})" in explanation


def test_run_whose_author_code_raises_ends_as_runtime_error_without_the_exception_text(
    app: AsApp, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    def ask(input: dict[str, Any]) -> str:  # noqa: A002
        raise KeyError(SECRET)

    shop.accept("any")
    with caplog.at_level(logging.ERROR):
        run(app, definition(ask, model="echo"))
    status, code, explanation, retryable, _ = outcome(shop)
    assert (status, code, retryable) == ("failed", "runtime_error", True)
    assert "KeyError" in explanation
    assert not any(part in explanation for part in SECRET.split())
    assert "Traceback" in caplog.text


def test_run_whose_outcome_the_database_refuses_ends_as_runtime_error(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    shop.connection.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE 'no' USING ERRCODE = '54001'; END $$;"
        "CREATE TRIGGER refuse BEFORE UPDATE ON executions FOR EACH ROW WHEN (NEW.status = 'finished')"
        " EXECUTE FUNCTION refuse()"
    )
    shop.accept("any")
    run(app, definition(model=script(tmp_path, {"answer": {}})))
    assert outcome(shop)[:2] == ("failed", "runtime_error")


def test_run_is_given_its_files_as_text_and_reads_them_once(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    seen: list[RunContext] = []

    def ask(input: dict[str, Any], context: RunContext) -> str:  # noqa: A002
        seen.append(context)
        return "Read."

    for _ in range(2):
        execution_id = shop.accept("any")
        attach(shop.connection, execution_id, "list.txt", "text/plain", b"two chairs\r\n")
        attach(shop.connection, execution_id, "photo.png", "image/png", b"\x89PNG")
    made = definition(ask, model=script(tmp_path, {"answer": {}}))
    run(app, made)
    files = [(file.filename, file.text.strip(), file.problem is None) for file in seen[0].files]
    assert files == [("list.txt", "two chairs", True), ("photo.png", "", False)]
    assert (seen[0].data_set.name, seen[0].execution_id) == ("shop", execution_id - 1)
    # The second run finds the text as somebody kept it, and does not read the bytes again.
    shop.connection.execute("UPDATE files SET text = 'kept', text_at = now(), text_truncated = true WHERE id > 2")
    run(app, made)
    assert [(file.text, file.is_cut) for file in seen[1].files] == [("kept", True)] * 2


def attach(
    connection: psycopg.Connection[Any], execution_id: int, filename: str, content_type: str, data: bytes
) -> None:
    connection.execute(
        "WITH blob AS (INSERT INTO blobs (size_bytes, sha256) VALUES (%(size)s, '') RETURNING id),"
        " chunk AS (INSERT INTO blob_chunks SELECT id, 0, %(data)s FROM blob)"
        " INSERT INTO files (conversation_id, account_id, blob_id, filename, content_type)"
        " SELECT e.conversation_id, e.account_id, blob.id, %(filename)s, %(content_type)s FROM blob, executions e"
        " WHERE e.id = %(execution_id)s",
        {
            "size": len(data),
            "data": data,
            "filename": filename,
            "content_type": content_type,
            "execution_id": execution_id,
        },
    )


def test_run_told_to_stop_between_two_steps_gives_the_execution_back(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    made = definition(model=script(tmp_path, {"answer": {}}))
    lifetimes: list[Lifetime] = []

    @made.validator
    async def stop_here(proposal: Proposal[Any, Any]) -> Verdict:
        return Accept()

    async def one() -> None:
        registry = Registry.of(made)
        description = WorkerDescription(name="w", host="h", pid=1, offers=registry.references(), concurrency=1)
        lifetime = Lifetime(app.settings, registry, description, NoTickets())
        lifetimes.append(lifetime)
        await lifetime.begin()
        await lifetime.registered()
        ticket = asyncio.ensure_future(run_ticket(lifetime))
        while not lifetime.held:  # noqa: ASYNC110 - nothing tells when a claim is made
            await asyncio.sleep(0)
        lifetime.told_to_stop()
        await ticket
        await run_ticket(lifetime)  # a ticket that comes now claims nothing
        await lifetime.end()

    shop.accept("any")
    asyncio.run(one())
    row = shop.connection.execute("SELECT phase, worker_id, losses FROM execution_runtime").fetchone()
    assert row == ("ready", None, 0)
    assert shop.connection.execute("SELECT count(*) FROM turns").fetchone() == (0,)


def test_uploads_that_nothing_came_to_refer_to_are_deleted(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept("any")
    attach(shop.connection, execution_id, "kept.txt", "text/plain", b"kept")
    for age in ("2 hours", "1 minute"):
        shop.connection.execute(
            "INSERT INTO blobs (size_bytes, sha256, created_at) VALUES (1, '', now() - %s::interval)", (age,)
        )
    shop.connection.execute("UPDATE blobs SET created_at = now() - interval '2 hours' WHERE id = 1")

    async def one() -> None:
        description = WorkerDescription(name="w", host="h", pid=1, offers=[], concurrency=1)
        lifetime = Lifetime(app.settings, Registry.of(), description, NoTickets())
        await lifetime.begin()
        sweeping = asyncio.ensure_future(sweep_blobs(lifetime, every_seconds=0.01))
        async with asyncio.timeout(20):
            while await asyncio.to_thread(blobs, shop) != [1, 3]:  # noqa: ASYNC110 - in use, and about to be
                await asyncio.sleep(0.01)
        sweeping.cancel()
        await lifetime.end()

    asyncio.run(one())


def blobs(shop: Shop) -> list[int]:
    return [number for (number,) in shop.connection.execute("SELECT id FROM blobs ORDER BY id").fetchall()]


def test_waiting_out_an_outage_ends_with_what_the_database_says_at_last(app: AsApp) -> None:
    tried = 0

    async def flaky(connection: Any) -> int:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise psycopg.OperationalError("gone")
        if tried == 2:
            raise psycopg.errors.ReadOnlySqlTransaction("a standby")
        return tried

    assert app.pooled(lambda database: outlast(database, flaky)) == 3


def test_waiting_out_an_outage_does_not_wait_for_what_would_fail_for_ever(app: AsApp) -> None:
    async def refused(connection: Any) -> None:
        raise psycopg.errors.UndefinedTable("no such table")

    with pytest.raises(psycopg.errors.UndefinedTable):
        app.pooled(lambda database: outlast(database, refused))


def test_pauses_grow_to_one_second_at_most() -> None:
    assert pauses(0) <= 0.05
    assert all(0.5 <= pauses(attempt) <= 1.0 for attempt in range(5, 2000, 100))
