"""An HTTP server that answers as a test says, one answer after the other, and keeps what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

EXECUTION = {
    "id": 42,
    "agent": 7,
    "execution_key": "echo",
    "conversation": 198,
    "status": "pending",
    "input": {},
    "result": None,
    "failure_code": None,
    "failure_explanation": None,
    "celery_task_id": "debf5bf6-3e58-4c7d-9e30-c5a4055d951f",
    "started_at": "2025-04-10T14:00:00.000000Z",
    "finished_at": None,
    "duration_seconds": None,
}
"""No more than the guide has."""


@dataclass(frozen=True)
class Answer:
    """What is answered; status 0: the connection breaks without a word."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What was asked: header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Script:
    """The server's address, what it will answer, and what it was asked."""

    url: str
    answers: list[Answer]
    asked: list[Asked] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    script: Script

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.script.asked.append(Asked(self.command, self.path, headers, body))
        answer = self.script.answers.pop(0)
        self.close_connection = True
        if answer.status == 0:
            return
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        content = b"" if answer.status == 204 else content
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(content)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass


@contextmanager
def scripted(*answers: Answer) -> Iterator[Script]:
    """The server, while the block runs."""

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.script = Script(f"http://127.0.0.1:{server.server_port}", list(answers))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Handler.script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
