"""The plans of lists: every filter has an index that leads with the account and gives the order as well."""

from __future__ import annotations

import psycopg
import pytest

from service.cursors import Cursor
from service.executions.store import cursor_query, list_query
from tests.service.conftest import World
from tests.service.executions.test_read import add

VALUES: dict[str, object] = {
    "account_id": 1,
    "agent_id": 1,
    "data_set_id": 1,
    "status": "pending",
    "definition_key": "rare",
    "failure_code": "rare",
    "external_id": "order-7",
    "metadata": '{"customer": "7"}',
    "started_from": "2020-01-01T00:00:00Z",
    "started_before": "2020-01-02T00:00:00Z",
}


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (["account_id"], "executions_account_idx"),
        (["account_id", "agent_id"], "executions_account_agent_idx"),
        (["account_id", "data_set_id"], "executions_account_data_set_idx"),
        (["account_id", "status"], "executions_account_status_idx"),
        (["account_id", "definition_key"], "executions_account_key_idx"),
        (["account_id", "failure_code"], "executions_account_code_idx"),
        ([], "executions_pkey"),
    ],
)
def test_list_when_filtered_then_its_index_gives_rows_and_order(
    connection: psycopg.Connection, world: World, filters: list[str], index: str
) -> None:
    fill(connection, world)
    connection.execute("UPDATE executions SET status = 'in_progress' WHERE id % 10 > 0")
    connection.execute("ANALYZE executions")
    connection.execute("SET enable_seqscan = off")
    arguments = {**{name: VALUES[name] for name in filters}, "limit": 25, "offset": 0}
    rows = connection.execute(f"EXPLAIN {list_query(filters)}".encode(), arguments).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert f"using {index} on executions" in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("cursor", [Cursor(), Cursor(older_than=3050), Cursor(newer_than=50)])
def test_list_when_asked_by_a_cursor_then_the_same_index_gives_rows_and_order(
    connection: psycopg.Connection, world: World, cursor: Cursor
) -> None:
    add(connection, world, 3000, account=world.stranger.id)
    add(connection, world, 100)
    connection.execute("ANALYZE executions")
    connection.execute("SET enable_seqscan = off")
    plan = explain(connection, cursor_query(["account_id"], cursor), older_than=3050, newer_than=50)
    assert "using executions_account_idx on executions" in plan
    assert "Sort" not in plan
    assert "Filter" not in plan.partition("SubPlan")[0]  # what is looked up of each row comes after it


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (["account_id", "external_id"], "executions_account_external_id_key"),
        (["account_id", "metadata"], "executions_metadata_idx"),
        (["account_id", "started_from", "started_before"], "executions_account_started_at_idx"),
    ],
)
def test_list_when_the_filter_finds_few_then_its_index_is_read(
    connection: psycopg.Connection, world: World, filters: list[str], index: str
) -> None:
    add(connection, world, 900)
    connection.execute("UPDATE executions SET metadata = jsonb_build_object('customer', id::text)")
    connection.execute("ANALYZE executions")
    connection.execute("SET enable_seqscan = off")
    assert index in explain(connection, cursor_query(filters, Cursor()))


def fill(connection: psycopg.Connection, world: World) -> None:
    for account in (world.user.id, world.stranger.id, world.admin.id):
        for agent in (world.one, world.two, world.foreign):
            add(connection, world, 300, account=account, agent=agent)


def explain(connection: psycopg.Connection, query: str, **bounds: int) -> str:
    rows = connection.execute(f"EXPLAIN {query}".encode(), {**VALUES, **bounds, "limit": 25}).fetchall()
    return "\n".join(row[0] for row in rows)
