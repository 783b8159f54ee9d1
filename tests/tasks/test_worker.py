"""The worker as the stock command starts it, short of running anything."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from procrastinate import PsycopgConnector, jobs, manager, worker
from procrastinate.app import App
from procrastinate.exceptions import ConnectorException
from psycopg import AsyncConnection

from service.queue import CANCELS, CHANNEL, NOTIFICATION, QUEUE, TASK
from service.settings import Settings
from tasks.app import ExecutionsApp, app
from tasks.queue_worker import PatientJobManager, QueueWorker, WakeUp

FORBIDDEN = ("litestar", "uvicorn", "openai", "pydantic_ai", "pypdfium2", "sqlalchemy", "alembic")


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTIC_", "DATABASE"))}
    return subprocess.run(
        [sys.executable, *arguments],
        env={**inherited, "PROCRASTINATE_APP": "tasks.app.app", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def package(folder: Path, module: str) -> str:
    """A distribution with one entry point for definitions, as a PYTHONPATH."""
    information = folder / "broken_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-package\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[agentic.definitions]\nbroken = broken_module:definition\n")
    (folder / "broken_module.py").write_text(module)
    return str(folder)


def test_worker_without_a_database_url_exits_with_2_and_says_what_to_do(tmp_path: Path) -> None:
    ended = command("-m", "procrastinate", "worker", AGENTIC_DATA_ROOT=str(tmp_path))
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("DATABASE_URL is not set")


def test_worker_with_a_setting_that_cannot_be_read_exits_with_2_naming_it() -> None:
    ended = command("-m", "procrastinate", "worker", DATABASE_URL="postgresql:///", AGENTIC_LEASE_SECONDS="soon")
    assert ended.returncode == 2
    assert "AGENTIC_LEASE_SECONDS='soon'" in ended.stderr


def test_worker_with_a_definition_that_does_not_load_exits_with_2_naming_the_package(tmp_path: Path) -> None:
    path = package(tmp_path, "raise RuntimeError('no good')")
    ended = command("-m", "procrastinate", "worker", DATABASE_URL="postgresql://127.0.0.1:1/none", PYTHONPATH=path)
    assert ended.returncode == 2
    assert "broken-package" in ended.stderr
    assert "no good" in ended.stderr


def test_worker_hears_of_cancels_and_of_tickets_over_one_connection(database_url: str) -> None:
    async def listen() -> set[str]:
        heard: set[str] = set()
        everything = asyncio.Event()

        def hear(what: str) -> None:
            heard.add(what)
            if len(heard) == 2:
                everything.set()

        async def on_ticket(*, channel: str, notification: jobs.Notification) -> None:
            hear(notification["type"])

        connector = PsycopgConnector(conninfo=database_url, min_size=1)
        async with App(connector=connector).open_async() as opened:
            patient = PatientJobManager(connector)
            patient.worker = QueueWorker(opened)
            patient.worker.on_cancel = lambda: hear("cancel")
            listening = asyncio.ensure_future(patient.listen_for_jobs(on_notification=on_ticket, queues=[QUEUE]))
            async with asyncio.timeout(20), await AsyncConnection.connect(database_url, autocommit=True) as connection:
                while not everything.is_set():  # nothing tells when it listens
                    for payload in (CANCELS, NOTIFICATION):
                        await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
                    await asyncio.sleep(0.02)
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        return heard

    assert asyncio.run(listen()) == {"cancel", "job_inserted"}


def test_worker_loads_neither_the_web_framework_nor_model_clients() -> None:
    listed = command(
        "-c",
        "import sys, tasks.app, tasks.lifetime, tasks.run_execution\n"
        f"print([name for name in {FORBIDDEN!r} if name in sys.modules])",
    )
    assert listed.stdout.strip() == "[]", listed.stderr


def test_app_has_the_task_that_tickets_name() -> None:
    assert TASK in app.tasks
    assert app.tasks[TASK].queue == QUEUE


def test_flags_of_the_stock_command_win_over_settings() -> None:
    made = ExecutionsApp()
    made.settings = Settings.read({"AGENTIC_WORKER_NAME": "set", "AGENTIC_WORKER_CONCURRENCY": "7"})
    plain = QueueWorker(made, **made.defaults())
    assert (plain.queues, plain.worker_name, plain.concurrency) == ([QUEUE], "set", 7)
    assert (plain.shutdown_graceful_timeout, plain.delete_jobs) == (60, jobs.DeleteJobCondition.ALWAYS)
    given = QueueWorker(made, **{**made.defaults(), "name": "flag", "concurrency": 3})
    assert (given.worker_name, given.concurrency) == ("flag", 3)


def test_worker_of_another_queue_looks_for_no_executions() -> None:
    made = ExecutionsApp()
    made.settings = Settings.read({})
    assert QueueWorker(made, **made.defaults()).may_take
    assert not QueueWorker(made, **{**made.defaults(), "queues": ["other"]}).may_take


def test_worker_that_found_nothing_looks_again_at_its_next_poll() -> None:
    made = ExecutionsApp()
    made.settings = Settings.read({})
    patient = QueueWorker(made, **{**made.defaults(), "fetch_job_polling_interval": 60})
    hasty = QueueWorker(made, **{**made.defaults(), "fetch_job_polling_interval": 0})
    seen = []
    for found in (False, True):
        patient.ticket_ended(found=found)
        hasty.ticket_ended(found=found)
        seen.append((patient.may_take, hasty.may_take))
    assert seen == [(False, True), (True, True)]


def test_settings_of_the_worker_default_to_twenty_runs_and_a_minute_to_drain() -> None:
    made = ExecutionsApp()
    made.settings = Settings.read({})
    assert (made.defaults()["concurrency"], made.defaults()["shutdown_graceful_timeout"]) == (20, 60)


def test_procrastinate_has_the_names_that_the_worker_leans_on() -> None:
    # The release is pinned; one that renames these must not pass unseen.
    source = inspect.getsource(worker.Worker)
    for name in ("_new_job_event", "_stop_event", "_running_jobs", "self.app.job_manager.register_worker()"):
        assert name in source
    for method in ("fetch_job", "finish_job", "register_worker", "unregister_worker", "update_heartbeat"):
        ours, theirs = getattr(PatientJobManager, method), getattr(manager.JobManager, method)
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), method
    assert "open_coro" in inspect.signature(App.open_async.__globals__["utils"].AwaitableContext).parameters


def test_wake_up_during_a_fetch_outlives_the_clear_after_it() -> None:
    event = WakeUp()
    event.fetch_begins()
    event.set()
    event.clear()
    assert event.is_set()
    event.fetch_begins()
    event.clear()
    assert not event.is_set()


class Away(manager.JobManager):
    """A queue whose database answers the calls of one method with these errors in turn, then with None."""

    def __init__(self, errors: list[Exception]) -> None:
        self.errors = errors

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        if self.errors:
            raise ConnectorException from self.errors.pop(0)


class PatientAway(PatientJobManager, Away):
    """Ours over that one."""

    def __init__(self, errors: list[Exception]) -> None:
        Away.__init__(self, errors)


def finish(errors: list[Exception], *, is_out_of_time: bool = False) -> list[Exception]:
    """The errors left after finishing a ticket."""

    class Clock:
        pass

    clock: Any = Clock()
    clock.is_out_of_time = is_out_of_time
    queue = PatientAway(errors)
    queue.worker = clock
    job: Any = None
    asyncio.run(queue.finish_job(job, jobs.Status.SUCCEEDED, True))
    return queue.errors


def test_finishing_a_ticket_waits_out_an_outage() -> None:
    standby = psycopg.errors.ReadOnlySqlTransaction("a standby")
    assert finish([psycopg.OperationalError("away"), OSError("away"), psycopg.InterfaceError("closed"), standby]) == []


def test_finishing_a_ticket_that_is_gone_is_done() -> None:
    gone = psycopg.errors.RaiseException("Job was not found")
    assert finish([gone, psycopg.OperationalError("never reached")])[1:] == []


def test_finishing_a_ticket_gives_up_when_a_stop_has_outlived_its_grace() -> None:
    away = psycopg.OperationalError("away")
    assert len(finish([away, away, away], is_out_of_time=True)) == 2


def test_finishing_a_ticket_does_not_hide_other_errors() -> None:
    with pytest.raises(ConnectorException):
        finish([psycopg.errors.UndefinedTable("no such table")])
