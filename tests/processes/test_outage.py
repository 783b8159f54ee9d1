"""A database that goes away while runs are under way: nobody exits, nothing is stolen, no answer is asked for twice."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from service.embedded import Cluster
from tests import postgres
from tests.processes.workers import Worker, calls, check_all_finished, phases, registered, unfinished, until
from tests.tasks.seed import open_shop

OUTAGE_SECONDS = 60.0 if os.environ.get("CI") == "true" else 12.0
# What was committed must survive the crash of the server, though not of the machine.
OPTIONS = {**postgres.THROWAWAY, "synchronous_commit": "on"}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    directory = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    directory.chmod(0o755)
    try:
        with Cluster(directory, options=OPTIONS) as started:
            postgres.create_roles(started.url)
            yield started
    finally:
        shutil.rmtree(directory)


def crash(cluster: Cluster) -> None:
    """What `pg_ctl stop -m immediate` does."""
    assert cluster.pid is not None
    os.kill(cluster.pid, signal.SIGQUIT)
    until(lambda: not cluster.is_running)


@pytest.mark.slow
def test_workers_outlive_an_outage_and_go_on_with_what_they_had_in_hand(cluster: Cluster, tmp_path: Path) -> None:
    log = tmp_path / "calls"
    with postgres.migrated_template(cluster.url) as template, postgres.clone(template) as url:
        workers = [Worker(url, tmp_path / f"{name}.log") for name in ("one", "two")]
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                until(lambda: all(registered(connection, worker.log.stem) for worker in workers))
                accept_twenty(connection, log)
                crash(cluster)
            workers.append(Worker(url, tmp_path / "three.log"))
            time.sleep(OUTAGE_SECONDS)  # not for something to happen: the outage itself
            assert all(worker.is_running for worker in workers)
            answered_without_a_database = sum(calls(log, "answered").values())
            cluster.start()
            began = time.monotonic()
            with psycopg.connect(url, autocommit=True) as connection:
                until(lambda: sum(calls(log, "answered").values()) > answered_without_a_database)
                assert time.monotonic() - began < 10
                until(lambda: not unfinished(connection), what="all runs end")
                check_outcome(connection, log)
                until(lambda: registered(connection, "three"), what="the worker started meanwhile comes up")
            assert all(worker.is_running for worker in workers)
        finally:
            for worker in workers:
                worker.kill()
                print(f"--- {worker.log.name}\n{worker.log.read_text()[-3000:]}")


@pytest.mark.slow
def test_worker_told_to_stop_during_an_outage_ends_after_its_grace_and_its_runs_go_on_elsewhere(
    cluster: Cluster, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    with postgres.migrated_template(cluster.url) as template, postgres.clone(template) as url:
        worker = Worker(url, tmp_path / "one.log", "--shutdown-graceful-timeout", "1")
        workers = [worker]
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                until(lambda: registered(connection, "one"))
                accept_twenty(connection, log)
                crash(cluster)
            assert worker.stop(seconds=20) == 0
            cluster.start()
            with psycopg.connect(url, autocommit=True) as connection:
                workers.append(Worker(url, tmp_path / "two.log"))
                until(lambda: not unfinished(connection), what="another worker ends all runs")
                check_all_finished(connection)
                until(lambda: jobs(connection) == 0, what="no ticket is left")
        finally:
            for each in workers:
                each.kill()
                print(f"--- {each.log.name}\n{each.log.read_text()[-3000:]}")


def jobs(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()
    assert row is not None
    return int(row[0])


def accept_twenty(connection: psycopg.Connection[Any], log: Path) -> None:
    """Runs in all states: some wait for the model, some are in a tool, some in one that needs the database."""
    shop = open_shop(connection)
    kinds = (("work", 0.0), ("work", 1.0), ("read_catalogue", 1.0), ("work", 0.0))
    for number in range(20):
        tool, seconds = kinds[number % 4]
        shop.accept(
            "steps", {"log": str(log), "tool": tool, "tool_calls": 3, "model_seconds": 1.0, "tool_seconds": seconds}
        )
    until(lambda: phases(connection)["running"] == 20 and len(calls(log, "answered")) >= 20)


def check_outcome(connection: psycopg.Connection[Any], log: Path) -> None:
    check_all_finished(connection)
    kinds = dict(connection.execute("SELECT kind, count(*) FROM events GROUP BY kind").fetchall())
    assert kinds == {
        "accepted": 20,
        "started": 20,
        "turn_started": 80,
        "turn_answered": 80,
        "tool_started": 60,
        "tool_finished": 60,
        "judged": 20,
        "finished": 20,
    }
    assert set(calls(log, "asked").values()) == {1}
    assert calls(log, "answered") == calls(log, "asked")
    needing = [run for (run,) in connection.execute("SELECT id FROM executions WHERE input ->> 'tool' <> 'work'")]
    assert {times for (run, _), times in calls(log, "tool").items() if run not in needing} == {1}
