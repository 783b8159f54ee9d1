"""The catalogue as agents read it: products by SKU and by words. Every statement names the data set."""

from __future__ import annotations

import re
from collections.abc import Sequence

from service.database import Connection, Row

MOST_WORDS = 16

BY_SKU = """
SELECT sku, name, description, details FROM products
 WHERE data_set_id = %(data_set_id)s AND sku = ANY (%(skus)s) ORDER BY sku LIMIT 10000
"""

# Words of a query are looked for anywhere: product names and SKUs are compounds, which word boundaries cut wrongly.
SEARCH = """
SELECT sku, name, description, details
  FROM products p,
       LATERAL (SELECT count(*) FILTER (WHERE p.sku ILIKE w) AS in_sku,
                       count(*) FILTER (WHERE p.name ILIKE w) AS in_name,
                       count(*) FILTER (WHERE p.description ILIKE w) AS in_description,
                       count(*) FILTER (WHERE p.sku ILIKE w OR p.name ILIKE w OR p.description ILIKE w) AS words
                  FROM unnest(%(patterns)s::text[]) w) found
 WHERE p.data_set_id = %(data_set_id)s AND found.words > 0
 ORDER BY lower(p.sku) = lower(%(query)s) DESC, found.words DESC, found.in_sku DESC, found.in_name DESC, p.sku
 LIMIT %(limit)s
"""

UNDESCRIBED = """
SELECT sku, name, description, details FROM products
 WHERE data_set_id = %(data_set_id)s AND description = '' ORDER BY sku LIMIT %(limit)s
"""


async def products(connection: Connection, data_set_id: int, skus: Sequence[str]) -> list[Row]:
    """The products with these SKUs, by SKU; unknown ones are left out."""
    cursor = await connection.execute(BY_SKU, {"data_set_id": data_set_id, "skus": list(skus)})
    return await cursor.fetchall()


async def search(connection: Connection, data_set_id: int, query: str, *, limit: int) -> list[Row]:
    """Products in which words of the query occur: the SKU itself first, then by how many words, then by where."""
    words = query.split()[:MOST_WORDS]
    if not words:
        return []
    values = {
        "data_set_id": data_set_id,
        "query": query.strip(),
        "patterns": [f"%{_escape(word)}%" for word in words],
        "limit": limit,
    }
    return await (await connection.execute(SEARCH, values)).fetchall()


async def undescribed(connection: Connection, data_set_id: int, *, limit: int) -> list[Row]:
    """Products without a description, by SKU."""
    return await (await connection.execute(UNDESCRIBED, {"data_set_id": data_set_id, "limit": limit})).fetchall()


def _escape(word: str) -> str:
    """The word with LIKE's own signs taken literally."""
    return re.sub(r"([\\%_])", r"\\\1", word)
