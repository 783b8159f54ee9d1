"""kill -9 of a worker around the one write of each shop definition: there is one order, and the stock counts once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.processes.breakpoints import Breakpoints
from tests.processes.conftest import Start
from tests.processes.workers import check_all_finished, unfinished, until
from tests.tasks.definitions import invoice_samples as invoice
from tests.tasks.definitions import order_samples as order
from tests.tasks.seed import Shop, add_product, open_shop

pytestmark = pytest.mark.slow

FATES = ("shop written", "tool returned")
"""The write is rolled back with its worker; the write is there, and nobody knows."""


def script(path: Path, tool: str, argument: str, read: dict[str, Any], result: dict[str, Any]) -> str:
    """A model that calls the tool, then gives an answer that lacks the number which only the tool's result has."""
    steps = [{"tool": tool, "args": {argument: read}}, {"answer": result}]
    path.write_text("\n".join(map(json.dumps, steps)))
    return f"scripted:{path}"


def attach(shop: Shop, execution_id: int, text: str) -> None:
    """A file of the execution whose text was read already."""
    shop.connection.execute(
        "WITH blob AS (INSERT INTO blobs (size_bytes, sha256) VALUES (1, '') RETURNING id)"
        " INSERT INTO files (conversation_id, account_id, blob_id, filename, content_type, text, text_characters,"
        "                    text_truncated, text_at)"
        " SELECT conversation_id, account_id, blob.id, 'paper.txt', 'text/plain', %s, 1, false, now()"
        "   FROM executions, blob WHERE executions.id = %s",
        (text, execution_id),
    )


def open_stocked_shop(connection: psycopg.Connection[Any], name: str) -> Shop:
    shop = open_shop(connection, name)
    for sku in ("MUG-1", "POT-1"):
        add_product(connection, shop.data_set_id, sku, sku, "")
    return shop


def test_worker_killed_around_the_write_leaves_one_order_and_counts_the_stock_once(
    superuser_url: str, connection: psycopg.Connection[Any], start: Start, tmp_path: Path
) -> None:
    scanning = script(tmp_path / "invoice", "receive_stock", "invoice", invoice.READ, {**invoice.READ, "receipt": "?"})
    intake = script(tmp_path / "order", "place_order", "order", order.READ, {**order.PLACED, "number": "?"})
    at: dict[int, str] = {}
    with Breakpoints(superuser_url, connection) as breakpoints:
        for fate in FATES:
            shop = open_stocked_shop(connection, fate)
            for key, model, text in (
                ("invoice-scanning", scanning, invoice.TEXT),
                ("order-intake", intake, order.TEXT),
            ):
                execution_id = shop.another_agent(model=model).accept(key)
                attach(shop, execution_id, text)
                breakpoints.set(execution_id, fate)
                at[execution_id] = fate
        victim = start("victim", AGENTIC_POOL_SIZE="20")
        until(lambda: breakpoints.reached().keys() == at.keys(), what="all stand at the write")
        victim.kill()
        breakpoints.roll_back(list(at))
        assert written(connection) == {("tool returned", 1, 1, 24 + 3)}
    start("heir")
    until(lambda: not unfinished(connection))
    check_all_finished(connection)
    assert written(connection) == {(fate, 1, 1, 24 + 3) for fate in FATES}
    assert connection.execute("SELECT DISTINCT attempts FROM tool_calls").fetchall() == [(2,)]
    results = connection.execute("SELECT result ->> 'number', result ->> 'receipt' FROM executions").fetchall()
    assert not any("?" in str(result) for result in results)


def written(connection: psycopg.Connection[Any]) -> set[tuple[str, int, int, int]]:
    """Each shop's name with what was written there: receipts, orders, goods in stock as the movements say too."""
    rows = connection.execute(
        "SELECT d.name, (SELECT count(*) FROM receipts r WHERE r.data_set_id = d.id),"
        "       (SELECT count(*) FROM orders o WHERE o.data_set_id = d.id),"
        "       (SELECT sum(stock) FROM products p WHERE p.data_set_id = d.id),"
        "       (SELECT coalesce(sum(delta), 0) FROM stock_movements m WHERE m.data_set_id = d.id)"
        "  FROM data_sets d ORDER BY d.id"
    ).fetchall()
    assert all(stock == moved for *_, stock, moved in rows)
    return {(name, receipts, orders, int(stock)) for name, receipts, orders, stock, _ in rows if receipts or orders}
