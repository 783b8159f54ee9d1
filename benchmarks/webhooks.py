"""From the end of an execution to its message at a receiver, on an idle system: python benchmarks/webhooks.py

Everything runs on this machine: `agentic up`, the receiver, and one clock. So `finished_at`, which is the start of the
transaction that ended the execution, can be compared with the time at which its message has come whole.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from datetime import datetime
from typing import Any

import click
import httpx

from running import own_folder, service
from service.supervision.access_file import Access

OK = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"


class Receiver:
    """Accepts everything; `came` has the time at which the message of each execution was there."""

    def __init__(self) -> None:
        self.came: dict[int, float] = {}
        self.told = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        message = json.loads(await reader.readexactly(length))
        self.came[message["data"]["id"]] = time.time()
        self.told.set()
        writer.write(OK)
        await writer.drain()
        writer.close()


async def one(client: httpx.AsyncClient, agent_id: int, receiver: Receiver) -> float:
    """Milliseconds for one execution."""
    receiver.told.clear()
    body = {"execution_key": "echo", "input": {"n": 1}}
    started = (await client.post(f"/api/agents/{agent_id}/agentic-executions/", json=body)).json()
    async with asyncio.timeout(30):
        while started["id"] not in receiver.came:
            await receiver.told.wait()
            receiver.told.clear()
    ended = (await client.get(f"/api/agentic-executions/{started['id']}/")).json()
    assert ended["status"] == "finished", ended
    return (receiver.came[started["id"]] - datetime.fromisoformat(ended["finished_at"]).timestamp()) * 1000


async def measure(access: Access, count: int) -> None:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    headers = {"Authorization": f"Token {access.token}"}
    async with httpx.AsyncClient(base_url=access.url, headers=headers, timeout=30) as client:
        made: dict[str, Any] = (await client.post("/api/webhooks/", json={"url": url})).raise_for_status().json()
        await one(client, access.echo_agent, receiver)
        took = []
        for _ in range(count):
            await asyncio.sleep(0.05)  # idle again
            took.append(await one(client, access.echo_agent, receiver))
        await client.delete(f"/api/webhooks/{made['id']}/")
    server.close()
    slowest = statistics.quantiles(took, n=100)[98]
    click.echo(
        f"finished to received, {count} executions: p50 {statistics.median(took):.0f} ms, p99 {slowest:.0f} ms,"
        f" most {max(took):.0f} ms"
    )


@click.command()
@click.option("--count", default=100)
@click.option("--port", default=8398)
def main(count: int, port: int) -> None:
    """Start everything in a folder of its own, measure, stop."""
    with own_folder() as folder, service(folder, port, AGENTIC_EGRESS_ALLOW="127.0.0.0/8") as access:
        asyncio.run(measure(access, count))


if __name__ == "__main__":
    main()
