"""The plans of lists: every filter has an index that leads with the account and gives the order as well."""

from __future__ import annotations

import psycopg
import pytest

from service.executions.store import list_query
from tests.service.conftest import World
from tests.service.executions.test_read import add

VALUES: dict[str, object] = {"account_id": 1, "agent_id": 1, "data_set_id": 1, "status": "pending"}


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (["account_id"], "executions_account_idx"),
        (["account_id", "agent_id"], "executions_account_agent_idx"),
        (["account_id", "data_set_id"], "executions_account_data_set_idx"),
        (["account_id", "status"], "executions_account_status_idx"),
        ([], "executions_pkey"),
    ],
)
def test_list_when_filtered_then_its_index_gives_rows_and_order(
    connection: psycopg.Connection, world: World, filters: list[str], index: str
) -> None:
    for account in (world.user.id, world.stranger.id, world.admin.id):
        for agent in (world.one, world.two, world.foreign):
            add(connection, world, 300, account=account, agent=agent)
    connection.execute("UPDATE executions SET status = 'in_progress' WHERE id % 10 > 0")
    connection.execute("ANALYZE executions")
    connection.execute("SET enable_seqscan = off")
    arguments = {**{name: VALUES[name] for name in filters}, "limit": 25, "offset": 0}
    rows = connection.execute(f"EXPLAIN {list_query(filters)}".encode(), arguments).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert f"using {index} on executions" in plan
    assert "Sort" not in plan
