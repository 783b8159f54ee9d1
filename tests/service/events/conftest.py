"""Executions and what happened to them, written as their facts write them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Jsonb

from service.app import create_app
from service.events.hub import Hub
from service.events.numbering import number_and_tell
from service.server import Server
from service.settings import Settings
from tests.service.conftest import World, make_registry
from tests.tasks.conftest import AsApp
from tests.tasks.seed import Shop

TELL = """
WITH told AS (
  UPDATE execution_runtime SET next_event = next_event + 1 WHERE execution_id = %(id)s
  RETURNING execution_id, next_event - 1 AS seq, account_id)
INSERT INTO events (execution_id, seq, account_id, kind, data)
SELECT execution_id, seq, account_id, %(kind)s, %(data)s FROM told RETURNING seq
"""
END = """
WITH ended AS (DELETE FROM execution_runtime WHERE execution_id = %(id)s
               RETURNING execution_id, next_event AS seq, account_id),
execution AS (
  UPDATE executions SET status = 'finished', result = '{"a": 1}', finished_at = now(), cycles = 1
   WHERE id = %(id)s)
INSERT INTO events (execution_id, seq, account_id, kind, data)
SELECT execution_id, seq, account_id, 'finished', '{"worker": 1, "epoch": 1}' FROM ended
"""


class Teller:
    """Accepts executions of one account and adds events to them."""

    def __init__(self, connection: psycopg.Connection[Any], world: World, *, account_id: int | None = None) -> None:
        self.connection = connection
        self._shop = Shop(connection, account_id or world.user.id, world.data_set, world.one)

    def accept(self) -> int:
        return self._shop.accept("summary", {"text": "x"})

    def tell(self, execution_id: int, kind: str = "turn_started", **data: object) -> int:
        """The event's sequence."""
        row = self.connection.execute(TELL.encode(), {"id": execution_id, "kind": kind, "data": Jsonb(data)}).fetchone()
        assert row is not None
        return int(row[0])

    def finish(self, execution_id: int) -> None:
        self.connection.execute(END.encode(), {"id": execution_id})

    def number(self, url: str) -> None:
        """What a process does right after its commit: give positions, and notify."""
        AsApp(url).pooled(number_and_tell)


@pytest.fixture
def teller(connection: psycopg.Connection[Any], world: World) -> Teller:
    return Teller(connection, world)


@dataclass(frozen=True)
class Live:
    """The application behind a real server on loopback, as `agentic serve` runs it, in a thread."""

    url: str
    hub: Hub
    server: Server
    thread: threading.Thread

    def client(self, token: str) -> httpx.Client:
        headers = {"Authorization": f"Token {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    def stop(self) -> bool:
        """Tell it to stop, as a signal does; whether it did within ten seconds, half of its grace."""
        self.server.should_exit = True
        self.thread.join(10)
        return not self.thread.is_alive()


@contextmanager
def live(database_url: str, **environment: str) -> Iterator[Live]:
    """Looks at what is watched ten times a second unless told otherwise."""
    settings = {"DATABASE_URL": database_url, "AGENTIC_POLL_SECONDS": "0.1", **environment}
    app = create_app(Settings.read(settings), make_registry())
    server = Server(app, host="127.0.0.1", port=0)
    listener = server.config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    served = Live(f"http://127.0.0.1:{listener.getsockname()[1]}", app.state.hub, server, thread)
    try:
        yield served
    finally:
        assert served.stop()
