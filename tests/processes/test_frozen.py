"""Workers that stop without dying: a stopped process, a blocked event loop. Both wake up as strangers."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import postgres
from tests.processes.conftest import Start
from tests.processes.workers import calls, check_all_finished, phases, registered, unfinished, until
from tests.tasks.seed import Shop

pytestmark = pytest.mark.slow


def written(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Everything that runs write, to be compared."""
    return [
        *connection.execute("SELECT * FROM turns ORDER BY execution_id, number"),
        *connection.execute("SELECT * FROM tool_calls ORDER BY execution_id, turn, number"),
        *connection.execute("SELECT * FROM verdicts ORDER BY execution_id, cycle, number"),
        *connection.execute("SELECT execution_id, seq, kind FROM events ORDER BY execution_id, seq"),
        *connection.execute("SELECT id, status, result, finished_at FROM executions ORDER BY id"),
    ]


def test_worker_stopped_past_its_lease_changes_nothing_when_it_goes_on(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    frozen = start("frozen")
    for _ in range(10):
        shop.accept("steps", {"log": str(calls_log), "tool_calls": 3, "model_seconds": 0.7})
    until(lambda: phases(connection)["running"] == 10 and len(calls(calls_log, "answered")) >= 10)
    frozen.signal(signal.SIGSTOP)
    heir = start("heir")
    until(lambda: not unfinished(connection), what="the heir finishes all")
    before = written(connection)
    frozen.signal(signal.SIGCONT)
    until(lambda: "worker was taken for dead" in frozen.log.read_text(), what="the frozen one notices")
    until(lambda: registered(connection, "frozen"), what="it registers anew")
    until(lambda: frozen.log.read_text().count("claim lost") == 10, what="its runs end")
    assert written(connection) == before
    check_all_finished(connection)
    asked = calls(calls_log, "asked")
    answered = calls(calls_log, "answered")
    assert all(times <= 2 for times in asked.values())  # only calls that were in flight in the frozen process
    assert sum(asked.values()) - len(asked) <= 10, answered
    # Under its new identity it is as good as any.
    assert heir.stop() == 0
    shop.accept()
    until(lambda: not unfinished(connection), what="the woken worker finishes one more")
    check_all_finished(connection)


AUDIT = """
CREATE TABLE audit (id bigint GENERATED ALWAYS AS IDENTITY, who name DEFAULT session_user, place text, what text);
CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO audit (place, what) VALUES (TG_TABLE_NAME, to_jsonb(NEW)::text);
  RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON turns FOR EACH ROW EXECUTE FUNCTION note_write();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON tool_calls FOR EACH ROW EXECUTE FUNCTION note_write();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON verdicts FOR EACH ROW EXECUTE FUNCTION note_write();
CREATE TRIGGER audit AFTER INSERT OR UPDATE ON executions FOR EACH ROW EXECUTE FUNCTION note_write();
"""


def audited(connection: psycopg.Connection[Any], role: str) -> list[tuple[Any, ...]]:
    return connection.execute("SELECT id, place, what FROM audit WHERE who = %s ORDER BY id", (role,)).fetchall()


def test_worker_that_goes_on_while_another_runs_its_executions_writes_nothing_into_them(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    # Each worker is a role of its own, so that its writes can be told apart.
    connection.execute(AUDIT)
    frozen = start("frozen", role=postgres.OWNER)
    for _ in range(10):
        shop.accept("steps", {"log": str(calls_log), "tool_calls": 4, "model_seconds": 1.0})
    until(lambda: phases(connection)["running"] == 10 and len(calls(calls_log, "answered")) >= 10)
    frozen.signal(signal.SIGSTOP)
    start("heir")
    until(
        lambda: connection.execute("SELECT count(*) FROM events WHERE kind = 'resumed'").fetchone() == (10,),
        what="the heir has all",
    )
    before = audited(connection, postgres.OWNER)  # not sooner: statements may have been under way
    frozen.signal(signal.SIGCONT)
    until(lambda: frozen.log.read_text().count("claim lost") == 10, what="the runs of the frozen one end")
    assert unfinished(connection) == 10
    until(lambda: not unfinished(connection), what="the heir finishes all")
    assert audited(connection, postgres.OWNER) == before
    check_all_finished(connection)


def test_worker_whose_event_loop_is_blocked_past_its_lease_changes_nothing_when_it_goes_on(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    blocked = start("blocked")
    # It goes on when told to: an heir may take longer to come up on a busy machine than any time that is set here.
    shop.accept("steps", {"log": str(calls_log), "tool": "block_worker", "tool_seconds": 100, "tool_calls": 2})
    until(lambda: calls(calls_log, "tool"))
    start("heir")
    until(lambda: not unfinished(connection), what="the heir finishes it")
    before = written(connection)
    Path(f"{calls_log}.seen").touch()
    until(lambda: "taken for dead" in blocked.log.read_text(), what="the blocked one notices")
    until(lambda: "claim lost" in blocked.log.read_text(), what="its run ends")
    assert written(connection) == before
    check_all_finished(connection)
    assert set(calls(calls_log, "asked").values()) == {1}  # no finished call of the model is repeated
    assert calls(calls_log, "tool")[1, 1] == 2  # the call in flight is
