"""The plans of what every request and every list of set-up reads: by index, and in the index's order."""

from __future__ import annotations

import psycopg
import pytest

from service.accounts import store as accounts
from service.agents import store as agents
from service.conversations import store as conversations
from service.datasets import store as data_sets
from tests import http
from tests.service.conftest import World

ASKING = {"id": 1, "account_id": 1, "is_admin": False, "shows_contents": False, "limit": 25, "offset": 0}


@pytest.fixture
def crowded(connection: psycopg.Connection, world: World) -> psycopg.Connection:
    """Enough rows that the planner would not read a table from end to end."""
    for number in range(200):
        http.create_account(connection, f"account {number}", data_sets=[http.create_data_set(connection)])
    connection.execute(
        "INSERT INTO products (data_set_id, sku) SELECT %s, 'SKU ' || n FROM generate_series(1, 3000) n",
        (world.data_set,),
    )
    connection.execute(
        "INSERT INTO conversations (account_id, agent_id) SELECT %s, %s FROM generate_series(1, 2000)",
        (world.user.id, world.one),
    )
    connection.execute(
        "WITH blob AS (INSERT INTO blobs (size_bytes, sha256) VALUES (0, '') RETURNING id)"
        " INSERT INTO files (conversation_id, account_id, blob_id, filename, content_type)"
        " SELECT c.id, c.account_id, blob.id, 'notes.txt', 'text/plain' FROM conversations c, blob"
    )
    connection.execute("ANALYZE")
    connection.execute("SET enable_seqscan = off")
    return connection


def plan_of(connection: psycopg.Connection, statement: str, **arguments: object) -> str:
    rows = connection.execute(f"EXPLAIN {statement}".encode(), {**ASKING, **arguments}).fetchall()
    return "\n".join(row[0] for row in rows)


def test_token_is_looked_up_by_its_digest(crowded: psycopg.Connection) -> None:
    plan = plan_of(crowded, accounts.BY_DIGEST, digest=b"x")

    assert "tokens_digest_key" in plan
    assert "accounts_pkey" in plan


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (accounts.BY_ID, "accounts_pkey"),
        (accounts.PAGE, "accounts_pkey"),
        (agents.BY_ID, "agents_pkey"),
        (agents.PAGE, "agents_pkey"),
        (data_sets.BY_ID, "data_sets_pkey"),
        (data_sets.COUNT_AGENTS, "agents_data_set_id_idx"),
        (data_sets.PRODUCTS_PAGE, "products_data_set_id_sku_key"),
        (conversations.CONVERSATION, "conversations_pkey"),
        (conversations.FILES, "files_conversation_id_filename_key"),
        (conversations.TURNS, "turns_pkey"),
        (conversations.TOOL_CALLS, "tool_calls_pkey"),
        (conversations.VERDICTS, "verdicts_pkey"),
    ],
)
def test_statement_reads_by_its_index(crowded: psycopg.Connection, statement: str, index: str) -> None:
    plan = plan_of(crowded, statement)

    assert index in plan
    assert "Seq Scan" not in plan


def test_products_come_in_the_order_of_the_index(crowded: psycopg.Connection, world: World) -> None:
    assert "Sort" not in plan_of(crowded, data_sets.PRODUCTS_PAGE, id=world.data_set)
