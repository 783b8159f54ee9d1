"""The server's own record of itself, postmaster.pid, read without trusting it.

The number in it may belong to nobody, to a zombie that no init reaps (common in containers), or to an unrelated process
that was given the number later (common where pids are small and the data sits on a volume).
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from service.embedded.errors import EmbeddedError

FAST_SHUTDOWN_SECONDS = 30.0
IMMEDIATE_SHUTDOWN_SECONDS = 10.0
POLL_SECONDS = 0.01


@dataclass(frozen=True)
class PidFile:
    """Line 1 is the pid, line 8 the state."""

    pid: int
    status: str


def pid_file(data: Path) -> PidFile | None:
    """None if there is none, or it is being written just now."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return PidFile(pid=abs(int(lines[0])), status=lines[7].strip() if len(lines) > 7 else "")
    except (FileNotFoundError, NotADirectoryError, IndexError, ValueError):
        return None


def live_postmaster(data: Path) -> PidFile | None:
    """The postmaster that serves this data directory, verified by its command line; None if there is none."""
    record = pid_file(data)
    if record is None or not _serves(record.pid, data):
        return None
    return record


def _serves(pid: int, data: Path) -> bool:
    arguments = _arguments(pid)
    if not arguments or PurePath(arguments[0]).name != "postgres":
        return False
    return str(data) in arguments or _working_directory(pid) == str(data)


def _arguments(pid: int) -> list[str]:
    """Empty for a process that is gone or a zombie."""
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return listed.stdout.split()
    try:
        # The kernel keeps no command line for a zombie.
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").rstrip("\0").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def _working_directory(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return None


def disown_pid_file(data: Path) -> None:
    """Make a leftover postmaster.pid acceptable to the next server that this process starts.

    PostgreSQL refuses to start while the recorded pid is any living process, its own parent excepted. So the file
    is made to name this process instead of being removed: its shared memory line stays, and with it PostgreSQL's own
    check that no backend of a killed server still runs.
    """
    path = data / "postmaster.pid"
    try:
        _, _, rest = path.read_text().partition("\n")
        owner = path.stat()
    except FileNotFoundError:
        return
    rewritten = path.with_name("postmaster.pid.new")
    rewritten.write_text(f"{os.getpid()}\n{rest}")
    rewritten.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(rewritten, owner.st_uid, owner.st_gid)
    rewritten.replace(path)


def stop_orphan(data: Path) -> None:
    """Stop a server whose supervisor died. One that is already shutting down is waited for."""
    record = live_postmaster(data)
    if record is not None:
        shut_down(record.pid, is_gone=lambda: not _serves(record.pid, data))


def quit_backends(data: Path) -> None:
    """End what a killed postmaster left behind: idle backends go by themselves, one that computes stays for hours.

    SIGQUIT is what the postmaster would send them to stop at once. Linux only: elsewhere they end on their own.
    """

    def left() -> list[int]:
        return [pid for pid in _processes() if _working_directory(pid) == str(data) and _is_backend(pid)]

    for pid in left():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
    if not wait_until(lambda: not left(), seconds=IMMEDIATE_SHUTDOWN_SECONDS):
        raise EmbeddedError(f"Processes of a killed PostgreSQL on {str(data)!r} do not end: {left()}.")


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _is_backend(pid: int) -> bool:
    """Backends rewrite their command line to `postgres: ` and what they do."""
    arguments = _arguments(pid)
    return bool(arguments) and arguments[0].startswith("postgres: ")


def shut_down(pid: int, *, is_gone: Callable[[], bool]) -> None:
    """Fast shutdown, then an immediate one, which the next start recovers from. Never SIGKILL: it leaves backends."""
    for signal_number, patience in (
        (signal.SIGINT, FAST_SHUTDOWN_SECONDS),
        (signal.SIGQUIT, IMMEDIATE_SHUTDOWN_SECONDS),
    ):
        if is_gone():
            return
        try:
            os.kill(pid, signal_number)
        except ProcessLookupError:
            return
        if wait_until(is_gone, seconds=patience):
            return
    raise EmbeddedError(f"PostgreSQL (pid {pid}) did not stop after SIGINT and SIGQUIT; look at its log.")


def wait_until(condition: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
