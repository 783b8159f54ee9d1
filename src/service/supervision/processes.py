"""The API and the worker as children of `agentic up`: started in order, started again if they die, stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from service.embedded.child import die_with_parent

LARGEST_LOG_BYTES = 10 * 1024 * 1024
RESTART_SECONDS = (0.0, 1.0, 2.0, 5.0)  # the last one repeats
STEADY_SECONDS = 30.0  # a child that lived this long counts as having started well


@dataclass
class Child:
    """One long-lived process, with its output in a log file. Start it from the main thread: it dies with that."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log_path: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)
    _started_at: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches the supervisor alone."""
        if self.log_path.exists() and self.log_path.stat().st_size > LARGEST_LOG_BYTES:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGTERM),
            )
        self._started_at = time.monotonic()

    def ended(self) -> int | None:
        """Its exit status if it has ended."""
        return None if self.process is None else self.process.poll()

    def restart_if_due(self) -> bool:
        """Start it again after it ended, later each time while it keeps ending. Returns whether it was started."""
        lived = time.monotonic() - self._started_at
        if lived > STEADY_SECONDS:
            self._failures = 0
        if lived < RESTART_SECONDS[min(self._failures, len(RESTART_SECONDS) - 1)]:
            return False
        self._failures += 1
        self.start()
        return True

    def stop(self, *, seconds: float) -> None:
        """SIGTERM, and SIGKILL when it has not ended after `seconds`."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_lines(self, count: int = 15) -> str:
        """The end of its log, for the person who wonders why it ended."""
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return "\n".join(text.splitlines()[-count:])


def api_child(environment: Mapping[str, str], logs: Path, *, host: str, port: int) -> Child:
    """`agentic serve`, run by this interpreter."""
    command = [sys.executable, "-m", "service.cli", "serve", "--host", host, "--port", str(port)]
    return Child("api", command, environment, logs / "api.log")


def worker_child(environment: Mapping[str, str], logs: Path) -> Child:
    """The stock worker command."""
    command = [sys.executable, "-m", "procrastinate", "worker"]
    return Child("worker", command, {**environment, "PROCRASTINATE_APP": "tasks.app.app"}, logs / "worker.log")
