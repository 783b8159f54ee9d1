"""What is read from a purchase order, and the order that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import Meta

from service.definitions.definition import Input
from service.definitions.shop import (
    MOST_LINES,
    Currency,
    Label,
    Money,
    NewOrder,
    Order,
    OrderLine,
    Quantity,
    ShopProduct,
    Sku,
    Text,
)


class OrderIntakeInput(Input):
    """The purchase order is in the files."""

    additional_instructions: Annotated[str, Meta(max_length=4000)] | None = None


class PurchaseLine(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A line of the purchase order. `sku` is the catalogue's; price and amount are null where the paper has none."""

    sku: Sku
    description: Text = ""
    quantity: Quantity
    unit_price: Money | None = None
    amount: Money | None = None


class PurchaseOrder(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A purchase order as it stands on paper. `reference` is the buyer's number of it, "" where it has none."""

    buyer: Label
    reference: Annotated[str, Meta(max_length=200)] = ""
    currency: Currency | None = None
    requested_on: date | None = None
    lines: Annotated[list[PurchaseLine], Meta(min_length=1, max_length=MOST_LINES)]


class PriceDifference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price on the purchase order that is not the catalogue's."""

    sku: Sku
    ordered: Money
    catalogue: Money


class PlacedOrder(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The order that was placed. Lines without a price on paper have the catalogue's, null where that has none."""

    number: Label
    buyer: Label
    reference: Annotated[str, Meta(max_length=200)] = ""
    currency: Currency | None = None
    requested_on: date | None = None
    lines: Annotated[list[OrderLine], Meta(min_length=1, max_length=MOST_LINES)]
    price_differences: list[PriceDifference] = msgspec.field(default_factory=list)


def new_order(read: PurchaseOrder, products: Mapping[str, ShopProduct]) -> NewOrder:
    """The order to place, with the catalogue's prices where the paper has none."""
    found = [difference for line in read.lines if (difference := _difference(line, read.currency, products))]
    return NewOrder(
        buyer=read.buyer,
        reference=read.reference,
        currency=read.currency or _currency(list(products.values())),
        requested_on=read.requested_on,
        lines=[_line(line, read.currency, products) for line in read.lines],
        details={"price_differences": msgspec.to_builtins(found)} if found else {},
    )


def placed_order(order: Order) -> PlacedOrder:
    """The order on record as the result says it."""
    return PlacedOrder(
        number=order.number,
        buyer=order.buyer,
        reference=order.reference,
        currency=order.currency,
        requested_on=order.requested_on,
        lines=order.lines,
        price_differences=msgspec.convert(order.details.get("price_differences", []), list[PriceDifference]),
    )


def asked_again(answer: PlacedOrder) -> NewOrder:
    """The answer as an order, to look for one like it."""
    return NewOrder(buyer=answer.buyer, reference=answer.reference, lines=answer.lines)


def _line(line: PurchaseLine, currency: str | None, products: Mapping[str, ShopProduct]) -> OrderLine:
    price = line.unit_price
    if price is None:
        price = _price(line.sku, currency, products)
    return OrderLine(sku=line.sku, description=line.description, quantity=line.quantity, unit_price=price)


def _difference(
    line: PurchaseLine, currency: str | None, products: Mapping[str, ShopProduct]
) -> PriceDifference | None:
    price = _price(line.sku, currency, products)
    if line.unit_price is None or price is None or Decimal(line.unit_price) == Decimal(price):
        return None
    return PriceDifference(sku=line.sku, ordered=line.unit_price, catalogue=price)


def _price(sku: str, currency: str | None, products: Mapping[str, ShopProduct]) -> Money | None:
    """The catalogue's price; None where it is in another currency than the order's."""
    product = products.get(sku)
    if product is None or (currency and product.currency and product.currency != currency):
        return None
    return product.price


def _currency(products: Sequence[ShopProduct]) -> Currency | None:
    """The one currency of the catalogue's prices, if there is one."""
    currencies = {product.currency for product in products}
    return next(iter(currencies)) if len(currencies) == 1 else None
