"""Starts database, migrations, API and worker in order, keeps the last two running, stops all in reverse order."""

from __future__ import annotations

import dataclasses
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click
import psycopg
from psycopg import sql

from service.attached import data_directory, require_readable_urls
from service.errors import SetupError
from service.migrate import migration_failed, upgrade
from service.revisions import head_revision
from service.settings import Settings
from service.supervision.access_file import secret_key_file
from service.supervision.processes import Child, api_child, worker_child
from service.supervision.welcome import from_here, welcome

if TYPE_CHECKING:
    from service.embedded import Cluster

READY_SECONDS = 90.0
DRAIN_SECONDS = 10.0  # a worker that is told to stop has this long to end its turns; what is not done goes on later
LOOK_SECONDS = 0.2


class Stopped(BaseException):
    """SIGINT or SIGTERM came while something was starting."""


class Supervisor:
    """One `agentic up`. Not re-entrant; `run` returns when a signal has stopped everything."""

    def __init__(self, settings: Settings, *, host: str, port: int, model: str) -> None:
        self._settings = dataclasses.replace(settings, model=model)
        self._host, self._port = host, port
        self._stop = threading.Event()
        self._running: list[Child] = []
        self._cluster: Cluster | None = None
        self.directory = data_directory(settings)
        shown = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"

    def run(self) -> None:
        """Start, welcome, watch, stop. Raises SetupError for what the person at the keyboard can mend."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            stack.enter_context(self._signals())
            try:
                self._start_and_watch(stack)
            except Stopped:
                click.echo("Stopping …")

    def _start_and_watch(self, stack: ExitStack) -> None:
        if not self._runs_already():
            _require_free_port(self._host, self._port)  # before seconds go into a database
        settings = dataclasses.replace(self._settings, database_url=self._database(stack))
        _require_free_port(self._host, self._port)
        try:
            upgrade(settings)
        except psycopg.Error as error:
            raise migration_failed(error) from error
        click.echo(f"migrations  at {head_revision()}")
        for child in self._children(settings):
            stack.callback(child.stop, seconds=DRAIN_SECONDS + 5)
            child.start()
            self._wait_until_ready(child, settings)
            self._running.append(child)
        welcome(settings, self.url, self.directory, self._pause)
        self._watch()

    def _runs_already(self) -> bool:
        """Whether a database runs here: an `agentic up` beside this one, which then holds the port as well."""
        from service.embedded import attach

        return not self._settings.database_url and attach(self.directory / "postgres") is not None

    def _database(self, stack: ExitStack) -> str:
        """DATABASE_URL as it is, or the embedded server, which stops after everything else."""
        if self._settings.database_url:
            require_readable_urls(self._settings)
            click.echo("database    DATABASE_URL")
            return self._settings.database_url
        from service.embedded import AlreadyRunning, Cluster, EmbeddedError, find_binaries

        settings = self._settings
        runtime = Path(settings.runtime_directory) if settings.runtime_directory else None
        try:
            binaries = find_binaries(Path(settings.pg_bin) if settings.pg_bin else None)
            cluster = Cluster(self.directory / "postgres", binaries=binaries, runtime_directory=runtime)
            url = cluster.start()
        except AlreadyRunning as error:
            raise SetupError(f"`agentic up` already runs here ({self.directory}); stop it first.") from error
        except EmbeddedError as error:
            raise SetupError(str(error)) from error
        stack.callback(cluster.stop)
        self._cluster = cluster
        _create_reporting_role(url, self._settings.reporting_role)
        click.echo(f"database    PostgreSQL, embedded, in {from_here(self.directory / 'postgres')}")
        return url

    def _children(self, settings: Settings) -> list[Child]:
        environment = {
            "DATABASE_URL": settings.database_url,
            "AGENTIC_MODEL": settings.model,
            "AGENTIC_WORKER_NAME": self._worker_name(),
            "AGENTIC_DRAIN_SECONDS": str(DRAIN_SECONDS),
        }
        if not settings.secret_keys:
            environment["AGENTIC_SECRET_KEY_FILE"] = str(secret_key_file(self.directory))
        return [
            api_child(environment, self.directory, host=self._host, port=self._port),
            worker_child(environment, self.directory),
        ]

    def _worker_name(self) -> str:
        return self._settings.worker_name or f"up-{socket.gethostname()}"

    def _wait_until_ready(self, child: Child, settings: Settings) -> None:
        """Until it serves or holds a lease. Raises SetupError with the end of its log when it ends instead."""
        is_ready = self._api_is_ready if child.name == "api" else lambda: _holds_lease(child, settings)
        deadline = time.monotonic() + READY_SECONDS
        while not is_ready():
            if child.ended() is not None or time.monotonic() > deadline:
                raise SetupError(f"The {child.name} did not start. The end of {child.log_path}:\n{child.last_lines()}")
            self._pause()
        place = self.url if child.name == "api" else f"{self._worker_name()}, model {settings.model}"
        click.echo(f"{child.name:<11} {place}")

    def _api_is_ready(self) -> bool:
        import httpx

        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def _watch(self) -> None:
        """Until a signal: start again what ended. The database first, since nothing works without it."""
        while True:
            self._pause()

    def _tend(self) -> None:
        if self._cluster is not None and not self._cluster.is_running:
            click.echo("The database ended; starting it again.")
            self._cluster.wait(timeout_seconds=1)
            self._cluster.start()
        for child in self._running:
            status = child.ended()
            if status is not None and child.restart_if_due():
                click.echo(f"The {child.name} ended (status {status}); started again. Its log: {child.log_path}")

    def _pause(self) -> None:
        """A moment's wait between two looks at anything; what has ended is started again in it."""
        if self._stop.wait(LOOK_SECONDS):
            raise Stopped
        self._tend()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask for an orderly stop; further ones change nothing while it is under way."""

        def ask(_number: int, _frame: FrameType | None) -> None:
            first = not self._stop.is_set()
            self._stop.set()
            if first:
                raise Stopped

        previous = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _create_reporting_role(url: str, role: str) -> None:
    """On the embedded server we are the administrator who makes it elsewhere with the lines of `agentic doctor`."""
    with psycopg.connect(url, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone() is None:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
            connection.execute(sql.SQL("ALTER ROLE {} SET timezone = 'UTC'").format(sql.Identifier(role)))


def _holds_lease(worker: Child, settings: Settings) -> bool:
    """Whether this very process is registered, not one of its name that ran before."""
    assert worker.process is not None
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        statement = "SELECT FROM workers WHERE pid = %s AND host = %s AND lease_until > now()"
        return connection.execute(statement, (worker.process.pid, socket.gethostname())).fetchone() is not None


def _require_free_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SetupError(
                f"Port {port} on {host} cannot be used ({error.strerror}); try `make up PORT={port + 1}`."
            ) from error
