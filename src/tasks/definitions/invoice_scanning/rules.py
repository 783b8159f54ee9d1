"""Rules that an invoice is held to, before its goods are received and in the answer. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from decimal import Decimal

from service.definitions.shop import ReceiptLine
from service.definitions.verdicts import Issue
from tasks.definitions.invoice_scanning.models import Invoice, UnmatchedLine
from tasks.definitions.trade_papers import checking
from tasks.definitions.trade_papers.evidence import Evidence


@dataclass(frozen=True)
class Read:
    """What was read, beside what the catalogue and the files know. `known` are those of its SKUs that there are."""

    invoice: Invoice
    known: Collection[str]
    evidence: Evidence


def skus(invoice: Invoice) -> list[str]:
    """Everything on it that may be a SKU of the catalogue."""
    printed = [sku for line in invoice.unmatched for sku in (line.sku, *line.description.split()) if sku]
    return [*(line.sku for line in invoice.lines), *printed]


def products_are_known(read: Read) -> Iterator[Issue]:
    """Every line names a product of the catalogue, and no line that does is called unmatched."""
    for number, line in enumerate(read.invoice.lines):
        if line.sku not in read.known:
            hint = "find_products may know it by its name; if not, the line belongs under unmatched"
            yield Issue(f"/lines/{number}/sku", f"the catalogue has no {line.sku!r}", hint=hint)
    for number, unmatched in enumerate(read.invoice.unmatched):
        printed = next((sku for sku in (unmatched.sku, *unmatched.description.split()) if sku in read.known), None)
        if printed is not None:
            yield Issue(f"/unmatched/{number}", f"the catalogue has {printed!r}", hint="it belongs under lines")


def amounts_add_up(read: Read) -> Iterator[Issue]:
    """Quantity times price is the amount of each line, within a cent; goods have no negative price."""
    for path, line in _all_lines(read.invoice):
        if isinstance(line, ReceiptLine) and line.unit_price.startswith("-"):
            yield Issue(f"{path}/unit_price", "goods have no negative price; a discount belongs under unmatched")
        if line.quantity is None or line.unit_price is None:
            continue
        if not checking.is_product(line.quantity, line.unit_price, line.amount):
            yield Issue(f"{path}/amount", f"{line.quantity} × {line.unit_price} is not {line.amount}")


def totals_add_up(read: Read) -> Iterator[Issue]:
    """The lines make the net sum, and that and the tax the total, within a cent."""
    invoice = read.invoice
    lines = sum((Decimal(line.amount) for _, line in _all_lines(invoice)), Decimal(0))
    if abs(lines - Decimal(invoice.net)) > checking.CENT:
        hint = "is a line missing, or freight or a discount under unmatched?"
        yield Issue("/net", f"the lines add up to {lines}, not to {invoice.net}", hint=hint)
    gross = Decimal(invoice.net) + Decimal(invoice.tax)
    if abs(gross - Decimal(invoice.total)) > checking.CENT:
        yield Issue("/total", f"net and tax are {gross}, not {invoice.total}")


def numbers_are_in_files(read: Read) -> Iterator[Issue]:
    """Every quantity, price, amount and sum stands in the files. Net may be left out there: it is the lines' sum."""
    for path, line in _all_lines(read.invoice):
        yield from checking.numbers(
            read.evidence,
            [
                (f"{path}/quantity", line.quantity),
                (f"{path}/unit_price", line.unit_price),
                (f"{path}/amount", line.amount),
            ],
        )
    yield from checking.numbers(read.evidence, [("/tax", read.invoice.tax), ("/total", read.invoice.total)])


def names_are_in_files(read: Read) -> Iterator[Issue]:
    """The supplier, the number and the date stand in the files."""
    invoice = read.invoice
    yield from checking.words(read.evidence, [("/supplier", invoice.supplier), ("/number", invoice.number)])
    if not read.evidence.has_date(invoice.issued_on):
        yield Issue("/issued_on", f"the date {invoice.issued_on} is in no file", hint="copy what the paper says")


RULES = (products_are_known, amounts_add_up, totals_add_up, numbers_are_in_files, names_are_in_files)


def _all_lines(invoice: Invoice) -> Iterator[tuple[str, ReceiptLine | UnmatchedLine]]:
    for number, line in enumerate(invoice.lines):
        yield f"/lines/{number}", line
    for number, unmatched in enumerate(invoice.unmatched):
        yield f"/unmatched/{number}", unmatched
