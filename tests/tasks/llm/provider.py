"""A server on loopback that speaks the OpenAI wire and does what the test says, fault by fault."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Reply:
    """One response. `pieces` are sent as they come, without a length, until the client has enough."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterator[bytes] | None = None
    resets: bool = False
    waits_for: threading.Event | None = None
    """Nothing is sent before this is set."""


@dataclass
class Provider:
    """The running server: what it will reply, in order, the last reply for ever; and the bodies it was sent."""

    replies: list[Reply]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def take(self) -> Reply:
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


@contextmanager
def serving(*replies: Reply) -> Iterator[Provider]:
    """A provider that gives these replies."""
    provider = Provider(list(replies))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(provider))
    provider.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield provider
    finally:
        provider.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def completion(message: Mapping[str, Any], *, finish: str = "stop", usage: Mapping[str, Any] | None = None) -> Reply:
    """A whole, well-formed answer."""
    counted = usage or {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    body = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt-fake",
        "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", **message}}],
        "usage": counted,
    }
    return Reply(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"})


def fault(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Reply:
    """An error as the provider words it."""
    body = {"error": {"message": message, "type": "some_error", "code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def _handler(provider: Provider) -> Callable[..., BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            provider.bodies.append(json.loads(self.rfile.read(length)))
            provider.headers.append({name.lower(): value for name, value in self.headers.items()})
            reply = provider.take()
            if reply.waits_for is not None:
                while not (reply.waits_for.wait(0.02) or provider.stopping.is_set()):
                    pass
            if reply.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            self._send(reply)

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.pieces is None:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            try:
                self.wfile.write(reply.body)
                for piece in reply.pieces or ():
                    self.wfile.write(piece)
            except OSError:
                self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
