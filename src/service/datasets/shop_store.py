"""SQL of the shop behind a data set: stock, receipts, orders. Writers open the transaction; each statement is named.

Amounts leave as text, so that no reader turns them into floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from service.accounts.access import Principal
from service.database import Connection, Row

PRODUCTS = """
SELECT sku, name, stock, details ->> 'price' AS price, details ->> 'currency' AS currency FROM products
 WHERE data_set_id = %(data_set_id)s AND sku = ANY (%(skus)s) ORDER BY sku LIMIT 10000
"""

# In the order of SKUs, so that two receipts that share products wait for each other instead of deadlocking.
LOCK_PRODUCTS = """
SELECT sku FROM products WHERE data_set_id = %(data_set_id)s AND sku = ANY (%(skus)s) ORDER BY sku FOR NO KEY UPDATE
"""

INSERT_RECEIPT = """
INSERT INTO receipts (data_set_id, execution_id, idempotency_key, supplier, supplier_key, number, number_key,
                      issued_on, currency, total, details)
VALUES (%(data_set_id)s, %(execution_id)s, %(key)s, %(supplier)s, %(supplier_key)s, %(number)s, %(number_key)s,
        %(issued_on)s, %(currency)s, %(total)s::numeric, %(details)s)
ON CONFLICT DO NOTHING RETURNING id
"""

INSERT_MOVEMENTS = """
INSERT INTO stock_movements (data_set_id, sku, delta, reason, receipt_id, line, description, unit_price, amount)
SELECT %(data_set_id)s, sku, quantity, 'receipt', %(receipt_id)s, line, description, unit_price, amount
  FROM jsonb_to_recordset(%(lines)s)
    AS l(line int, sku text, quantity bigint, description text, unit_price numeric, amount numeric)
"""

ADD_TO_STOCK = """
UPDATE products p SET stock = p.stock + moved.delta
  FROM (SELECT sku, sum(delta)::bigint AS delta FROM stock_movements
         WHERE receipt_id = %(receipt_id)s GROUP BY sku) moved
 WHERE p.data_set_id = %(data_set_id)s AND p.sku = moved.sku
"""

RECEIPT = """
SELECT r.id, r.execution_id, r.supplier, r.number, r.issued_on, r.currency, r.total::text AS total, r.details,
       r.created_at,
       coalesce((SELECT jsonb_agg(jsonb_build_object(
                   'sku', m.sku, 'description', m.description, 'quantity', m.delta,
                   'unit_price', m.unit_price::text, 'amount', m.amount::text) ORDER BY m.line)
          FROM stock_movements m WHERE m.receipt_id = r.id), '[]') AS lines
  FROM receipts r WHERE r.data_set_id = %(data_set_id)s
"""
OWN_RECEIPT = RECEIPT + "AND r.execution_id = %(execution_id)s"
RECEIPT_OF_KEY = RECEIPT + "AND r.idempotency_key = %(key)s"
RECEIPT_LIKE = f"""{RECEIPT} AND ((r.supplier_key = %(supplier_key)s AND r.number_key = %(number_key)s)
    OR (r.number_key = %(number_key)s AND r.issued_on = %(issued_on)s AND r.currency = %(currency)s
        AND r.total = %(total)s::numeric))
 ORDER BY r.id LIMIT 1"""

INSERT_ORDER = """
INSERT INTO orders (data_set_id, execution_id, idempotency_key, buyer, buyer_key, reference, reference_key, currency,
                    requested_on, details)
VALUES (%(data_set_id)s, %(execution_id)s, %(key)s, %(buyer)s, %(buyer_key)s, %(reference)s, %(reference_key)s,
        %(currency)s, %(requested_on)s, %(details)s)
ON CONFLICT DO NOTHING RETURNING id
"""

INSERT_ORDER_LINES = """
INSERT INTO order_lines (order_id, line, data_set_id, sku, description, quantity, unit_price)
SELECT %(order_id)s, line, %(data_set_id)s, sku, description, quantity, unit_price
  FROM jsonb_to_recordset(%(lines)s) AS l(line int, sku text, description text, quantity bigint, unit_price numeric)
"""

ORDER = """
SELECT o.id, o.execution_id, o.buyer, o.reference, o.currency, o.requested_on, o.details, o.created_at,
       (SELECT jsonb_agg(jsonb_build_object(
                   'sku', l.sku, 'description', l.description, 'quantity', l.quantity,
                   'unit_price', l.unit_price::text) ORDER BY l.line)
          FROM order_lines l WHERE l.order_id = o.id) AS lines
  FROM orders o WHERE o.data_set_id = %(data_set_id)s
"""
OWN_ORDER = ORDER + "AND o.execution_id = %(execution_id)s"
ORDER_OF_KEY = ORDER + "AND o.idempotency_key = %(key)s"
ORDER_LIKE = ORDER + (
    "AND o.buyer_key = %(buyer_key)s AND o.reference_key = %(reference_key)s AND o.reference_key <> '' "
)

# Which execution it was is told to who may see that.
PAGE = """
SELECT found.*, (SELECT e.id FROM executions e
                  WHERE e.id = found.execution_id AND (%(is_admin)s OR e.account_id = %(account_id)s)) AS execution
  FROM ({rows} ORDER BY id DESC LIMIT %(limit)s OFFSET %(offset)s) found ORDER BY found.id DESC
"""
ORDERS_PAGE = PAGE.replace("{rows}", ORDER)
RECEIPTS_PAGE = PAGE.replace("{rows}", RECEIPT)
COUNT_ORDERS = "SELECT count(*) AS count FROM orders WHERE data_set_id = %(data_set_id)s"
COUNT_RECEIPTS = "SELECT count(*) AS count FROM receipts WHERE data_set_id = %(data_set_id)s"


async def products(connection: Connection, data_set_id: int, skus: Sequence[str]) -> list[Row]:
    """The products with these SKUs (sku, name, stock, price, currency), by SKU; unknown ones are left out."""
    cursor = await connection.execute(PRODUCTS, {"data_set_id": data_set_id, "skus": list(skus)})
    return await cursor.fetchall()


async def insert_receipt(connection: Connection, values: Mapping[str, Any]) -> int | None:
    """The new receipt's id; None where one is there already, for the key, the execution or the invoice.

    Waits for another transaction that is about to record the same.
    """
    return await _id(connection, INSERT_RECEIPT, values)


async def add_to_stock(connection: Connection, data_set_id: int, receipt_id: int, lines: Sequence[Row]) -> None:
    """The receipt's movements, a row per line, and the stock that they make."""
    values = {"data_set_id": data_set_id, "receipt_id": receipt_id, "lines": Jsonb(_numbered(lines))}
    await connection.execute(LOCK_PRODUCTS, {**values, "skus": [line["sku"] for line in lines]})
    await connection.execute(INSERT_MOVEMENTS, values)
    await connection.execute(ADD_TO_STOCK, values)


async def insert_order(connection: Connection, values: Mapping[str, Any], lines: Sequence[Row]) -> int | None:
    """The new order's id, its lines written; None where one is there already, as with receipts."""
    order_id = await _id(connection, INSERT_ORDER, values)
    if order_id is not None:
        numbered = Jsonb(_numbered(lines))
        await connection.execute(
            INSERT_ORDER_LINES, {"data_set_id": values["data_set_id"], "order_id": order_id, "lines": numbered}
        )
    return order_id


async def find(connection: Connection, statement: str, values: Mapping[str, Any]) -> Row | None:
    """The receipt or order that one of the statements above finds, with its lines."""
    return await (await connection.execute(statement, values)).fetchone()


async def orders_page(
    connection: Connection, principal: Principal, data_set_id: int, *, limit: int, offset: int
) -> list[Row]:
    """Orders with their lines, newest first; `execution` is None where the account may not see it."""
    values = {"data_set_id": data_set_id, "limit": limit, "offset": offset, **_asking(principal)}
    return await (await connection.execute(ORDERS_PAGE, values)).fetchall()


async def receipts_page(
    connection: Connection, principal: Principal, data_set_id: int, *, limit: int, offset: int
) -> list[Row]:
    """Receipts likewise."""
    values = {"data_set_id": data_set_id, "limit": limit, "offset": offset, **_asking(principal)}
    return await (await connection.execute(RECEIPTS_PAGE, values)).fetchall()


async def count_orders(connection: Connection, data_set_id: int) -> int:
    """How many orders were placed."""
    return await _count(connection, COUNT_ORDERS, data_set_id)


async def count_receipts(connection: Connection, data_set_id: int) -> int:
    """How many invoices' goods were received."""
    return await _count(connection, COUNT_RECEIPTS, data_set_id)


def _asking(principal: Principal) -> dict[str, object]:
    return {"account_id": principal.account_id, "is_admin": principal.is_admin}


async def _count(connection: Connection, statement: str, data_set_id: int) -> int:
    row = await find(connection, statement, {"data_set_id": data_set_id})
    return int(row["count"]) if row else 0


async def _id(connection: Connection, statement: str, values: Mapping[str, Any]) -> int | None:
    row = await find(connection, statement, values)
    return None if row is None else int(row["id"])


def _numbered(lines: Sequence[Row]) -> list[Row]:
    return [{**line, "line": number} for number, line in enumerate(lines, start=1)]
