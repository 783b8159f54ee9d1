"""The service for a benchmark: database, API and one worker, as `agentic up` starts them in a folder of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from service.attached import settings_with_database
from service.settings import Settings
from service.supervision.access_file import Access, read_access

GIVING_UP = {"tool": "stop_execution", "args": {"reason": "no model"}}
"""A scripted model's answer that ends `agentic up`'s own sample at once."""


@contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder that the embedded PostgreSQL's user may enter, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def service(folder: Path, port: int, *, model: str | None = None, **environment: str) -> Iterator[Access]:
    """The service in that folder, with a model, which has nothing to say unless given, and with more variables."""
    command = [sys.executable, "-m", "service.cli", "up", "--port", str(port), "--model", model or script(folder)]
    variables = {**os.environ, "AGENTIC_DATA_ROOT": str(folder), "AGENTIC_LOG_LEVEL": "WARNING", **environment}
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        assert process.stdout is not None
        while "Ctrl-C stops" not in (line := process.stdout.readline()):
            if not line:
                raise SystemExit("agentic up did not start")
        access = read_access(folder / "cli.json")
        assert access is not None
        yield access
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def script(folder: Path, *answers: object) -> str:
    """The name of a scripted model that says these in turn."""
    path = folder / "script.jsonl"
    path.write_bytes(b"".join(msgspec.json.encode(answer) + b"\n" for answer in answers or (GIVING_UP,)))
    return f"scripted:{path}"


def database_url(folder: Path) -> str:
    """Where the database of the service in that folder is."""
    return settings_with_database(Settings.read({"AGENTIC_DATA_ROOT": str(folder)})).database_url
