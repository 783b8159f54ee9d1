"""The shop behind a data set: what is in stock, goods received, orders placed. A protocol that another shop can fill.

Whatever a shop writes, it writes once: for a key, for the execution, and for what the paper itself says it is.
Amounts of money are decimal strings such as "12.50", never floats.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta

from service.definitions.tools import ToolFailed

# Not \d, which takes the digits of every script.
Money = Annotated[str, Meta(pattern=r"^-?[0-9]{1,12}(\.[0-9]{1,4})?$")]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$")]
Sku = Annotated[str, Meta(min_length=1, max_length=200)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
Label = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=2000)]
MOST_LINES = 500


class ShopProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product as the shop sells it. `price` and `currency` are None where the shop knows none."""

    sku: str
    name: str = ""
    stock: int = 0
    price: Money | None = None
    currency: Currency | None = None


class ReceiptLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Goods of one product that came in. `amount` is what the supplier charges for the line."""

    sku: Sku
    description: Text = ""
    quantity: Quantity
    unit_price: Money
    amount: Money


class NewReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Goods that a supplier's invoice says were delivered. `details` is kept with it, any JSON object."""

    supplier: Label
    number: Label
    issued_on: date
    currency: Currency
    total: Money
    lines: Annotated[list[ReceiptLine], Meta(max_length=MOST_LINES)]
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class Receipt(NewReceipt, frozen=True, kw_only=True):
    """A receipt on record. `is_own`: this execution made it."""

    id: str
    is_own: bool


class OrderLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One product of an order. `unit_price` is None where neither the buyer nor the shop names one."""

    sku: Sku
    description: Text = ""
    quantity: Quantity
    unit_price: Money | None = None


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer orders. `reference` is the buyer's own number of it, "" for none; `currency` that of its prices,
    where one is known; `details` any JSON object."""

    buyer: Label
    reference: Annotated[str, Meta(max_length=200)] = ""
    currency: Currency | None = None
    requested_on: date | None = None
    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=MOST_LINES)]
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class Order(NewOrder, frozen=True, kw_only=True):
    """An order on record. `number` is the shop's, `is_own`: this execution placed it."""

    number: str
    is_own: bool


class AlreadyRecorded(ToolFailed):
    """The same invoice or purchase order is on record for another execution; nothing was written."""


class UnknownProduct(ToolFailed):
    """A line names a product that the shop does not have; nothing was written. `skus` are all such."""

    def __init__(self, skus: Sequence[str]) -> None:
        super().__init__(f"the catalogue has no {', '.join(skus)}; nothing was written")
        self.skus = tuple(skus)


class Shop(Protocol):
    """The shop as one execution sees it. Each write is one transaction: all of it or nothing.

    An execution has one receipt and one order at most. A write that is repeated, with the same key or another, returns
    what the first one recorded and changes nothing, whatever it says now. A receipt of the same supplier and invoice
    number (or of the same number, date and total), or an order of the same buyer and reference, that another execution
    recorded is refused with AlreadyRecorded. How such texts are compared is what `identity` says.
    """

    async def products(self, skus: Sequence[str]) -> list[ShopProduct]:
        """The products with these SKUs, in no promised order; unknown SKUs are left out."""
        ...

    async def search(self, query: str, *, limit: int = 10) -> list[ShopProduct]:
        """Products whose SKU, name or description holds words of the query, best first."""
        ...

    async def receive_stock(self, receipt: NewReceipt, *, key: str) -> Receipt:
        """Record the goods and add them to the stock. Raises AlreadyRecorded and UnknownProduct."""
        ...

    async def own_receipt(self) -> Receipt | None:
        """What this execution received."""
        ...

    async def receipt_like(self, receipt: NewReceipt) -> Receipt | None:
        """The receipt of the same invoice, whoever recorded it."""
        ...

    async def place_order(self, order: NewOrder, *, key: str) -> Order:
        """Place the order. It takes nothing from the stock. Raises AlreadyRecorded and UnknownProduct."""
        ...

    async def own_order(self) -> Order | None:
        """The order that this execution placed."""
        ...

    async def order_like(self, order: NewOrder) -> Order | None:
        """The order of the same purchase order, whoever placed it; None for one without a reference."""
        ...


def catalogue_price(text: str | None) -> Money | None:
    """A price as the catalogue's details have it; None for what is none or is written otherwise."""
    return text if text and re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,4})?", text) else None


def catalogue_currency(text: str | None) -> Currency | None:
    """A currency likewise."""
    return text if text and re.fullmatch(r"[A-Z]{3}", text) else None


def identity(text: str) -> str:
    """How names and numbers on paper are compared: without case, and with any signs between words as one blank."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = "".join(sign if sign.isalnum() else " " for sign in folded).split()
    return " ".join(words) or folded.strip()
