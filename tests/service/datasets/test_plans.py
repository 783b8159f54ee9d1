"""The plans of what the shop reads and writes: by index, and pages in the index's order."""

from __future__ import annotations

from datetime import date

import psycopg

from service.datasets import shop_store
from tests.service.conftest import World

VALUES = {
    "data_set_id": 1,
    "execution_id": 7,
    "receipt_id": 7,
    "key": "k",
    "skus": ["SKU 1"],
    "supplier_key": "acme",
    "number_key": "7",
    "issued_on": date(2026, 3, 12),
    "currency": "EUR",
    "total": "1.00",
    "buyer_key": "nord",
    "reference_key": "7",
    "account_id": 1,
    "is_admin": False,
    "limit": 25,
    "offset": 0,
}
FILL = """
INSERT INTO data_sets (name) SELECT 'other' FROM generate_series(1, 50);
INSERT INTO products (data_set_id, sku) SELECT d.id, 'SKU ' || n FROM data_sets d, generate_series(1, 40) n;
INSERT INTO orders (data_set_id, idempotency_key, buyer, buyer_key, reference, reference_key)
SELECT d.id, n, 'Nord', 'nord', n, n FROM generate_series(1, 40) n, data_sets d;
INSERT INTO order_lines (order_id, line, data_set_id, sku, quantity)
SELECT id, 1, data_set_id, 'SKU ' || reference, 1 FROM orders;
INSERT INTO receipts (data_set_id, idempotency_key, supplier, supplier_key, number, number_key, issued_on, currency,
                      total)
SELECT d.id, n, 'Acme', 'acme', n, n, '2026-03-12', 'EUR', 1 FROM generate_series(1, 40) n, data_sets d;
INSERT INTO stock_movements (data_set_id, sku, delta, reason, receipt_id, line, unit_price, amount)
SELECT data_set_id, 'SKU ' || number, 1, 'receipt', id, 1, 1, 1 FROM receipts;
ANALYZE;
SET enable_seqscan = off
"""


BY = [
    (shop_store.PRODUCTS, ["products_data_set_id_sku_key"]),
    (shop_store.LOCK_PRODUCTS, ["products_data_set_id_sku_key"]),
    (shop_store.ADD_TO_STOCK, ["stock_movements_receipt_id_line_key", "products_data_set_id_sku_key"]),
    (shop_store.OWN_RECEIPT, ["receipts_execution_id_key", "stock_movements_receipt_id_line_key"]),
    (shop_store.RECEIPT_OF_KEY, ["receipts_data_set_id_idempotency_key_key"]),
    (shop_store.RECEIPT_LIKE, ["receipts_"]),
    (shop_store.OWN_ORDER, ["orders_execution_id_key", "order_lines_pkey"]),
    (shop_store.ORDER_OF_KEY, ["orders_data_set_id_idempotency_key_key"]),
    (shop_store.ORDER_LIKE, ["orders_reference_key"]),
    (shop_store.ORDERS_PAGE, ["orders_data_set_id_idx", "order_lines_pkey"]),
    (shop_store.RECEIPTS_PAGE, ["receipts_data_set_id_idx", "stock_movements_receipt_id_line_key"]),
]
"""Statement: the indexes that it reads by."""


def test_statements_of_the_shop_read_by_their_indexes(connection: psycopg.Connection, world: World) -> None:
    for statement in FILL.split(";"):  # enough rows that the planner would not read a table from end to end
        connection.execute(statement.encode())

    for statement, indexes in BY:
        rows = connection.execute(f"EXPLAIN {statement}".encode(), {**VALUES, "data_set_id": world.data_set}).fetchall()
        plan = "\n".join(row[0] for row in rows)
        assert [index for index in indexes if index not in plan] == [], plan
        assert "Seq Scan" not in plan, plan
