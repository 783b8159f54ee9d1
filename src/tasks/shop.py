"""The built-in shop: the data set's own products and stock, receipts and orders, as one execution sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import msgspec
from psycopg.types.json import Jsonb

from service.database import Connection, Database, Row
from service.datasets import catalogue_store, shop_store
from service.definitions.shop import (
    AlreadyRecorded,
    NewOrder,
    NewReceipt,
    Order,
    Receipt,
    ShopProduct,
    UnknownProduct,
    catalogue_currency,
    catalogue_price,
    identity,
)
from service.executions.runtime import Claim
from tasks.fencing import fenced
from tasks.storable import clean, clean_text

MOST_RESULTS = 100

R = TypeVar("R", Receipt, Order)


class DataSetShop:
    """The Shop of one claim. Writes are fenced by it: a worker that lost the execution changes nothing.

    Raises Unavailable in an outage, which gets out of the tool: the call is repeated when the database is back.
    """

    def __init__(self, database: Database, data_set_id: int, claim: Claim) -> None:
        self._database = database
        self._data_set_id = data_set_id
        self._claim = claim

    async def products(self, skus: Sequence[str]) -> list[ShopProduct]:
        """The products with these SKUs; unknown ones are left out."""
        async with self._database.connection() as connection:
            rows = await shop_store.products(connection, self._data_set_id, [clean_text(sku) for sku in skus])
        return [_product(row) for row in rows]

    async def search(self, query: str, *, limit: int = 10) -> list[ShopProduct]:
        """Products that hold words of the query, best first; at most a hundred."""
        most = max(0, min(limit, MOST_RESULTS))
        async with self._database.connection() as connection:
            found = await catalogue_store.search(connection, self._data_set_id, clean_text(query), limit=most)
            skus = [row["sku"] for row in found]
            rows = {row["sku"]: row for row in await shop_store.products(connection, self._data_set_id, skus)}
        return [_product(rows[sku]) for sku in skus if sku in rows]

    async def receive_stock(self, receipt: NewReceipt, *, key: str) -> Receipt:
        """Receipt, movements and stock in one transaction."""
        given = clean(msgspec.to_builtins(receipt))
        values = {**self._values(given, key), **_receipt_identity(receipt)}

        async def write(connection: Connection) -> None:
            receipt_id = await shop_store.insert_receipt(connection, values)
            if receipt_id is not None:
                await self._require_products(connection, given["lines"])
                await shop_store.add_to_stock(connection, self._data_set_id, receipt_id, given["lines"])

        found = (shop_store.RECEIPT_OF_KEY, shop_store.OWN_RECEIPT, shop_store.RECEIPT_LIKE)
        row = await self._once(write, found, values)
        if row["execution_id"] != self._claim.execution_id:
            raise AlreadyRecorded(f"invoice {row['number']!r} of {row['supplier']!r} was received already")
        return self._receipt(row)

    async def own_receipt(self) -> Receipt | None:
        """What this execution received."""
        row = await self._find(shop_store.OWN_RECEIPT, {})
        return None if row is None else self._receipt(row)

    async def receipt_like(self, receipt: NewReceipt) -> Receipt | None:
        """The receipt of the same invoice, whoever recorded it."""
        given = {"currency": clean_text(receipt.currency), "total": receipt.total, **_receipt_identity(receipt)}
        row = await self._find(shop_store.RECEIPT_LIKE, given)
        return None if row is None else self._receipt(row)

    async def place_order(self, order: NewOrder, *, key: str) -> Order:
        """Order and lines in one transaction."""
        given = clean(msgspec.to_builtins(order))
        values = {**self._values(given, key), **_order_identity(order)}

        async def write(connection: Connection) -> None:
            await self._require_products(connection, given["lines"])
            await shop_store.insert_order(connection, values, given["lines"])

        found = (shop_store.ORDER_OF_KEY, shop_store.OWN_ORDER, shop_store.ORDER_LIKE)
        row = await self._once(write, found, values)
        if row["execution_id"] != self._claim.execution_id:
            raise AlreadyRecorded(f"order {row['reference']!r} of {row['buyer']!r} was placed already")
        return self._order(row)

    async def own_order(self) -> Order | None:
        """The order that this execution placed."""
        row = await self._find(shop_store.OWN_ORDER, {})
        return None if row is None else self._order(row)

    async def order_like(self, order: NewOrder) -> Order | None:
        """The order of the same purchase order, whoever placed it."""
        row = await self._find(shop_store.ORDER_LIKE, _order_identity(order))
        return None if row is None else self._order(row)

    async def _once(
        self, write: Callable[[Connection], Awaitable[None]], found: Sequence[str], values: dict[str, Any]
    ) -> Row:
        """Write unless it is there already, and return what is there now."""
        async with fenced(self._database, self._claim, party=self._data_set_id) as connection:
            for statement in found[:2]:
                if (row := await shop_store.find(connection, statement, values)) is not None:
                    return row
            await write(connection)
            for statement in found:
                if (row := await shop_store.find(connection, statement, values)) is not None:
                    return row
        raise RuntimeError("what was written is not there")

    async def _require_products(self, connection: Connection, lines: Sequence[Row]) -> None:
        skus = list(dict.fromkeys(line["sku"] for line in lines))
        known = {row["sku"] for row in await shop_store.products(connection, self._data_set_id, skus)}
        if unknown := [sku for sku in skus if sku not in known]:
            raise UnknownProduct(unknown)

    async def _find(self, statement: str, values: dict[str, Any]) -> Row | None:
        given = {"data_set_id": self._data_set_id, "execution_id": self._claim.execution_id, **values}
        async with self._database.connection() as connection:
            return await shop_store.find(connection, statement, given)

    def _values(self, given: dict[str, Any], key: str) -> dict[str, Any]:
        scalars = {name: value for name, value in given.items() if name != "lines"}
        owner = {"data_set_id": self._data_set_id, "execution_id": self._claim.execution_id, "key": clean_text(key)}
        return {**scalars, **owner, "details": Jsonb(given["details"])}

    def _receipt(self, row: Row) -> Receipt:
        is_own = row["execution_id"] == self._claim.execution_id
        return msgspec.convert({**_without_execution(row), "id": str(row["id"]), "is_own": is_own}, Receipt)

    def _order(self, row: Row) -> Order:
        is_own = row["execution_id"] == self._claim.execution_id
        made = {**_without_execution(row), "number": str(row["id"]), "is_own": is_own}
        return msgspec.convert(made, Order)


def _receipt_identity(receipt: NewReceipt) -> dict[str, Any]:
    return {
        "supplier_key": identity(clean_text(receipt.supplier)),
        "number_key": identity(clean_text(receipt.number)),
        "issued_on": receipt.issued_on,
    }


def _order_identity(order: NewOrder) -> dict[str, Any]:
    return {"buyer_key": identity(clean_text(order.buyer)), "reference_key": identity(clean_text(order.reference))}


def _without_execution(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in ("execution_id", "id")}


def _product(row: Row) -> ShopProduct:
    return ShopProduct(
        sku=row["sku"],
        name=row["name"],
        stock=row["stock"],
        price=catalogue_price(row["price"]),
        currency=catalogue_currency(row["currency"]),
    )
