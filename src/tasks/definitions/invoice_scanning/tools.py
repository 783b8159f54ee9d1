"""The tool that adds an invoice's goods to the stock."""

from __future__ import annotations

from service.definitions.context import ToolContext
from service.definitions.tools import ToolFailed, tool
from tasks.definitions.invoice_scanning.models import Invoice, ReceivedInvoice, new_receipt, received_invoice
from tasks.definitions.invoice_scanning.rules import RULES, Read, skus
from tasks.definitions.trade_papers import checking
from tasks.definitions.trade_papers.evidence import Evidence


@tool
async def receive_stock(context: ToolContext, invoice: Invoice) -> ReceivedInvoice:
    """Add the goods of the invoice to the stock, all lines at once. The invoice is checked first; what is wrong with
    it is told and nothing is written.

    There is one receipt per job: once it is written, a further call returns that receipt and changes nothing. Answer
    with what this returns.
    """
    shop = context.data_set.shop
    own = await shop.own_receipt()
    if own is not None:
        return received_invoice(own)
    known = {product.sku for product in await shop.products(skus(invoice))}
    read = Read(invoice, known, Evidence.of(context.files, context.shown))
    if wrong := checking.told(issue for rule in RULES for issue in rule(read)):
        raise ToolFailed(f"nothing was written: {wrong}")
    if not invoice.lines:
        raise ToolFailed("nothing was written: no line is of a product in the catalogue")
    return received_invoice(await shop.receive_stock(new_receipt(invoice), key=context.idempotency_key))
