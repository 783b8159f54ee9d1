"""What is read from a supplier's invoice, and the receipt that comes of it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.definitions.definition import Input
from service.definitions.schema import jsonable
from service.definitions.shop import (
    MOST_LINES,
    Currency,
    Label,
    Money,
    NewReceipt,
    Quantity,
    Receipt,
    ReceiptLine,
)


class InvoiceScanningInput(Input):
    """The invoice is in the files."""

    additional_instructions: Annotated[str, Meta(max_length=4000)] | None = None


class UnmatchedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line that is of no product of the catalogue: freight, a discount, or goods that are not known.

    `sku` is the number that the paper gives it, "" for none. Nothing of it is added to the stock.
    """

    sku: Annotated[str, Meta(max_length=200)] = ""
    description: Label
    quantity: Quantity | None = None
    unit_price: Money | None = None
    amount: Money


class Invoice(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An invoice as it stands on paper. `net` is the sum of all lines, `total` that and `tax`."""

    supplier: Label
    number: Label
    issued_on: date
    currency: Currency
    lines: Annotated[list[ReceiptLine], Meta(max_length=MOST_LINES)]
    unmatched: Annotated[list[UnmatchedLine], Meta(max_length=MOST_LINES)] = msgspec.field(default_factory=list)
    net: Money
    tax: Money = "0"
    total: Money


class ReceivedInvoice(Invoice, kw_only=True, forbid_unknown_fields=True):
    """An invoice whose goods were added to the stock. `receipt` is the shop's id of that."""

    receipt: Label


def new_receipt(invoice: Invoice) -> NewReceipt:
    """What is to be recorded of it."""
    details: dict[str, Any] = {"net": invoice.net, "tax": invoice.tax, "unmatched": jsonable(invoice.unmatched)}
    return NewReceipt(
        supplier=invoice.supplier,
        number=invoice.number,
        issued_on=invoice.issued_on,
        currency=invoice.currency,
        total=invoice.total,
        lines=invoice.lines,
        details=details,
    )


def received_invoice(receipt: Receipt) -> ReceivedInvoice:
    """The invoice on record as the result says it."""
    details = receipt.details
    return ReceivedInvoice(
        receipt=receipt.id,
        supplier=receipt.supplier,
        number=receipt.number,
        issued_on=receipt.issued_on,
        currency=receipt.currency,
        lines=receipt.lines,
        unmatched=msgspec.convert(details.get("unmatched", []), list[UnmatchedLine]),
        net=details.get("net", receipt.total),
        tax=details.get("tax", "0"),
        total=receipt.total,
    )
