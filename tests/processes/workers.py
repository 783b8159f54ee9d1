"""Real worker processes, and what must hold after whatever was done to them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tests import postgres

PLUGIN = Path(__file__).with_name("plugin")
LEASE_SECONDS = 2.5
DEADLINE_SECONDS = 40.0


def until(holds: Callable[[], object], *, seconds: float = DEADLINE_SECONDS, what: str = "") -> None:
    """Wait until it holds; fail when it does not in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what or holds} did not hold within {seconds:g} seconds"
        time.sleep(0.02)


class Worker:
    """`procrastinate worker` with the steps package beside it, as the app role."""

    def __init__(self, url: str, log: Path, *flags: str, role: str = postgres.APP, **environment: str) -> None:
        self.log = log
        given = {
            "DATABASE_URL": postgres.as_role(url, role),
            "PROCRASTINATE_APP": "tasks.app.app",
            "PYTHONPATH": str(PLUGIN),
            "AGENTIC_LEASE_SECONDS": str(LEASE_SECONDS),
            "AGENTIC_WORKER_NAME": log.stem,
            **environment,
        }
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AGENTIC_", "DATABASE"))}
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "procrastinate", "worker", *flags],
                env={**inherited, **given},
                stdout=output,
                stderr=output,
            )

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, *, seconds: float = 20.0) -> int:
        """SIGTERM, and its exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def registered(connection: psycopg.Connection[Any], name: str) -> bool:
    """Whether a worker of this name has a live lease."""
    found = connection.execute("SELECT FROM workers WHERE name = %s AND lease_until > now()", (name,)).fetchone()
    return found is not None


def unfinished(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT count(*) FROM execution_runtime").fetchone()
    assert row is not None
    return int(row[0])


def phases(connection: psycopg.Connection[Any]) -> Counter[str]:
    return Counter(phase for (phase,) in connection.execute("SELECT phase FROM execution_runtime"))


def calls(log: Path, what: str) -> Counter[tuple[int, int]]:
    """How often each (execution, turn) did `what`, one of asked, answered, tool."""
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    parts = [line.split() for line in lines]
    return Counter((int(execution), int(turn)) for kind, execution, turn in parts if kind == what)


def check_records(connection: psycopg.Connection[Any]) -> None:
    """Each execution has one outcome and one record: one final event, no gap in its numbers, no turn twice or open."""
    rows = connection.execute("SELECT id, status FROM executions ORDER BY id").fetchall()
    for execution_id, status in rows:
        events = connection.execute(
            "SELECT seq, kind FROM events WHERE execution_id = %s ORDER BY seq", (execution_id,)
        ).fetchall()
        assert [seq for seq, _ in events] == list(range(1, len(events) + 1)), (execution_id, events)
        kinds = [kind for _, kind in events]
        assert kinds[0] == "accepted"
        assert kinds[-1] in (status, "cancelled" if status == "failed" else status), (execution_id, status, events)
        assert sum(kind in ("finished", "failed", "cancelled") for kind in kinds) == 1, events
        turns = connection.execute(
            "SELECT number, finished_at IS NOT NULL FROM turns WHERE execution_id = %s ORDER BY number", (execution_id,)
        ).fetchall()
        assert [number for number, _ in turns] == list(range(1, len(turns) + 1)), (execution_id, turns)
        if status == "finished":
            assert all(is_finished for _, is_finished in turns), (execution_id, turns)


def check_all_finished(connection: psycopg.Connection[Any]) -> None:
    failures = connection.execute(
        "SELECT id, failure_code, failure_explanation FROM executions WHERE status <> 'finished'"
    ).fetchall()
    assert failures == []
    check_records(connection)
