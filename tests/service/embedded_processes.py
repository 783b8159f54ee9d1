"""What the tests of the embedded server need to crash it: supervisors as processes, a writer that keeps count."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg

from service.embedded import postmaster

ORDINARY_UID = 65534
DEADLINE_SECONDS = 20.0


@contextlib.contextmanager
def data_root(*, uid: int | None = None, name: str = "postgres") -> Iterator[Path]:
    """An empty data root, given to `uid` if that is not whoever runs the tests."""
    top = Path(tempfile.mkdtemp(prefix="embedded-", dir="/tmp"))
    top.chmod(0o755)
    root = top / name
    root.mkdir()
    if uid is not None:
        os.chown(root, uid, uid)
    try:
        yield root
    finally:
        shutil.rmtree(top)


class Supervisor:
    """A process that runs `embedded_supervisor.py`."""

    def __init__(self, root: Path, *, uid: int | None = None) -> None:
        script = Path(__file__).with_name("embedded_supervisor.py")
        account = [] if uid is None else [str(uid)]
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, script, root, *account], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self._read_url()

    def _read_url(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line, "the supervisor ended instead of printing its URL"
        return line

    @property
    def postmaster_pid(self) -> int:
        record = postmaster.live_postmaster((self.root / "data").resolve())
        assert record is not None
        return record.pid

    def start_server_again(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        self.url = self._read_url()

    def kill(self) -> None:
        self.process.kill()
        self.close()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(DEADLINE_SECONDS)
        self.process.stdout.close()


@contextlib.contextmanager
def supervisor(root: Path, *, uid: int | None = None) -> Iterator[Supervisor]:
    started = Supervisor(root, uid=uid)
    try:
        yield started
    finally:
        started.close()


class Writer:
    """Commits one number after the other until the server goes away. `acknowledged` is the last one it was told of."""

    def __init__(self, url: str) -> None:
        self.acknowledged = 0
        self._url = url
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        wait_until(lambda: self.acknowledged >= 20)

    def _write(self) -> None:
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS written")
            connection.execute("CREATE TABLE written (number bigint PRIMARY KEY)")
            for number in count(1):
                connection.execute("INSERT INTO written VALUES (%s)", [number])
                self.acknowledged = number

    def join(self) -> None:
        """Waits until it has noticed."""
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()


def lost_rows(url: str, *, acknowledged: int) -> set[int]:
    with psycopg.connect(url) as connection:
        kept = {number for (number,) in connection.execute("SELECT number FROM written")}
    return set(range(1, acknowledged + 1)) - kept


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "nothing happened in time"
        time.sleep(0.01)


def is_process(pid: int) -> bool:
    """Also for one that runs as another user; a zombie counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
