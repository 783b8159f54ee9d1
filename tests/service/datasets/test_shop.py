"""Stock, orders and receipts of a data set over REST."""

from __future__ import annotations

import psycopg
import pytest

from tests.http import Client
from tests.service.conftest import World


@pytest.fixture
def recorded(client: Client, world: World, connection: psycopg.Connection) -> int:
    """An execution that received cups and ordered some."""
    body = {"execution_key": "summary", "input": {"text": "x"}}
    execution_id: int = client.post(f"/api/agents/{world.one}/agentic-executions/", json=body).json()["id"]
    connection.execute(
        """
        WITH product AS (INSERT INTO products (data_set_id, sku, stock) VALUES (%(data_set)s, 'CUP', 3)),
        placed AS (
          INSERT INTO orders (data_set_id, execution_id, idempotency_key, buyer, buyer_key, requested_on, details)
          VALUES (%(data_set)s, %(execution)s, 'k', 'Nord', 'nord', '2026-03-12', '{"a": 1}') RETURNING id),
        received AS (
          INSERT INTO receipts (data_set_id, execution_id, idempotency_key, supplier, supplier_key, number, number_key,
                                issued_on, currency, total)
          VALUES (%(data_set)s, %(execution)s, 'k', 'Acme', 'acme', 'R-1', 'r 1', '2026-03-01', 'EUR', 7.50)
          RETURNING id),
        moved AS (
          INSERT INTO stock_movements (data_set_id, sku, delta, reason, receipt_id, line, unit_price, amount)
          SELECT %(data_set)s, 'CUP', 3, 'receipt', id, 1, 2.50, 7.50 FROM received)
        INSERT INTO order_lines (order_id, line, data_set_id, sku, quantity, unit_price)
        SELECT id, 1, %(data_set)s, 'CUP', 9, 4.90 FROM placed
        """,
        {"data_set": world.data_set, "execution": execution_id},
    )
    return execution_id


def test_orders_are_shown_with_their_lines_to_who_sees_the_data_set(
    client: Client, world: World, recorded: int
) -> None:
    page = client.get(f"/api/data-sets/{world.data_set}/orders/").json()

    (order,) = page["results"]
    assert page["count"] == 1
    assert {name: value for name, value in order.items() if name not in ("id", "created_at")} == {
        "execution": recorded,
        "buyer": "Nord",
        "reference": "",
        "currency": None,
        "requested_on": "2026-03-12",
        "lines": [{"sku": "CUP", "description": "", "quantity": 9, "unit_price": "4.90"}],
        "details": {"a": 1},
    }


def test_receipts_are_shown_with_their_lines_and_the_stock_with_the_product(
    client: Client, world: World, recorded: int
) -> None:
    (receipt,) = client.get(f"/api/data-sets/{world.data_set}/receipts/").json()["results"]
    (product,) = client.get(f"/api/data-sets/{world.data_set}/products/").json()["results"]

    assert (receipt["execution"], receipt["number"], receipt["issued_on"]) == (recorded, "R-1", "2026-03-01")
    assert receipt["total"] == "7.50"
    assert receipt["lines"] == [
        {"sku": "CUP", "description": "", "quantity": 3, "unit_price": "2.50", "amount": "7.50"}
    ]
    assert product["stock"] == 3


@pytest.mark.parametrize("kind", ["orders", "receipts"])
def test_execution_of_another_account_is_not_named_but_to_an_admin(
    client: Client, world: World, connection: psycopg.Connection, recorded: int, kind: str
) -> None:
    url = f"/api/data-sets/{world.data_set}/{kind}/"
    connection.execute("UPDATE executions SET account_id = %s", (world.stranger.id,))

    assert client.get(url).json()["results"][0]["execution"] is None
    assert client.get(url, headers=world.admin.headers).json()["results"][0]["execution"] == recorded


@pytest.mark.parametrize("kind", ["orders", "receipts"])
def test_foreign_data_set_has_neither(client: Client, world: World, recorded: int, kind: str) -> None:
    assert client.get(f"/api/data-sets/{world.data_set}/{kind}/", headers=world.stranger.headers).status_code == 404
