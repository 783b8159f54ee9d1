"""Rows that runs need, and accepting executions of them as the API does."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg

from service.executions.store import ACCEPT, NewExecution, accepting
from service.executions.timing import Timing
from service.queue import CHANNEL, NOTIFICATION


@dataclass(frozen=True)
class Shop:
    """An account and an agent of one data set."""

    connection: psycopg.Connection[Any]
    account_id: int
    data_set_id: int
    agent_id: int

    def accept(
        self,
        key: str = "echo",
        input: Mapping[str, Any] | None = None,  # noqa: A002
        *,
        version: int = 1,
        limits: Mapping[str, Any] | None = None,
        timing: Timing | None = None,
    ) -> int:
        """A new execution; its id. Notified after the commit, as the API does."""
        new = NewExecution(
            account_id=self.account_id,
            agent_id=self.agent_id,
            data_set_id=self.data_set_id,
            celery_task_id=uuid.uuid4(),
            definition_key=key,
            definition_version=version,
            input=msgspec.json.encode(input or {}).decode(),
            limits=msgspec.json.encode(limits or {}).decode(),
            timing=timing or Timing(),
        )
        execution_id: int = self._one(ACCEPT, accepting(new))
        self.connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, NOTIFICATION))
        return execution_id

    def another_agent(self, *, account_id: int | None = None, model: str | None = None) -> Shop:
        """The same with a further agent, for a further account if one is given."""
        agent_id = self._one(
            "INSERT INTO agents (name, agent_type, data_set_id, model) VALUES ('agent', 'any', %s, %s) RETURNING id",
            (self.data_set_id, model),
        )
        return Shop(self.connection, account_id or self.account_id, self.data_set_id, agent_id)

    def _one(self, statement: str, values: Any) -> int:
        row = self.connection.execute(statement, values).fetchone()
        assert row is not None
        return int(row[0])


def open_shop(connection: psycopg.Connection[Any], name: str = "shop") -> Shop:
    """A new account with a data set and an agent. The connection gives tuples and is in autocommit."""

    def insert(statement: str, values: Any) -> int:
        row = connection.execute(statement, values).fetchone()
        assert row is not None
        return int(row[0])

    account_id = insert("INSERT INTO accounts (name) VALUES (%s) RETURNING id", (name,))
    data_set_id = insert("INSERT INTO data_sets (name) VALUES (%s) RETURNING id", (name,))
    agent_id = insert(
        "INSERT INTO agents (name, agent_type, data_set_id) VALUES (%s, 'any', %s) RETURNING id", (name, data_set_id)
    )
    return Shop(connection, account_id, data_set_id, agent_id)


def add_product(connection: psycopg.Connection[Any], data_set_id: int, sku: str, name: str, description: str) -> None:
    connection.execute(
        "INSERT INTO products (data_set_id, sku, name, description) VALUES (%s, %s, %s, %s)",
        (data_set_id, sku, name, description),
    )
