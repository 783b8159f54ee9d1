"""A worker that is killed while a receiver thinks: another makes the attempt again, and no run waited for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from standardwebhooks.webhooks import Webhook

from service.sealing import read_keys
from service.webhooks.signing import new_secret, shown
from tests.processes.conftest import Start
from tests.processes.workers import unfinished, until
from tests.service.events.conftest import END
from tests.tasks.hooks import KEY
from tests.tasks.seed import Shop

pytestmark = pytest.mark.slow


@dataclass
class Receiver:
    """Answers only once `answers` is set; `received` has the headers and body of each request."""

    answers: threading.Event = field(default_factory=threading.Event)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append((dict(self.headers.items()), body))
            receiver.answers.wait(30)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.answers.set()
        server.shutdown()
        server.server_close()
        thread.join()


def subscribe(shop: Shop, port: int) -> str:
    """The secret of a new webhook."""
    secret = new_secret()
    shop.connection.execute(
        "WITH made AS (INSERT INTO webhooks (account_id, url, event_types, body, after_position)"
        " VALUES (%s, %s, '{execution.finished}', 'thin', 0) RETURNING id)"
        " INSERT INTO webhook_secrets (webhook_id, sealed) SELECT id, %s FROM made",
        (shop.account_id, f"http://127.0.0.1:{port}/", read_keys(KEY).seal(secret)),
    )
    return shown(secret)


def test_worker_killed_while_a_receiver_thinks_then_another_tells_it_with_the_same_id_and_runs_did_not_wait(
    shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    given = {"AGENTIC_SECRET_KEY": KEY, "AGENTIC_EGRESS_ALLOW": "127.0.0.0/8"}
    with receiving() as receiver:
        secret = subscribe(shop, receiver.port)
        victim = start("victim", "--concurrency=1", **given)
        connection.execute(END.encode(), {"id": shop.accept("nobody-has-it")})
        until(lambda: receiver.received, what="the receiver is asked")
        shop.accept("steps", {"log": str(calls_log)})
        until(lambda: not unfinished(connection), what="a run ends meanwhile")
        victim.kill()
        connection.execute("UPDATE webhook_deliveries SET due_at = now()")  # its lease would hold for 45 s
        start("heir", **given)
        until(lambda: len(receiver.received) == 2, what="the receiver is asked again")
        receiver.answers.set()
        ended = "SELECT count(*) FROM webhook_deliveries WHERE status = 'delivered'"
        until(lambda: connection.execute(ended.encode()).fetchone() == (2,), what="both ends are told")
    first, again, other = receiver.received
    assert first[0]["webhook-id"] == again[0]["webhook-id"] != other[0]["webhook-id"]
    assert [Webhook(secret).verify(body, headers)["type"] for headers, body in receiver.received] == (
        ["execution.finished"] * 3
    )
    attempts = "SELECT number, status_code FROM webhook_attempts ORDER BY delivery_id, number"
    assert connection.execute(attempts.encode()).fetchall() == [(1, None), (2, 204), (1, 204)]
