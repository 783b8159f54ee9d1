"""Rules that a purchase order is held to, before it is placed and in the answer. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.definitions.shop import ShopProduct
from service.definitions.verdicts import Issue
from tasks.definitions.order_intake.models import PurchaseLine, PurchaseOrder
from tasks.definitions.trade_papers import checking
from tasks.definitions.trade_papers.evidence import Evidence


@dataclass(frozen=True)
class Read:
    """What was read, beside what the catalogue and the files know. `products` are those that its lines name."""

    order: PurchaseOrder
    products: Mapping[str, ShopProduct]
    evidence: Evidence


def products_exist(read: Read) -> Iterator[Issue]:
    """Every line names a product of the catalogue."""
    for number, line in enumerate(read.order.lines):
        if line.sku not in read.products:
            hint = "find_products may know it by its name"
            yield Issue(f"/lines/{number}/sku", f"the catalogue has no {line.sku!r}", hint=hint)


def numbers_are_in_files(read: Read) -> Iterator[Issue]:
    """Every quantity and every price stands in the files."""
    for number, line in enumerate(read.order.lines):
        at = f"/lines/{number}"
        yield from checking.numbers(
            read.evidence,
            [(f"{at}/quantity", line.quantity), (f"{at}/unit_price", line.unit_price), (f"{at}/amount", line.amount)],
        )


def names_are_in_files(read: Read) -> Iterator[Issue]:
    """The buyer, the reference and the requested date stand in the files."""
    order = read.order
    yield from checking.words(read.evidence, [("/buyer", order.buyer), ("/reference", order.reference)])
    if order.requested_on is not None and not read.evidence.has_date(order.requested_on):
        yield Issue("/requested_on", f"the date {order.requested_on} is in no file", hint="null if none is named")


def amounts_add_up(read: Read) -> Iterator[Issue]:
    """Quantity times price is the amount, where the paper has all three; no price is negative."""
    for number, line in enumerate(read.order.lines):
        if line.unit_price is not None and line.unit_price.startswith("-"):
            yield Issue(f"/lines/{number}/unit_price", "a price is not negative")
        if not _adds_up(line):
            yield Issue(f"/lines/{number}/amount", f"{line.quantity} × {line.unit_price} is not {line.amount}")


RULES = (products_exist, numbers_are_in_files, names_are_in_files, amounts_add_up)


def _adds_up(line: PurchaseLine) -> bool:
    if line.unit_price is None or line.amount is None:
        return True
    return checking.is_product(line.quantity, line.unit_price, line.amount)
