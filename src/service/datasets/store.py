"""SQL of data sets and their products, as set-up sees them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, structs
from psycopg.types.json import Jsonb

from service.accounts.access import Principal
from service.database import Connection, Row
from service.datasets.models import DataSetChange, NewDataSet

VISIBLE = """
SELECT d.id, d.name, d.created_at, d.content_days, d.execution_days FROM data_sets d
WHERE d.deleted_at IS NULL AND (%(is_admin)s OR EXISTS (
    SELECT FROM account_data_sets a WHERE a.account_id = %(account_id)s AND a.data_set_id = d.id))
"""

BY_ID = VISIBLE + "AND d.id = %(id)s"
PAGE = VISIBLE + "ORDER BY d.id DESC LIMIT %(limit)s OFFSET %(offset)s"
COUNT = f"SELECT count(*) AS count FROM ({VISIBLE}) visible"  # noqa: S608 - our own text

PRESENT = "SELECT FROM data_sets WHERE id = %(id)s AND deleted_at IS NULL FOR SHARE"
COLUMNS = "id, name, created_at, content_days, execution_days"
INSERT = f"""
INSERT INTO data_sets (name, content_days, execution_days)
VALUES (%(name)s, %(content_days)s, %(execution_days)s) RETURNING {COLUMNS}
"""  # noqa: S608 - our own text
CHANGE = f"""
UPDATE data_sets SET name = coalesce(%(name)s, name),
       content_days = CASE WHEN %(sets_content_days)s THEN %(content_days)s ELSE content_days END,
       execution_days = CASE WHEN %(sets_execution_days)s THEN %(execution_days)s ELSE execution_days END
 WHERE id = %(id)s AND deleted_at IS NULL
RETURNING {COLUMNS}
"""  # noqa: S608 - our own text
LOCK = "SELECT FROM data_sets WHERE id = %(id)s AND deleted_at IS NULL FOR UPDATE"
COUNT_AGENTS = "SELECT count(*) AS count FROM agents WHERE data_set_id = %(id)s AND deleted_at IS NULL"
DELETE = "UPDATE data_sets SET deleted_at = now() WHERE id = %(id)s AND deleted_at IS NULL RETURNING id"

PRODUCTS_PAGE = """
SELECT sku, name, description, details, updated_at, stock FROM products
WHERE data_set_id = %(id)s ORDER BY sku LIMIT %(limit)s OFFSET %(offset)s
"""
COUNT_PRODUCTS = "SELECT count(*) AS count FROM products WHERE data_set_id = %(id)s"

# In the order of SKUs, so that two batches that share products wait for each other instead of deadlocking.
UPSERT_PRODUCTS = """
WITH given AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(%(products)s) AS g(place int, sku text, name text, description text, details jsonb)
), written AS (
    INSERT INTO products (data_set_id, sku, name, description, details)
    SELECT %(id)s, sku, coalesce(name, ''), coalesce(description, ''), details FROM given ORDER BY sku
    ON CONFLICT (data_set_id, sku) DO UPDATE SET
        name = coalesce((SELECT g.name FROM given g WHERE g.sku = excluded.sku), products.name),
        description = coalesce((SELECT g.description FROM given g WHERE g.sku = excluded.sku), products.description),
        details = products.details || excluded.details,
        updated_at = now()
    RETURNING sku, name, description, details, updated_at, stock
)
SELECT written.* FROM written JOIN given USING (sku) ORDER BY given.place
"""


async def visible_data_set(connection: Connection, principal: Principal, data_set_id: int) -> Row | None:
    """The data set (id, name, created_at); None if it is absent, deleted, or not given to the account."""
    return await _one(connection, BY_ID, id=data_set_id, **_asking(principal))


async def visible_page(connection: Connection, principal: Principal, *, limit: int, offset: int) -> list[Row]:
    """Data sets that the account was given, newest first."""
    arguments = {"limit": limit, "offset": offset, **_asking(principal)}
    return await (await connection.execute(PAGE, arguments)).fetchall()


async def count_visible(connection: Connection, principal: Principal) -> int:
    """How many data sets the account was given."""
    return await _count(connection, COUNT, **_asking(principal))


async def is_present(connection: Connection, data_set_id: int) -> bool:
    """Whether the data set exists. It cannot be deleted before the transaction ends."""
    return await _one(connection, PRESENT, id=data_set_id) is not None


async def insert(connection: Connection, new: NewDataSet) -> Row:
    """The new data set."""
    row = await _one(connection, INSERT, **structs.asdict(new))
    assert row is not None
    return row


async def change(connection: Connection, data_set_id: int, change: DataSetChange) -> Row | None:
    """The data set, changed in what is set; None if it is absent."""
    days: dict[str, object] = {}
    for name in ("content_days", "execution_days"):
        value = getattr(change, name)
        days |= {name: None if value is UNSET else value, f"sets_{name}": value is not UNSET}
    return await _one(connection, CHANGE, id=data_set_id, name=change.name or None, **days)


async def lock(connection: Connection, data_set_id: int) -> bool:
    """Keep others from adding agents or accounts until the transaction ends. False if the data set is absent."""
    return await _one(connection, LOCK, id=data_set_id) is not None


async def count_agents(connection: Connection, data_set_id: int) -> int:
    """How many agents work on the data set."""
    return await _count(connection, COUNT_AGENTS, id=data_set_id)


async def delete(connection: Connection, data_set_id: int) -> bool:
    """Soft: executions keep their data set. False if it is absent."""
    return await _one(connection, DELETE, id=data_set_id) is not None


async def products_page(connection: Connection, data_set_id: int, *, limit: int, offset: int) -> list[Row]:
    """Products by SKU."""
    arguments = {"id": data_set_id, "limit": limit, "offset": offset}
    return await (await connection.execute(PRODUCTS_PAGE, arguments)).fetchall()


async def count_products(connection: Connection, data_set_id: int) -> int:
    """How many products the data set holds."""
    return await _count(connection, COUNT_PRODUCTS, id=data_set_id)


async def upsert_products(connection: Connection, data_set_id: int, products: Sequence[Row]) -> list[Row]:
    """Write {sku, name, description, details} and return the products in that order, as they now are.

    What is None stays, details are merged key by key. SKUs must differ. One statement.
    """
    given = [{**product, "place": place} for place, product in enumerate(products)]
    arguments = {"id": data_set_id, "products": Jsonb(given)}
    return await (await connection.execute(UPSERT_PRODUCTS, arguments)).fetchall()


def _asking(principal: Principal) -> dict[str, object]:
    return {"account_id": principal.account_id, "is_admin": principal.is_admin}


async def _count(connection: Connection, statement: str, **arguments: object) -> int:
    row = await _one(connection, statement, **arguments)
    return int(row["count"]) if row else 0


async def _one(connection: Connection, statement: str, **arguments: object) -> Row | None:
    return await (await connection.execute(statement, arguments)).fetchone()
