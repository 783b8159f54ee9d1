"""The API for tests: the real application over a real database, and rows to ask it about."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import psycopg
from litestar import Litestar
from litestar.testing import TestClient

from service.accounts.tokens import digest_of, new_token
from service.app import create_app, furnish
from service.definitions.registry import Registry
from service.settings import Settings

Client = TestClient[Litestar]


@dataclass(frozen=True)
class Account:
    """A service account and the token that was shown once."""

    id: int
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.token}"}


@cache
def _furnished_anew() -> Litestar:
    """Registering the routes takes longer than most tests do."""
    return create_app(Settings.read({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}), Registry.of())


@contextmanager
def serving_next(database_url: str, registry: Registry) -> Iterator[Client]:
    """A client of the application that tests share, one after the other, over this database."""
    app = _furnished_anew()
    furnish(app, Settings.read({"DATABASE_URL": database_url}), registry)
    with TestClient(app) as client:
        yield client


@contextmanager
def serving(database_url: str, registry: Registry | None = None, **environment: str) -> Iterator[Client]:
    """A client of an application of its own, with its lifespan around."""
    app = create_app(Settings.read({"DATABASE_URL": database_url, **environment}), registry)
    with TestClient(app) as client:
        yield client


def create_data_set(connection: psycopg.Connection, name: str = "shop") -> int:
    return _id(connection, "INSERT INTO data_sets (name) VALUES (%s) RETURNING id", name)


def create_agent(
    connection: psycopg.Connection, data_set_id: int, *, agent_type: str = "echo", file_upload: bool = False
) -> int:
    return _id(
        connection,
        "INSERT INTO agents (name, agent_type, data_set_id, file_upload) VALUES ('agent', %s, %s, %s) RETURNING id",
        agent_type,
        data_set_id,
        file_upload,
    )


def create_account(
    connection: psycopg.Connection, name: str, *, data_sets: Sequence[int] = (), is_admin: bool = False
) -> Account:
    account_id = _id(connection, "INSERT INTO accounts (name, is_admin) VALUES (%s, %s) RETURNING id", name, is_admin)
    token = new_token()
    connection.execute("INSERT INTO tokens (account_id, digest) VALUES (%s, %s)", (account_id, digest_of(token)))
    for data_set_id in data_sets:
        connection.execute("INSERT INTO account_data_sets VALUES (%s, %s)", (account_id, data_set_id))
    return Account(account_id, token)


def create_webhook(connection: psycopg.Connection, account_id: int) -> int:
    """A webhook without a secret, which is all that lists and look-ups need, with a delivery that has its id."""
    webhook_id = _id(
        connection,
        "INSERT INTO webhooks (account_id, url, event_types, body, after_position)"
        " VALUES (%s, 'https://shop.example.com/', '{execution.finished}', 'thin', 0) RETURNING id",
        account_id,
    )
    connection.execute(
        "INSERT INTO webhook_deliveries (id, account_id, webhook_id, type, occurred_at, lane, status, finished_at)"
        " OVERRIDING SYSTEM VALUE VALUES (%s, %s, %s, 'webhook.ping', now(), '', 'delivered', now())",
        (webhook_id, account_id, webhook_id),
    )
    return webhook_id


def create_approval(
    connection: psycopg.Connection, execution_id: int, *, call: int = 1, seconds: float | None = None
) -> int:
    """One that is open, as a run asks for it. The first of an execution has its id; `seconds` until it expires."""
    return _id(
        connection,
        "INSERT INTO approvals (id, execution_id, account_id, turn, call, tool, arguments, expires_at)"
        " OVERRIDING SYSTEM VALUE SELECT %s, id, account_id, 1, %s, 'order', '{\"sku\": \"A\"}',"
        " now() + make_interval(secs => %s) FROM executions WHERE id = %s RETURNING id",
        execution_id + 1000 * (call - 1),
        call,
        seconds,
        execution_id,
    )


def finish(connection: psycopg.Connection, execution_id: int, result: object, *, seconds: float = 16.554571) -> None:
    """Put an execution into its final state, as a worker would."""
    connection.execute(
        "UPDATE executions SET status = 'finished', result = %s, cycles = 1,"
        " finished_at = started_at + make_interval(secs => %s) WHERE id = %s",
        (json.dumps(result), seconds, execution_id),
    )


def fail(connection: psycopg.Connection, execution_id: int, code: str, explanation: str) -> None:
    connection.execute(
        "UPDATE executions SET status = 'failed', failure_code = %s, failure_explanation = %s, retryable = false,"
        " finished_at = started_at + interval '18.230887 s' WHERE id = %s",
        (code, explanation, execution_id),
    )


def row_counts(connection: psycopg.Connection) -> dict[str, int]:
    """How many rows each table holds: what a refused request must not change."""
    tables = connection.execute(
        "SELECT table_name FROM information_schema.tables"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1"
    ).fetchall()
    counts = "SELECT " + ", ".join(f'(SELECT count(*) FROM "{name}")' for (name,) in tables)
    found = connection.execute(counts.encode()).fetchone()
    assert found is not None
    return {name: count for (name,), count in zip(tables, found, strict=True)}


def _id(connection: psycopg.Connection, statement: str, *arguments: Any) -> int:
    row = connection.execute(statement.encode(), arguments).fetchone()
    assert row is not None
    return int(row[0])
