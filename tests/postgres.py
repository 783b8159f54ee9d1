"""PostgreSQL for tests: throwaway clusters, and databases cloned from a template."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from service.embedded import Cluster
from service.migrate import upgrade
from service.settings import Settings

# The names that the settings default to.
OWNER, APP, REPORTING = "agentic_owner", "agentic_app", "reporting_reader"
PG15_DEFAULT_BIN = Path("/usr/lib/postgresql/15/bin")
# Nothing here outlives the run, so nothing needs to reach the disk.
THROWAWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
}

_numbers = count(1)
_administrators: dict[str, psycopg.Connection] = {}


@contextmanager
def throwaway_cluster(*, binaries: Path | None = None) -> Iterator[str]:
    """The superuser's URL of a server with the three roles. In /tmp: root's pytest directories are closed to others."""
    directory = Path(tempfile.mkdtemp(prefix="pg-", dir=_fastest_place()))
    directory.chmod(0o755)
    try:
        with Cluster(directory, binaries=binaries, options=THROWAWAY) as cluster:
            create_roles(cluster.url)
            with administered(cluster.url):
                yield cluster.url
    finally:
        shutil.rmtree(directory)


def _fastest_place() -> str:
    """In memory where there is room: each test's database is some three hundred files."""
    memory = Path("/dev/shm")
    has_room = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30
    return str(memory) if has_room else "/tmp"


def pg15_binaries() -> Path | None:
    """From PG15_BIN, else where Debian puts them; None if there are none."""
    found = Path(os.environ.get("PG15_BIN") or PG15_DEFAULT_BIN)
    return found if (found / "postgres").is_file() else None


def create_roles(server_url: str) -> None:
    """The owner runs migrations and is no superuser; the app and reporting roles get what migrations grant."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        for role in (OWNER, APP, REPORTING):
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))


@dataclass(frozen=True)
class Template:
    """A migrated database that clones are made from. It stays without connections."""

    server_url: str
    name: str


@contextmanager
def empty_database(server_url: str) -> Iterator[str]:
    """A new database with nothing in it, as its owner's URL."""
    with _database(server_url, template="template0") as url:
        yield url


@contextmanager
def migrated_template(server_url: str) -> Iterator[Template]:
    with _database(server_url, template="template0") as url:
        migrate(url)
        yield Template(server_url=server_url, name=urlsplit(url).path.removeprefix("/"))


@contextmanager
def clone(template: Template) -> Iterator[str]:
    """A private copy, as its owner's URL; 10 to 30 ms."""
    with _database(template.server_url, template=template.name) as url:
        yield url


@contextmanager
def administered(server_url: str) -> Iterator[None]:
    """Meanwhile one connection makes and drops this server's databases. Not for a server that a test restarts."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        _administrators[server_url] = connection
        try:
            yield
        finally:
            del _administrators[server_url]


@contextmanager
def _database(server_url: str, *, template: str) -> Iterator[str]:
    name = f"test_{os.getpid()}_{next(_numbers)}"
    _administer(
        server_url,
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy").format(
            sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)
        ),
    )
    try:
        yield as_role(in_database(server_url, name), OWNER)
    finally:
        _administer(server_url, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _administer(server_url: str, statement: sql.Composed) -> None:
    if shared := _administrators.get(server_url):
        shared.execute(statement)
        return
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)


def migrate(url: str) -> None:
    upgrade(Settings.read({"DATABASE_URL": url}))


def in_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def as_role(url: str, role: str) -> str:
    """The same database entered by another role; for the socket's `trust`, so any password is dropped."""
    parts = urlsplit(url)
    server = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}@{server}"))


@contextmanager
def frozen(*backends: int) -> Iterator[None]:
    """Processes of the server that keep their connections and say nothing, as behind a cut network."""
    for process in backends:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in backends:
            os.kill(process, signal.SIGCONT)
