"""What the service does in a second, as ratios to its own /healthz: starts, gets, lists and whole echo executions.

    .venv/bin/python benchmarks/throughput.py --seconds 5

Everything is real and on this machine: the embedded PostgreSQL with fsync on, one API process, one worker, HTTP over
loopback. The client shares the cores, so only ratios within one run mean anything.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from urllib.parse import urlsplit

import click
import httpx

from running import own_folder, service
from service.supervision.access_file import Access

CLIENTS = 16
MANY = 1000  # echo executions that are run to their end


class Wire:
    """One keep-alive connection that sends the same bytes again and again: a client that costs almost nothing."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, request: bytes) -> None:
        """Send and read to the end of the answer. Raises SystemExit for anything but success."""
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        if head[9:10] != b"2":
            raise SystemExit(head.decode())
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


async def rate(access: Access, request: bytes, seconds: float, most: int = sys.maxsize) -> tuple[float, float, float]:
    """Requests a second with CLIENTS at once, and their median and 99th percentile in milliseconds."""
    place = urlsplit(access.url)
    took: list[float] = []
    began = time.perf_counter()

    async def one_client() -> None:
        wire = Wire(*await asyncio.open_connection(place.hostname, place.port))
        while (now := time.perf_counter()) < began + seconds and len(took) < most:
            await wire.ask(request)
            took.append((time.perf_counter() - now) * 1000)
        wire.close()

    await asyncio.gather(*(one_client() for _ in range(CLIENTS)))
    return len(took) / (time.perf_counter() - began), statistics.median(took), statistics.quantiles(took, n=100)[98]


def request(access: Access, method: str, path: str, body: bytes = b"") -> bytes:
    """The bytes of a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {access.token}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def drained(client: httpx.AsyncClient) -> float:
    """Seconds until nothing is pending or in progress."""
    began = time.perf_counter()
    while True:
        counts = [
            (await client.get("/api/agentic-executions/", params={"status": status})).json()["count"]
            for status in ("pending", "in_progress")
        ]
        if not any(counts):
            return time.perf_counter() - began
        await asyncio.sleep(0.1)


async def measure(access: Access, seconds: float) -> None:
    start_body = b'{"execution_key": "echo", "input": {"n": 1}}'
    start = request(access, "POST", f"/api/agents/{access.echo_agent}/agentic-executions/", start_body)
    health = request(access, "GET", "/healthz")
    await rate(access, health, 1)
    reference, *_ = await rate(access, health, seconds)
    click.echo(f"{'what':<22} {'per second':>10} {'of healthz':>10} {'p50 ms':>8} {'p99 ms':>8}")
    click.echo(f"{'healthz':<22} {reference:>10.0f} {1:>10.2f}")
    for name, asked in (
        ("get one", request(access, "GET", "/api/agentic-executions/1/")),
        ("list 25", request(access, "GET", "/api/agentic-executions/")),
        ("start", start),
    ):
        found, median, slowest = await rate(access, asked, seconds)
        click.echo(f"{name:<22} {found:>10.0f} {found / reference:>10.2f} {median:>8.1f} {slowest:>8.1f}")
    headers = {"Authorization": f"Token {access.token}"}
    async with httpx.AsyncClient(base_url=access.url, headers=headers, timeout=60) as client:
        await drained(client)
        began = time.perf_counter()
        await rate(access, start, 60, most=MANY)
        await drained(client)
        click.echo(f"{'whole echo executions':<22} {MANY / (time.perf_counter() - began):>10.0f}")


@click.command()
@click.option("--seconds", default=5.0, help="For each figure.")
@click.option("--port", default=8397)
def main(seconds: float, port: int) -> None:
    """Start everything in a folder of its own, measure, stop."""
    with own_folder() as folder, service(folder, port) as access:
        asyncio.run(measure(access, seconds))


if __name__ == "__main__":
    main()
