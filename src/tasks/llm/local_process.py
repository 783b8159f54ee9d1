"""The worker's end of a local model's process: started when first needed, replaced when it died."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess

import httpx

from tasks.llm.protocol import ModelError

START_SECONDS = 60.0


class LocalProcess:
    """A child with a model server on loopback. Not for concurrent use: its owner asks one question at a time.

    `command` prints `{"url": …, "key": …}` once it listens, and ends when its standard input does.
    """

    def __init__(self, *command: str) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._client: httpx.AsyncClient | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process is not None and running else None

    async def client(self) -> httpx.AsyncClient:
        """A client of the running server; starts it if it does not run. Raises ModelError if it does not come up."""
        if self._client is not None and self.pid is not None:
            return self._client
        await self.stop()
        try:
            self._client = await self._start()
        except BaseException:
            await self.stop()
            raise
        return self._client

    async def stop(self, *, grace_seconds: float = 5.0) -> None:
        """End the child: its input closes, and after the grace it is killed. Safe to call again."""
        client, self._client = self._client, None
        process, self._process = self._process, None
        if client is not None:
            await client.aclose()
        if process is None or process.returncode is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _start(self) -> httpx.AsyncClient:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                line = await self._process.stdout.readline()
        except TimeoutError as error:
            raise ModelError(f"The local model did not start within {START_SECONDS:g} s", retryable=True) from error
        if not line:
            status = await self._process.wait()
            raise ModelError(f"The local model's process ended while starting (status {status})", retryable=True)
        address = json.loads(line)
        return httpx.AsyncClient(
            base_url=address["url"],
            headers={"Authorization": f"Bearer {address['key']}"},
            timeout=None,  # noqa: S113 - the whole question has one deadline, kept by its asker
            trust_env=False,
        )
