"""A server on loopback that answers each path as a test says, byte for byte, and a resolver that knows its names."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

HTML = "text/html; charset=utf-8"


@dataclass
class Answer:
    """`raw` is sent as it is; `pieces` after it, one every `pause` seconds, again and again where `endless`."""

    raw: bytes
    pieces: Sequence[bytes] = ()
    pause: float = 0.0
    endless: bool = False


def answer(body: bytes | str = b"", status: int = 200, *, content_type: str = HTML, **headers: str) -> Answer:
    """An ordinary answer. Header names are written with underscores."""
    content = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}", f"Content-Type: {content_type}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Answer("\r\n".join([*lines, "", ""]).encode() + content)


def moved(to: str, status: int = 302) -> Answer:
    """A redirect."""
    return answer(status=status, Location=to)


@dataclass
class WebServer:
    """Answers by path; `asked` has the head of every request, `bodies` what came after it."""

    answers: Mapping[str, Answer]
    port: int = 0
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    open: dict[asyncio.Task[object], asyncio.StreamWriter] = field(default_factory=dict)
    is_over: bool = False

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in order."""
        return [head.split()[1] for head in self.asked]

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.is_over:
            writer.transport.abort()
            return
        self.open[task] = writer
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            lengths = [line.split(":")[1] for line in head.lower().splitlines() if line.startswith("content-length:")]
            self.bodies.append(await reader.readexactly(int(lengths[0])) if lengths else b"")
            await self._send(writer, self.answers.get(head.split()[1], answer(status=404)))
        writer.close()

    async def end(self) -> None:
        """Break off whatever is still being sent, or about to be."""
        self.is_over = True
        for task, writer in self.open.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*self.open, return_exceptions=True)

    async def _send(self, writer: asyncio.StreamWriter, given: Answer) -> None:
        writer.write(given.raw)
        await writer.drain()
        while True:
            for piece in given.pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(given.pause)
            if not given.endless:
                return


@asynccontextmanager
async def serving(answers: Mapping[str, Answer], *, tls: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """A server with these answers."""
    web = WebServer(answers)
    server = await asyncio.start_server(web.handle, "127.0.0.1", 0, ssl=tls)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        await web.end()
        for _ in range(20):
            await asyncio.sleep(0)  # aborted connections close in the loop's next turns


@dataclass
class Names:
    """A resolver. Each name has a list of answers, given one after the other, the last one for ever."""

    known: Mapping[str, list[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.known:
            raise OSError("unknown")
        answers = self.known[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]
