"""The data set that a run works on, as instructions, tools and validators see it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from service.database import Database, Row
from service.datasets import catalogue_store, store
from service.definitions.context import Product, ProductChange
from service.executions.runtime import Claim
from tasks.fencing import fenced
from tasks.shop import DataSetShop
from tasks.storable import clean, clean_text

MOST_RESULTS = 100


class CatalogueDataSet:
    """The DataSet of one execution over its rows.

    Raises Unavailable in an outage, which gets out of the tool: the call is repeated when the database is back.
    """

    def __init__(self, database: Database, data_set_id: int, name: str, claim: Claim) -> None:
        self._database = database
        self._claim = claim
        self.id = data_set_id
        self.name = name
        self.shop = DataSetShop(database, data_set_id, claim)

    async def products(self, skus: Sequence[str]) -> list[Product]:
        """The products with these SKUs; unknown ones are left out."""
        async with self._database.connection() as connection:
            rows = await catalogue_store.products(connection, self.id, [clean_text(sku) for sku in skus])
        return [_product(row) for row in rows]

    async def search(self, query: str, *, limit: int = 10) -> list[Product]:
        """Products that hold words of the query, best first; at most a hundred."""
        most = max(0, min(limit, MOST_RESULTS))
        async with self._database.connection() as connection:
            rows = await catalogue_store.search(connection, self.id, clean_text(query), limit=most)
        return [_product(row) for row in rows]

    async def undescribed(self, *, limit: int = 10) -> list[Product]:
        """Products without a description, by SKU; at most a hundred."""
        most = max(0, min(limit, MOST_RESULTS))
        async with self._database.connection() as connection:
            rows = await catalogue_store.undescribed(connection, self.id, limit=most)
        return [_product(row) for row in rows]

    async def upsert(self, changes: Sequence[ProductChange]) -> list[Product]:
        """Write all changes at once. Several changes of one SKU are taken in their order.

        Raises LostClaim where the execution is somebody else's by now: a worker that lost it changes nothing.
        """
        async with fenced(self._database, self._claim, party=self.id) as connection:
            rows = await store.upsert_products(connection, self.id, _merged(changes))
        return [_product(row) for row in rows]


def _merged(changes: Sequence[ProductChange]) -> list[Row]:
    merged: dict[str, Row] = {}
    for change in changes:
        given: Row = clean(msgspec.to_builtins(change))
        nothing = {"sku": given["sku"], "name": None, "description": None, "details": {}}
        before = merged.setdefault(given["sku"], nothing)
        for field in ("name", "description"):
            if given[field] is not None:
                before[field] = given[field]
        before["details"] = {**before["details"], **given["details"]}
    return list(merged.values())


def _product(row: Row) -> Product:
    return Product(sku=row["sku"], name=row["name"], description=row["description"], details=row["details"])
