"""Breakpoints inside the database: a run stops within the statement that writes one of its steps.

The statement waits for an advisory lock that the test holds. So its worker can be killed with the write neither
there nor refused, and the test then decides whether it commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import psycopg

LOCK = 9000

SET_UP = """
CREATE TABLE breakpoints (execution_id bigint PRIMARY KEY, step text NOT NULL);
CREATE FUNCTION stop_at_breakpoint() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  v_execution_id bigint := (to_jsonb(NEW) ->> TG_ARGV[0])::bigint;
BEGIN
  DELETE FROM breakpoints WHERE execution_id = v_execution_id AND step = TG_ARGV[1];
  IF FOUND THEN
    PERFORM pg_advisory_xact_lock_shared(9000, v_execution_id::integer);
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stop BEFORE UPDATE ON executions FOR EACH ROW WHEN (NEW.picked_up_at IS DISTINCT FROM OLD.picked_up_at)
  EXECUTE FUNCTION stop_at_breakpoint('id', 'claim');
CREATE TRIGGER stop_start BEFORE INSERT ON turns FOR EACH ROW
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'turn asked');
CREATE TRIGGER stop_end BEFORE UPDATE ON turns FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL)
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'turn answered');
CREATE TRIGGER stop_correction BEFORE INSERT ON turns FOR EACH ROW WHEN (NEW.cycle = 3)
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'correction asked');
CREATE TRIGGER stop_corrected BEFORE UPDATE ON turns FOR EACH ROW WHEN (NEW.cycle = 3 AND NEW.finished_at IS NOT NULL)
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'correction answered');
CREATE TRIGGER stop_start BEFORE INSERT ON tool_calls FOR EACH ROW
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'tool called');
CREATE TRIGGER stop_end BEFORE UPDATE ON tool_calls FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL)
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'tool returned');
CREATE TRIGGER stop AFTER INSERT ON receipts FOR EACH ROW
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'shop written');
CREATE TRIGGER stop AFTER INSERT ON orders FOR EACH ROW
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'shop written');
CREATE TRIGGER stop BEFORE INSERT ON verdicts FOR EACH ROW
  EXECUTE FUNCTION stop_at_breakpoint('execution_id', 'verdicts');
CREATE TRIGGER stop_end BEFORE UPDATE ON executions FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL)
  EXECUTE FUNCTION stop_at_breakpoint('id', 'outcome');
"""

STEPS = (
    "turn asked",
    "turn answered",
    "tool called",
    "tool returned",
    "verdicts",
    "correction asked",
    "correction answered",
    "outcome",
)

WAITING = """
SELECT objid::bigint, pid FROM pg_locks WHERE locktype = 'advisory' AND classid = %s AND NOT granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Breakpoints:
    """Set them before the executions are accepted; leave the block to let everything go on."""

    def __init__(self, url: str, connection: psycopg.Connection[Any]) -> None:
        """`url` is a superuser's: it ends backends of the app role."""
        self._url = url
        self._connection = connection
        self._stack = ExitStack()
        connection.execute(SET_UP)

    def __enter__(self) -> Self:
        self._holder = self._stack.enter_context(psycopg.connect(self._url, autocommit=True))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def set(self, execution_id: int, step: str) -> None:
        """The next time that this execution writes this step, it stops there; once."""
        self._holder.execute("SELECT pg_advisory_lock(%s, %s)", (LOCK, execution_id))
        self._connection.execute("INSERT INTO breakpoints VALUES (%s, %s)", (execution_id, step))

    def reached(self) -> dict[int, int]:
        """Executions that stand at their breakpoint, with the process id of the backend that runs the statement."""
        return dict(self._connection.execute(WAITING, (LOCK,)).fetchall())

    def commit(self, execution_id: int) -> None:
        """Let the statement go on."""
        self._holder.execute("SELECT pg_advisory_unlock(%s, %s)", (LOCK, execution_id))

    def roll_back(self, execution_ids: Sequence[int]) -> None:
        """End the backends of these statements."""
        reached = self.reached()
        for execution_id in execution_ids:
            self._holder.execute("SELECT pg_terminate_backend(%s)", (reached[execution_id],))
