"""Retention beside everything else, for some minutes: starts, reads, streams, files, DELETEs. No table may grow.

    .venv/bin/python benchmarks/retention_soak.py --minutes 5

Everything is real and on this machine. What has ended for some seconds is moved three days into the past, and its data
set keeps contents for one day and executions for two; a second process asks for retention all the time, beside the
worker's own. Prints answers by kind, executions and bytes of all tables at each minute, and the server's deadlocks.
Ends with 1 for any answer of 5xx, any deadlock, or tables that grew by more than half after the first third.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import click
import httpx
import psycopg

import running
from service.database import Database
from service.settings import Settings
from service.supervision.access_file import Access
from tasks import retaining

KEEP = "UPDATE data_sets SET content_days = 1, execution_days = 2"
AGE = """
UPDATE executions SET finished_at = finished_at - interval '3 days', started_at = started_at - interval '3 days'
 WHERE finished_at BETWEEN now() - interval '1 day' AND now() - interval '10 seconds'
"""
STANDING = """
SELECT (SELECT count(*) FROM executions),
       (SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace),
       (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database())
"""
EXPECTED = {200, 202, 204, 404}  # what is asked for may be gone
DICE = random.Random(11)  # noqa: S311 - no secret
Client = httpx.AsyncClient


class Soak:
    """Clients of one account. `recent` are the executions that they know of."""

    def __init__(self, access: Access, client: Client) -> None:
        self.access, self.client = access, client
        self.recent: list[int] = []
        self.answers: Counter[str] = Counter()

    def some(self) -> str:
        """The path of an execution that was started lately."""
        return f"/api/agentic-executions/{DICE.choice(self.recent) if self.recent else 1}/"

    async def start(self) -> None:
        """One in five with a file."""
        path = f"/api/agents/{self.access.echo_agent}/agentic-executions/"
        if DICE.random() < 0.2:
            files = {"files": ("note.txt", DICE.randbytes(30_000).hex().encode(), "text/plain")}
            answer = await self.client.post(path, data={"execution_key": "echo", "input": "{}"}, files=files)
        else:
            answer = await self.client.post(path, json={"execution_key": "echo", "input": {"n": 1}})
        self.note("start", answer)
        if answer.status_code == 202:
            self.recent = [*self.recent[-500:], answer.json()["id"]]

    async def read(self) -> None:
        """An execution, its conversation and events, a list, or a file."""
        execution = self.some()
        answer = await self.client.get(execution)
        self.note("get", answer)
        if answer.status_code == 200:
            shown = answer.json()
            self.note("conversation", await self.client.get(f"/api/conversations/{shown['conversation']}/"))
            for file in shown["files"]:
                self.note("file", await self.client.get(file["file_url"]))
        self.note("events", await self.client.get(f"{execution}events/"))
        self.note("list", await self.client.get("/api/agentic-executions/?cursor="))

    async def stream(self) -> None:
        """From the first event to the last."""
        headers = {"Accept": "text/event-stream"}
        async with self.client.stream("GET", f"{self.some()}events/", headers=headers) as answer:
            await answer.aread()
        self.note("stream", answer)

    async def delete(self) -> None:
        """Whatever retention may be at just now. One that runs is a conflict."""
        answer = await self.client.delete(self.some())
        if answer.status_code != 409:
            self.note("delete", answer)

    def note(self, what: str, answer: httpx.Response) -> None:
        self.answers[f"{what} {answer.status_code}"] += 1

    @property
    def unexpected(self) -> list[str]:
        return [each for each in self.answers if int(each.split()[1]) not in EXPECTED]


async def again(work: Callable[[], Awaitable[object]], pause_seconds: float) -> None:
    """Until cancelled."""
    while True:
        await work()
        await asyncio.sleep(pause_seconds * DICE.uniform(0.5, 1.5))


async def soak(access: Access, url: str, minutes: float) -> bool:
    """Whether all was as it should be."""
    headers = {"Authorization": f"Token {access.token}"}
    database = Database(Settings.read({"DATABASE_URL": url}), application_name="benchmark")
    await database.open()
    sizes: list[int] = []
    deadlocks = 0
    async with (
        Client(base_url=access.url, headers=headers, timeout=60) as client,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        await connection.execute(KEEP)
        clients = Soak(access, client)
        works = [
            *(again(clients.start, 0.1) for _ in range(4)),
            *(again(clients.read, 0.2) for _ in range(3)),
            *(again(clients.stream, 0.2) for _ in range(4)),
            *(again(clients.delete, 0.2) for _ in range(2)),
            again(lambda: connection.execute(AGE), 2),
            again(lambda: retaining.retain_once(database), 2),
        ]
        tasks = [asyncio.ensure_future(work) for work in works]
        for _ in range(round(minutes * 6)):
            await asyncio.wait(tasks, timeout=10, return_when=asyncio.FIRST_COMPLETED)
            if ended := [task for task in tasks if task.done()]:
                ended[0].result()
            executions, size, deadlocks = await standing(connection)
            sizes.append(size)
            if len(sizes) % 6 == 0:
                click.echo(f"minute {len(sizes) // 6:3}: {executions:6} executions, {size / 2**20:7.1f} MiB")
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks)
        await asyncio.gather(*tasks, return_exceptions=True)
    await database.close()
    click.echo(", ".join(f"{what}: {times}" for what, times in sorted(clients.answers.items())))
    third = len(sizes) // 3
    growth = max(sizes[third:]) / max(sizes[: third + 1])
    click.echo(f"deadlocks: {deadlocks}; largest size after the first third, to before: {growth:.2f}")
    return not clients.unexpected and not deadlocks and growth <= 1.5


async def standing(connection: psycopg.AsyncConnection) -> tuple[int, int, int]:
    """Executions, bytes of all tables, deadlocks so far."""
    row = await (await connection.execute(STANDING)).fetchone()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


@click.command()
@click.option("--minutes", default=5.0, show_default=True)
@click.option("--port", default=8399, show_default=True)
def main(minutes: float, port: int) -> None:
    """Start everything in a folder of its own, soak, stop."""
    began = time.perf_counter()
    with running.own_folder() as folder, running.service(folder, port) as access:
        is_good = asyncio.run(soak(access, running.database_url(folder), minutes))
    click.echo(f"{'good' if is_good else 'NOT good'}, after {time.perf_counter() - began:.0f} s")
    raise SystemExit(0 if is_good else 1)


if __name__ == "__main__":
    main()
