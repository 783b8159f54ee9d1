"""One PostgreSQL cluster and the process that supervises it.

A data root holds `data` (the cluster, or a link to it), `log`, `lock` (held for the supervisor's life) and `url` (there
while the server runs).
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

from service.embedded import child, placement, postmaster
from service.embedded.account import Account, server_account
from service.embedded.binaries import find_binaries, readable_binaries, version
from service.embedded.errors import AlreadyRunning, EmbeddedError

OWNER = "agentic"
DATABASE = "agentic"
# Recovery after a crash replays at most one checkpoint interval of work.
START_SECONDS = 120.0
LOCK_SECONDS = 5.0
LARGEST_LOG_BYTES = 10 * 1024 * 1024
# Printed while backends of a killed server are still on their way out; they notice within moments.
BACKENDS_LEFT = b"pre-existing shared memory block"


def default_data_root() -> Path:
    """`.data/postgres` in the checkout that this code runs from, else in the working directory."""
    checkout = Path(__file__).resolve().parents[3]
    root = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    return root / ".data" / "postgres"


def attach(data_root: Path) -> str | None:
    """The libpq URL of the server that runs on this data root; None if none does or it is not ours to use."""
    try:
        url = (data_root / "url").read_text().strip()
        record = postmaster.live_postmaster((data_root / "data").resolve())
    except OSError:
        return None
    return url if record is not None and record.status == "ready" else None


class Cluster:
    """Start it from the main thread, or one that lives as long as the server should: see `child.spawn`."""

    def __init__(
        self,
        data_root: Path | None = None,
        *,
        binaries: Path | None = None,
        runtime_directory: Path | None = None,
        options: Mapping[str, str] | None = None,
    ) -> None:
        """`binaries`: default `find_binaries()`; `runtime_directory`: XDG_RUNTIME_DIR; `options`: server settings."""
        self.data_root = (data_root or default_data_root()).absolute()
        self._binaries = binaries
        self._runtime_directory = runtime_directory
        self._options = {"listen_addresses": "", "unix_socket_permissions": "0700", **(options or {})}
        self._lock: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._sockets: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The owner's URL, without a password: only this account and root can enter the socket's directory."""
        if self._sockets is None:
            raise EmbeddedError("The embedded PostgreSQL has not been started.")
        return f"postgresql://{OWNER}@/{DATABASE}?host={quote(str(self._sockets))}"

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The postmaster's, while it runs."""
        return self._process.pid if self._process is not None and self.is_running else None

    def wait(self, *, timeout_seconds: float) -> bool:
        """Whether the server has ended; waits for that until the time is up. After True, start() starts it again."""
        return postmaster.wait_until(lambda: not self.is_running, seconds=timeout_seconds)

    @property
    def log_path(self) -> Path:
        return self.data_root / "log"

    def start(self) -> str:
        """The URL, once the server takes connections. Recovers from any crash; may be called again if the server died.

        Raises AlreadyRunning if another process supervises this data root.
        """
        if self.is_running:
            return self.url
        self.data_root.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            self._prepare_and_launch()
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """Stop the server in an orderly way and let others start it. Safe to call at any time, also twice."""
        if self._lock is None:
            return
        (self.data_root / "url").unlink(missing_ok=True)
        process = self._process
        if process is not None:
            postmaster.shut_down(process.pid, is_gone=lambda: process.poll() is not None)
            self._process = None
        if self._sockets is not None:
            with contextlib.suppress(OSError):
                self._sockets.rmdir()
        self._lock.close()
        self._lock = None

    def _take_lock(self) -> None:
        """Waits a little: a supervisor that is starting will have a URL, one that is stopping lets go."""
        if self._lock is not None:
            return
        lock = (self.data_root / "lock").open("ab")
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._lock = lock
                return
            url = attach(self.data_root)
            if url is not None or time.monotonic() > deadline:
                lock.close()
                raise AlreadyRunning(f"PostgreSQL is already running on {str(self.data_root)!r}.", url=url)
            time.sleep(postmaster.POLL_SECONDS)

    def _prepare_and_launch(self) -> None:
        (self.data_root / "url").unlink(missing_ok=True)
        found = self._binaries or find_binaries()
        link = self.data_root / "data"
        account = server_account(link)
        if link.exists():
            data = link.resolve()
            binaries = readable_binaries(found, account=account, home=data.parent)
        else:
            home = placement.home_for_data(self.data_root, account=account).resolve()
            binaries = readable_binaries(found, account=account, home=home)
            data = self._create(home, binaries=binaries, account=account)
        _check(data, binaries=binaries, account=account)
        postmaster.stop_orphan(data)
        postmaster.quit_backends(data)
        self._sockets = placement.socket_directory(
            self.data_root, account=account, runtime_directory=self._runtime_directory
        )
        self._launch(data, binaries=binaries, account=account)
        self._publish()

    def _create(self, home: Path, *, binaries: Path, account: Account) -> Path:
        """A new cluster, made aside and moved into place, so that a crash leaves a whole one or none."""
        new = home / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        account.own(new)
        unsynced = ["--no-sync"] if self._options.get("fsync") == "off" else []
        settings = ["-U", OWNER, "-E", "UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-instructions"]
        access = ["--auth-local=trust", "--auth-host=scram-sha-256"]
        child.run([binaries / "initdb", "-D", new, *settings, *access, *unsynced], account=account)
        child.run(
            [binaries / "postgres", "--single", "-D", new, "postgres"],
            account=account,
            statement=f"CREATE DATABASE {DATABASE}\n",
        )
        data = new.rename(home / "data")
        if home != self.data_root.resolve():
            (self.data_root / "data").symlink_to(data)
        return data

    def _launch(self, data: Path, *, binaries: Path, account: Account) -> None:
        assert self._sockets is not None
        options = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        command: list[str | Path] = [binaries / "postgres", "-D", data, "-k", self._sockets, *options]
        deadline = time.monotonic() + START_SECONDS
        with _open_log(self.log_path) as log:
            while time.monotonic() < deadline:
                postmaster.disown_pid_file(data)
                placement.clear_socket_directory(self._sockets)
                printed_before = log.seek(0, os.SEEK_END)
                self._process = child.spawn(command, account=account, output=log)
                if self._becomes_ready(data, deadline=deadline):
                    return
                printed = _read_from(self.log_path, printed_before)
                if self.is_running or BACKENDS_LEFT not in printed:
                    break
        raise EmbeddedError(
            f"PostgreSQL did not start. The end of its log, {str(self.log_path)!r}:\n"
            + printed.decode(errors="replace")[-2000:]
        )

    def _becomes_ready(self, data: Path, *, deadline: float) -> bool:
        """False when the process has ended, or time is up."""
        process = self._process
        assert process is not None

        def is_decided() -> bool:
            return process.poll() is not None or self._is_ready(data)

        return postmaster.wait_until(is_decided, seconds=deadline - time.monotonic()) and process.poll() is None

    def _is_ready(self, data: Path) -> bool:
        record = postmaster.pid_file(data)
        return record is not None and record.pid == self.pid and record.status == "ready"

    def _publish(self) -> None:
        partial = self.data_root / "url.new"
        partial.write_text(self.url + "\n")
        partial.replace(self.data_root / "url")


def _check(data: Path, *, binaries: Path, account: Account) -> None:
    """Refuse data that these binaries would not start on, in words that say what to do."""
    if not account.reaches(data):
        raise EmbeddedError(
            f"{str(data)!r} is closed to the account that runs PostgreSQL for root. Move the checkout back to "
            "where the data was made, or run this as the data's owner."
        )
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except PermissionError:
        raise EmbeddedError(f"{str(data)!r} belongs to another user; run this as that user or as root.") from None
    except FileNotFoundError:
        raise EmbeddedError(f"{str(data)!r} is no PostgreSQL cluster; move it away to start anew.") from None
    offered = version(binaries)
    if found != offered.split(".")[0]:
        raise EmbeddedError(
            f"{str(data)!r} was written by PostgreSQL {found}, the binaries here are {offered}. Dump it with "
            f"PostgreSQL {found} (name its bin directory in PG_BIN), or move it away to start empty."
        )


def _open_log(path: Path) -> IO[bytes]:
    """Opened to append; the file before it is kept once when it has grown large."""
    if path.exists() and path.stat().st_size > LARGEST_LOG_BYTES:
        path.replace(path.with_name("log.1"))
    return path.open("ab")


def _read_from(path: Path, offset: int) -> bytes:
    with path.open("rb") as log:
        log.seek(offset)
        return log.read()
