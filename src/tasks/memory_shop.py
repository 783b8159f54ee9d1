"""A shop in memory for tests: it says yes and no as the built-in one does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import count

from msgspec.structs import asdict

from service.definitions.context import DataSet, Product
from service.definitions.shop import (
    AlreadyRecorded,
    NewOrder,
    NewReceipt,
    Order,
    OrderLine,
    Receipt,
    ReceiptLine,
    ShopProduct,
    UnknownProduct,
    catalogue_currency,
    catalogue_price,
    identity,
)


class MemoryShop:
    """The shop of a catalogue. `stock` is by SKU; the receipts and orders given are other executions'."""

    def __init__(
        self,
        catalogue: DataSet,
        *,
        stock: Mapping[str, int],
        receipts: Sequence[NewReceipt] = (),
        orders: Sequence[NewOrder] = (),
    ) -> None:
        self.stock = dict(stock)
        self._catalogue = catalogue
        self._ids = count(1)
        self.receipts = [_recorded(given, str(next(self._ids)), is_own=False) for given in receipts]
        self.orders = [_placed(given, str(next(self._ids)), is_own=False) for given in orders]

    async def products(self, skus: Sequence[str]) -> list[ShopProduct]:
        """The products with these SKUs; price and currency are details of theirs."""
        return [self._product(known) for known in await self._catalogue.products(skus)]

    async def search(self, query: str, *, limit: int = 10) -> list[ShopProduct]:
        """Products that hold words of the query, best first."""
        return [self._product(known) for known in await self._catalogue.search(query, limit=limit)]

    async def receive_stock(self, receipt: NewReceipt, *, key: str) -> Receipt:
        """Record the goods and add them to the stock."""
        if (own := await self.own_receipt()) is not None:
            return own
        await self._require(receipt.lines)
        if await self.receipt_like(receipt) is not None:
            raise AlreadyRecorded(f"invoice {receipt.number!r} of {receipt.supplier!r} was received already")
        for line in receipt.lines:
            self.stock[line.sku] = self.stock.get(line.sku, 0) + line.quantity
        self.receipts.append(_recorded(receipt, str(next(self._ids)), is_own=True))
        return self.receipts[-1]

    async def own_receipt(self) -> Receipt | None:
        """What this execution received."""
        return next((known for known in self.receipts if known.is_own), None)

    async def receipt_like(self, receipt: NewReceipt) -> Receipt | None:
        """The receipt of the same invoice, whoever recorded it."""
        wanted = _papers(receipt)
        return next((known for known in self.receipts if wanted & _papers(known)), None)

    async def place_order(self, order: NewOrder, *, key: str) -> Order:
        """Place the order."""
        if (own := await self.own_order()) is not None:
            return own
        await self._require(order.lines)
        if await self.order_like(order) is not None:
            raise AlreadyRecorded(f"order {order.reference!r} of {order.buyer!r} was placed already")
        self.orders.append(_placed(order, str(next(self._ids)), is_own=True))
        return self.orders[-1]

    async def own_order(self) -> Order | None:
        """The order that this execution placed."""
        return next((known for known in self.orders if known.is_own), None)

    async def order_like(self, order: NewOrder) -> Order | None:
        """The order of the same purchase order, whoever placed it."""
        wanted = identity(order.buyer), identity(order.reference)
        same = (known for known in self.orders if (identity(known.buyer), identity(known.reference)) == wanted)
        return next(same, None) if order.reference else None

    async def _require(self, lines: Sequence[ReceiptLine] | Sequence[OrderLine]) -> None:
        skus = list(dict.fromkeys(line.sku for line in lines))
        known = {product.sku for product in await self._catalogue.products(skus)}
        if unknown := [sku for sku in skus if sku not in known]:
            raise UnknownProduct(unknown)

    def _product(self, known: Product) -> ShopProduct:
        price, currency = (_text(known.details.get(name)) for name in ("price", "currency"))
        return ShopProduct(
            sku=known.sku,
            name=known.name,
            stock=self.stock.get(known.sku, 0),
            price=catalogue_price(price),
            currency=catalogue_currency(currency),
        )


def _text(value: object) -> str | None:
    """As the database's ->> has it, for the values that matter here."""
    return None if value is None else str(value)


def _papers(receipt: NewReceipt) -> set[tuple[str, ...]]:
    """What tells that two receipts are of the same invoice, in either of two ways."""
    number = identity(receipt.number)
    value = str(Decimal(receipt.total).normalize())
    return {
        ("supplier", identity(receipt.supplier), number),
        ("paper", number, receipt.issued_on.isoformat(), receipt.currency, value),
    }


def _recorded(receipt: NewReceipt, id: str, *, is_own: bool) -> Receipt:  # noqa: A002
    return Receipt(**asdict(receipt), id=id, is_own=is_own)


def _placed(order: NewOrder, number: str, *, is_own: bool) -> Order:
    return Order(**asdict(order), number=number, is_own=is_own)
