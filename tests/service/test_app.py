"""The application as a process has it: how it starts, and what it does on real connections."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uvicorn

from service.app import create_app
from service.definitions.definition import Definition
from service.definitions.registry import Registry
from service.errors import SetupError
from service.settings import Settings
from tests import http
from tests.http import row_counts
from tests.service.conftest import Task, World, make_registry

LIST = "/api/agentic-executions/"


def test_factory_when_no_database_is_named_and_none_runs_here_then_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("AGENTIC_DATA_ROOT", str(tmp_path))
    with pytest.raises(SetupError, match="DATABASE_URL"):
        create_app()


def test_factory_when_a_definition_is_wrong_then_refused_naming_it() -> None:
    without_instructions = Definition(key="half", name="Half", agent_type="one", input=Task, output=dict[str, str])
    with pytest.raises(SetupError, match="half@1"):
        create_app(Settings.read({"DATABASE_URL": "postgresql:///unused"}), Registry.of(without_instructions))


def test_definitions_when_nothing_is_registered_at_all_then_none_are_offered(database_url: str, world: World) -> None:
    with http.serving(database_url, Registry.of()) as client:
        answer = client.get(f"/api/agents/{world.one}/agentic-execution-definitions/", headers=world.user.headers)
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize(("origin", "allowed"), [("https://shop.example", True), ("https://evil.example", False)])
def test_cors_when_origins_are_set_then_only_they_may_call(
    database_url: str, world: World, origin: str, allowed: bool
) -> None:
    with http.serving(database_url, make_registry(), AGENTIC_CORS_ORIGINS="https://shop.example") as client:
        answer = client.get(LIST, headers={**world.user.headers, "Origin": origin})
    assert answer.status_code == 200
    assert (answer.headers.get("access-control-allow-origin") == origin) is allowed


@contextmanager
def listening(database_url: str) -> Iterator[int]:
    """The port of the application under uvicorn."""
    listener = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings.read({"DATABASE_URL": database_url}), make_registry())
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()


def exchange(port: int, request: bytes, *, hang_up: bool = False) -> bytes:
    """What a raw request is answered with, until the server closes; hanging up reads nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        if hang_up:
            return b""
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def logged(caplog: pytest.LogCaptureFixture, path: str) -> dict[str, Any]:
    """The access line of a request to the path, once it is there."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for record in list(caplog.records):
            if getattr(record, "path", None) == path:
                return vars(record)
        time.sleep(0.01)
    raise AssertionError(f"no request to {path} was logged")


def head(world: World, path: str, *lines: str) -> bytes:
    fixed = [f"POST {path} HTTP/1.1", "Host: h", "Connection: close", f"Authorization: bearer {world.user.token}"]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


def test_start_when_a_chunked_body_exceeds_the_limit_then_413(
    database_url: str, world: World, connection: psycopg.Connection
) -> None:
    before = row_counts(connection)
    path = f"/api/agents/{world.one}/agentic-executions/"
    lines = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    body = (b"10000\r\n" + b" " * 65536 + b"\r\n") * 17 + b"0\r\n\r\n"
    with listening(database_url) as port:
        answer = exchange(port, head(world, path, *lines) + body)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"payload_too_large"' not in answer
    assert b"/api/docs/errors/payload_too_large" in answer
    assert row_counts(connection) == before


@pytest.mark.parametrize("media_type", ["application/json", "multipart/form-data; boundary=x"])
def test_start_when_the_client_hangs_up_in_the_body_then_nothing_is_written_and_nothing_is_our_defect(
    database_url: str,
    world: World,
    connection: psycopg.Connection,
    caplog: pytest.LogCaptureFixture,
    media_type: str,
) -> None:
    caplog.set_level(logging.INFO)
    before = row_counts(connection)
    path = f"/api/agents/{world.uploads}/agentic-executions/"
    with listening(database_url) as port:
        exchange(port, head(world, path, f"Content-Type: {media_type}", "Content-Length: 1000") + b"{", hang_up=True)
        line = logged(caplog, path)
    assert line["status"] == 400
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert row_counts(connection) == before
