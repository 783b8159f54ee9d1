"""An account with a conversation, and the settings of a process that serves its files."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from service.settings import Settings
from tests import postgres


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings.read({"DATABASE_URL": postgres.as_role(database_url, postgres.APP)})


@pytest.fixture
def conversation(connection: psycopg.Connection) -> tuple[int, int]:
    """The ids of an account and of a conversation of it."""
    account = _insert(connection, "INSERT INTO accounts (name) VALUES ('a') RETURNING id")
    data_set = _insert(connection, "INSERT INTO data_sets (name) VALUES ('d') RETURNING id")
    agent = _insert(
        connection,
        "INSERT INTO agents (name, agent_type, data_set_id) VALUES ('g', 'echo', %s) RETURNING id",
        data_set,
    )
    statement = "INSERT INTO conversations (account_id, agent_id) VALUES (%s, %s) RETURNING id"
    return account, _insert(connection, statement, account, agent)


def _insert(connection: psycopg.Connection, statement: Any, *values: object) -> int:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])
