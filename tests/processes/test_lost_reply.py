"""Statements that take effect and whose answer never arrives: each is told again, and takes effect once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import postgres
from tests.processes.conftest import Start
from tests.processes.proxy import Proxy
from tests.processes.workers import calls, check_all_finished, unfinished, until
from tests.tasks.seed import Shop

STEPS = (
    "INSERT INTO turns",
    "UPDATE turns",
    "INSERT INTO tool_calls",
    "UPDATE tool_calls",
    "INSERT INTO verdicts",
    "DELETE FROM execution_runtime",
)

PROGRESS = ("turn_started", "turn_answered", "tool_started", "tool_finished", "turn_started", "turn_answered", "judged")


def kinds(connection: psycopg.Connection[Any], execution_id: int) -> list[str]:
    rows = connection.execute("SELECT kind FROM events WHERE execution_id = %s ORDER BY seq", (execution_id,))
    return [kind for (kind,) in rows]


def test_worker_that_loses_the_reply_to_a_step_goes_on_as_if_it_had_come(
    database_url: str, shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    with Proxy(database_url) as proxy:
        worker = start("one", url=proxy.url, DATABASE_DIRECT_URL=postgres.as_role(database_url, postgres.APP))
        for number, statement in enumerate(STEPS, start=1):
            proxy.lose_reply_to(statement)
            execution_id = shop.accept("steps", {"log": str(calls_log)})
            until(lambda: not unfinished(connection), what=f"the run goes on after {statement}")
            until(lambda number=number: proxy.dropped == number, what=f"the reply to {statement} is lost")  # type: ignore[misc]
            assert kinds(connection, execution_id) == ["accepted", "started", *PROGRESS, "finished"], statement
        assert worker.stop() == 0
    assert "claim lost" not in worker.log.read_text()
    check_all_finished(connection)
    assert set(calls(calls_log, "asked").values()) == {1}
    assert set(calls(calls_log, "tool").values()) == {1}
    assert connection.execute("SELECT max(attempts) FROM turns").fetchone() == (1,)
    assert connection.execute("SELECT max(attempts) FROM tool_calls").fetchone() == (1,)


def test_worker_that_loses_the_reply_to_a_claim_gives_the_execution_back(
    database_url: str, shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    with Proxy(database_url) as proxy:
        start("one", url=proxy.url, DATABASE_DIRECT_URL=postgres.as_role(database_url, postgres.APP))
        proxy.lose_reply_to("claim_execution")
        execution_id = shop.accept("steps", {"log": str(calls_log)})
        until(lambda: not unfinished(connection), what="the run ends")
        assert proxy.dropped == 1
        before = ["accepted", "started", "released", "resumed"]
        assert kinds(connection, execution_id) == [*before, *PROGRESS, "finished"]
    check_all_finished(connection)


@pytest.mark.parametrize("statement", ["procrastinate_fetch_job_v2", "procrastinate_finish_job_v1"])
def test_worker_that_loses_the_reply_to_the_queue_still_runs_everything(
    database_url: str, shop: Shop, start: Start, connection: psycopg.Connection[Any], statement: str
) -> None:
    with Proxy(database_url) as proxy:
        start("one", DATABASE_DIRECT_URL=postgres.as_role(proxy.url, postgres.APP), AGENTIC_POLL_SECONDS="60")
        proxy.lose_reply_to(statement)
        shop.accept()
        until(lambda: not unfinished(connection), what="the run ends")
        until(lambda: proxy.dropped == 1)
        until(
            lambda: connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,),
            what="no ticket is left",
        )
        shop.accept()
        until(lambda: not unfinished(connection), what="a further run ends")
    check_all_finished(connection)
