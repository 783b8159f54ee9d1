"""How long it takes from asking to cancel until the provider's socket is closed and the execution is final.

    .venv/bin/python benchmarks/cancel.py --runs 100

Everything is real and on this machine: the embedded PostgreSQL with fsync on, one API process, one worker, and a
provider that takes a question and never answers.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

import click
import httpx

from running import own_folder, service
from service.supervision.access_file import Access

INPUT = {"execution_key": "catalog-enrichment", "input": {"skus": ["SKU-001"]}}


class Silent:
    """A provider that never answers, once it is silent; tells when it was asked, and when its client hung up."""

    def __init__(self) -> None:
        self.is_silent = False  # the sample run of `agentic up` is refused, and so over
        self.asked: asyncio.Queue[asyncio.Future[float]] = asyncio.Queue()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if not self.is_silent:
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            writer.close()
            return
        left: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.asked.put_nowait(left)
        try:
            while await reader.read(65536):
                pass
        except ConnectionError:
            pass
        left.set_result(time.perf_counter())
        writer.close()


async def measure(access: Access, provider: Silent, runs: int) -> None:
    provider.is_silent = True
    closed, final = [], []
    headers = {"Authorization": f"Token {access.token}"}
    async with httpx.AsyncClient(base_url=access.url, headers=headers, timeout=60) as client:
        for _ in range(runs):
            started = await client.post(f"/api/agents/{access.agent}/agentic-executions/", json=INPUT)
            path = started.headers["location"]
            left = await provider.asked.get()
            began = time.perf_counter()
            await client.post(f"{path}cancel/")
            closed.append(await left - began)
            while (await client.get(path)).json()["status"] == "in_progress":  # noqa: ASYNC110 - over HTTP
                await asyncio.sleep(0.005)
            final.append(time.perf_counter() - began)
    click.echo(f"{runs} runs cancelled, milliseconds from asking     p50      p99")
    for name, times in (("the provider's socket is closed", closed), ("the execution is final", final)):
        ordered = [1000 * seconds for seconds in sorted(times)]
        slowest = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        click.echo(f"{name:<42} {statistics.median(ordered):>8.1f} {slowest:>8.1f}")


async def run(folder: Path, port: int, runs: int) -> None:
    provider = Silent()
    async with await asyncio.start_server(provider.serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        silent = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none"}
        with ExitStack() as stack:
            up = service(folder, port, model="openai:silent", **silent)
            access = await asyncio.to_thread(stack.enter_context, up)  # its sample asks the provider meanwhile
            await measure(access, provider, runs)


@click.command()
@click.option("--runs", default=100)
@click.option("--port", default=8398)
def main(runs: int, port: int) -> None:
    """Start everything in a folder of its own, measure, stop."""
    with own_folder() as folder:
        asyncio.run(run(folder, port, runs))


if __name__ == "__main__":
    main()
