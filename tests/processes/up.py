"""`agentic up` as a process, in a data directory of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STOPS = '{"tool": "stop_execution", "args": {"reason": "This script has nothing to say."}}\n'


class Up:
    """Start it any number of times on the same directory; `close` ends what runs and removes the data."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="up-", dir="/tmp"))
        self.directory.chmod(0o755)
        self.script = self.directory / "script.jsonl"
        self.script.write_text(STOPS)
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None
        self.output = self.directory / "output"

    def start(self) -> None:
        """Returns when everything runs and the person was told what to do next."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("AGENTIC_", "DATABASE_"))}
        environment["AGENTIC_DATA_ROOT"] = str(self.directory)
        command = [sys.executable, "-u", "-m", "service.cli", "up", "--port", str(self.port)]
        with self.output.open("w") as output:
            self.process = process = subprocess.Popen(
                [*command, "--model", f"scripted:{self.script}"],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        until(lambda: "Ctrl-C stops everything" in self.output.read_text() or process.poll() is not None, 90)
        assert process.poll() is None, self.output.read_text()

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def access(self) -> dict[str, Any]:
        """What it keeps in cli.json."""
        read: dict[str, Any] = json.loads((self.directory / "cli.json").read_text())
        return read

    def children(self) -> dict[str, int]:
        """Process ids by what they are: postgres, serve, worker."""
        assert self.process is not None
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _parent(entry) == self.process.pid:
                words = (entry / "cmdline").read_bytes().decode(errors="replace")
                for name in ("postgres", "serve", "worker"):
                    if name in words:
                        found[name] = int(entry.name)
        return found

    def interrupt(self) -> int:
        """Ctrl-C; its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.is_running:
            self.interrupt()
        print(self.output.read_text() if self.output.exists() else "")
        shutil.rmtree(self.directory, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(is_so: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.05)


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1
