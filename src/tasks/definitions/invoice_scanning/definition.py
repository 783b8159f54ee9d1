"""The invoice-scanning definition: an invoice is read, held to catalogue and paper, and its goods received once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from service.definitions.context import RunContext
from service.definitions.definition import Definition, Proposal
from service.definitions.schema import jsonable
from service.definitions.verdicts import Accept, Fix, Issue, Reject, Retry, Verdict
from tasks.definitions.invoice_scanning import rules
from tasks.definitions.invoice_scanning.models import (
    InvoiceScanningInput,
    ReceivedInvoice,
    new_receipt,
    received_invoice,
)
from tasks.definitions.invoice_scanning.tools import receive_stock
from tasks.definitions.trade_papers import checking
from tasks.definitions.trade_papers.evidence import Evidence
from tasks.definitions.trade_papers.products import find_products
from tasks.definitions.trade_papers.prompts import papers

Scanned = Proposal[InvoiceScanningInput, ReceivedInvoice]

invoice_scanning = Definition(
    key="invoice-scanning",
    name="Invoice Scanning",
    agent_type="invoice-scanning",
    description="Reads a supplier's invoice from the attached files and adds its goods to the stock, once.",
    input=InvoiceScanningInput,
    output=ReceivedInvoice,
    tools=[find_products, receive_stock],
    failures={
        "not_an_invoice": "The attached files hold no invoice that can be read.",
        "inconsistent_invoice": "The numbers on the invoice do not add up.",
        "no_known_product": "No line of the invoice is of a product in the catalogue.",
        "duplicate_invoice": "The same invoice was received by another execution.",
    },
    stop_codes=("not_an_invoice", "inconsistent_invoice", "no_known_product", "duplicate_invoice"),
    max_tool_calls=200,
)

WORK = """\
How to go about it:
1. Find the product of each line in the catalogue with find_products. The paper may use numbers of its own; the \
receipt needs the catalogue's SKU. Lines that are of no product of the catalogue, such as freight, discounts and \
unknown goods, go under unmatched.
2. Receive the goods with one call of receive_stock: everything as the paper has it. Decimal numbers are strings with \
a point, such as "1234.50". `net` is the sum of all lines without tax, `tax` all taxes ("0" without any), `total` both.
3. Answer with what receive_stock returned, unchanged.

It is checked that every number, name and date stands in the files, that quantity times price is the amount of each \
line, that the lines add up to net, and net and tax to the total. If the paper itself does not add up, if no line is \
of a product in the catalogue, or if the files hold no invoice, stop. Of several invoices only the first is read.
"""


@invoice_scanning.instructions
def ask(given: InvoiceScanningInput, context: RunContext) -> str:
    """The work, and the papers as data."""
    wishes = f"Further wishes, as far as the rules allow: {given.additional_instructions}\n\n"
    return (
        "Read the supplier's invoice in the attached files and add its goods to the stock.\n\n"
        f"{WORK}\n{wishes if given.additional_instructions else ''}{papers(context.files)}"
    )


@invoice_scanning.validator
def something_can_be_read(proposal: Scanned) -> Verdict:
    """Without any file that can be read there is no invoice, whatever the answer says."""
    if Evidence.of(proposal.files, proposal.shown).is_empty:
        return Reject(f"No attached file could be read{checking.unread(proposal.files)}.", "not_an_invoice")
    return Accept()


@invoice_scanning.validator
async def invoice_is_new(proposal: Scanned) -> Verdict:
    """No other execution has received this invoice."""
    shop = proposal.data_set.shop
    known = None if await shop.own_receipt() else await shop.receipt_like(new_receipt(proposal.output))
    if known is not None:
        told = f"Invoice {known.number!r} of {known.supplier!r} was received already, as receipt {known.id}."
        return Reject(told, "duplicate_invoice")
    return Accept()


def _rule(rule: Callable[[rules.Read], Iterator[Issue]]) -> None:
    """Register a rule as a validator. It speaks until the goods are received: what is received was held to it."""

    async def judge(proposal: Scanned) -> Verdict:
        shop = proposal.data_set.shop
        if await shop.own_receipt():
            return Accept()
        known = {product.sku for product in await shop.products(rules.skus(proposal.output))}
        evidence = Evidence.of(proposal.files, proposal.shown)
        return checking.verdict(rule(rules.Read(proposal.output, known, evidence)))

    judge.__name__ = rule.__name__
    invoice_scanning.validator(judge)


_rule(rules.products_are_known)
_rule(rules.amounts_add_up)
_rule(rules.totals_add_up)
_rule(rules.numbers_are_in_files)
_rule(rules.names_are_in_files)


@invoice_scanning.validator
async def some_line_is_known(proposal: Scanned) -> Verdict:
    """There is something to receive."""
    if proposal.output.lines or await proposal.data_set.shop.own_receipt():
        return Accept()
    return Reject("No line of the invoice is of a product in the catalogue; nothing was received.", "no_known_product")


@invoice_scanning.validator
async def stock_was_received(proposal: Scanned) -> Verdict:
    """The shop has the receipt of this execution, whatever the answer claims."""
    if await proposal.data_set.shop.own_receipt() is None:
        return Retry("no goods were received: call receive_stock, then answer with what it returns")
    return Accept()


@invoice_scanning.validator
async def answer_is_what_was_received(proposal: Scanned) -> Verdict:
    """The answer is what the shop has on record, to the line; it is put right without asking again."""
    own = await proposal.data_set.shop.own_receipt()
    if own is None:
        return Accept()
    recorded, said = jsonable(received_invoice(own)), jsonable(proposal.output)
    differing = [field for field in recorded if recorded[field] != said[field]]
    return checking.verdict(
        Issue(f"/{field}", "is not what was received", fix=Fix(recorded[field])) for field in differing
    )
