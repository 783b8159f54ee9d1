"""What streams cost and how late they are: many clients on one API process, real HTTP over loopback.

    .venv/bin/python benchmarks/streams.py --clients 1000 --cuts 1000

Prints the memory of the API process per client, the time from a fact's commit to its event at a client (also with the
notifications lost), and whether a stream that is cut at random again and again is the table when its pieces are joined.
Everything runs on this machine: the embedded PostgreSQL with fsync on and `agentic serve`. The facts are written and
numbered by this script, as a worker would.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import click
import psycopg

from service.accounts.tokens import digest_of, new_token
from service.database import Database
from service.embedded import Cluster
from service.events.numbering import number_and_tell
from service.migrate import upgrade
from service.settings import Settings

TELL = """
WITH told AS (UPDATE execution_runtime SET next_event = next_event + 1 WHERE execution_id = %s
              RETURNING execution_id, next_event - 1 AS seq, account_id)
INSERT INTO events (execution_id, seq, account_id, kind, data)
SELECT execution_id, seq, account_id, 'turn_started', '{"turn": 1, "cycle": 1}' FROM told
"""
ATTEMPTS = 200
MANY_EVENTS = 1000
DICE = random.Random(7)  # noqa: S311 - no secret


@dataclass(frozen=True)
class Site:
    """A served database with an account and executions of it."""

    settings: Settings
    port: int
    token: str
    process: int
    executions: Sequence[int]

    def memory(self) -> int:
        """Bytes of memory that the API process holds."""
        lines = Path(f"/proc/{self.process}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) * 1024


class Stream:
    """One client: as small as can be, so that the server is what is measured."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def id(self) -> int | None:
        """The id of the next event; None at the end."""
        while line := await self._reader.readline():
            if line.startswith(b"id: "):
                return int(line[4:])
        return None

    def cut(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def stream(site: Site, execution_id: int, after: int = 0) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port, limit=4096)
    path = f"/api/agentic-executions/{execution_id}/events/?after={after}"
    head = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Token {site.token}\r\nAccept: text/event-stream\r\n\r\n"
    writer.write(head.encode())
    status = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in status:
        raise SystemExit(status.decode())
    made = Stream(reader, writer)
    try:
        yield made
    finally:
        made.cut()


async def memory_of(site: Site, clients: int) -> None:
    """Every client has read an event and waits for the next."""
    async with stream(site, site.executions[0]) as first:
        await first.id()
    before = site.memory()
    contexts = [stream(site, site.executions[number % len(site.executions)]) for number in range(clients)]
    opened = [await context.__aenter__() for context in contexts]
    await asyncio.gather(*(each.id() for each in opened))
    await asyncio.sleep(3)
    each = (site.memory() - before) / clients / 1024
    click.echo(f"{clients} clients, {len(site.executions)} executions: {each:.0f} KB of memory each")
    await lateness(site, "committed → event at a client, beside them")
    for context in contexts:
        await context.__aexit__(None, None, None)


async def lateness(site: Site, what: str, *, notify: bool = True, attempts: int = ATTEMPTS) -> None:
    """From just before the commit to the event's arrival, one at a time on an idle system."""
    took: list[float] = []
    execution_id = site.executions[0]
    database = Database(site.settings, application_name="benchmark")
    await database.open()
    async with stream(site, execution_id) as opened:
        while await last_of(database, execution_id) != await opened.id():
            pass
        for _ in range(attempts):
            await asyncio.sleep(DICE.random() * 0.05)
            began = time.perf_counter()
            async with database.connection() as connection:
                await connection.execute(TELL, (execution_id,))
            if notify:
                await number_and_tell(database)
            await opened.id()
            took.append((time.perf_counter() - began) * 1000)
    await database.close()
    slowest = statistics.quantiles(took, n=100)[98] if len(took) >= 100 else max(took)
    click.echo(f"{what}: p50 {statistics.median(took):.1f} ms, p99 {slowest:.1f} ms, of {len(took)}")


async def last_of(database: Database, execution_id: int) -> int:
    async with database.connection() as connection:
        row = await (
            await connection.execute("SELECT max(seq) AS last FROM events WHERE execution_id = %s", (execution_id,))
        ).fetchone()
    assert row is not None
    return int(row["last"])


async def cut(site: Site, cuts: int) -> None:
    """Cut after a random number of events and resume, while events are written; then compare with the table."""
    execution_id = site.executions[1]
    database = Database(site.settings, application_name="benchmark")
    await database.open()

    async def write() -> None:
        for number in range(MANY_EVENTS):
            async with database.connection() as connection:
                await connection.execute(TELL, (execution_id,))
            if number % 10 == 0:
                await number_and_tell(database)

    joined: list[int] = []
    writing = asyncio.ensure_future(write())
    for _ in range(cuts):
        async with stream(site, execution_id, joined[-1] if joined else 0) as opened:
            for _ in range(DICE.randint(0, 2)):
                if writing.done() and joined and joined[-1] == await last_of(database, execution_id):
                    break
                joined.append(await opened.id() or -1)
    await writing
    async with stream(site, execution_id, joined[-1]) as opened:
        while joined[-1] != await last_of(database, execution_id):
            joined.append(await opened.id() or -1)
    await database.close()
    is_right = joined == list(range(1, len(joined) + 1))
    click.echo(f"{cuts} cuts, {len(joined)} events: the joined pieces are {'' if is_right else 'NOT '}the table")


@contextmanager
def site(clients: int, folder: Path) -> Iterator[Site]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Cluster(folder) as cluster:
        settings = Settings.read({"DATABASE_URL": cluster.url})
        upgrade(settings)
        token, executions = seed(cluster.url, clients)
        command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port)]
        environment = {**os.environ, "DATABASE_URL": cluster.url, "AGENTIC_LOG_LEVEL": "ERROR"}
        process = subprocess.Popen(command, env=environment)
        try:
            wait_for(port)
            yield Site(settings, port, token, process.pid, executions)
        finally:
            began = time.perf_counter()
            process.terminate()
            process.wait(30)
            click.echo(f"the API process stopped within {time.perf_counter() - began:.1f} s")


def seed(url: str, executions: int) -> tuple[str, list[int]]:
    token = new_token()
    with psycopg.connect(url, autocommit=True) as connection:

        def insert(statement: str, *values: object) -> int:
            row = connection.execute(statement.encode(), values).fetchone()
            assert row is not None
            return int(row[0])

        account = insert("INSERT INTO accounts (name) VALUES ('benchmark') RETURNING id")
        insert(
            "INSERT INTO tokens (account_id, digest) VALUES (%s, %s) RETURNING account_id", account, digest_of(token)
        )
        data_set = insert("INSERT INTO data_sets (name) VALUES ('benchmark') RETURNING id")
        agent = insert(
            "INSERT INTO agents (name, agent_type, data_set_id) VALUES ('b', 'b', %s) RETURNING id", data_set
        )
        conversation = "INSERT INTO conversations (account_id, agent_id) VALUES (%s, %s) RETURNING id"
        with connection.transaction():
            made = [
                insert(
                    "WITH e AS (INSERT INTO executions (account_id, agent_id, data_set_id, conversation_id,"
                    " celery_task_id, definition_key, definition_version, input) VALUES (%s, %s, %s, %s, %s, 'b', 1,"
                    " '{}') RETURNING id, account_id, agent_id), r AS (INSERT INTO execution_runtime (execution_id,"
                    " account_id, agent_id, definition, priority) SELECT id, account_id, agent_id, 'b@1', 0 FROM e)"
                    " INSERT INTO events (execution_id, seq, account_id, kind) SELECT id, 1, account_id, 'accepted'"
                    " FROM e RETURNING execution_id",
                    *(account, agent, data_set, insert(conversation, account, agent), uuid4()),
                )
                for _ in range(executions)
            ]
    return token, made


def wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit("the API did not start")


async def measure(at: Site, clients: int, cuts: int) -> None:
    await memory_of(at, clients)  # first: what others leave free would hide it
    await lateness(at, "committed → event at a client, idle")
    await lateness(at, "the same with notifications lost", notify=False, attempts=15)
    await cut(at, cuts)


@click.command()
@click.option("--clients", default=1000, show_default=True)
@click.option("--cuts", default=1000, show_default=True)
def main(clients: int, cuts: int) -> None:
    """Start everything in a folder of its own, measure, stop."""
    with tempfile.TemporaryDirectory(prefix="streams-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with site(clients, folder / "pg") as at:
            asyncio.run(measure(at, clients, cuts))


if __name__ == "__main__":
    main()
