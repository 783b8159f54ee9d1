"""The tool that places the order."""

from __future__ import annotations

from service.definitions.context import ToolContext
from service.definitions.tools import ToolFailed, tool
from tasks.definitions.order_intake.models import PlacedOrder, PurchaseOrder, new_order, placed_order
from tasks.definitions.order_intake.rules import RULES, Read
from tasks.definitions.trade_papers import checking
from tasks.definitions.trade_papers.evidence import Evidence


@tool
async def place_order(context: ToolContext, order: PurchaseOrder) -> PlacedOrder:
    """Place the order, all lines at once. It is checked first; what is wrong with it is told and nothing is placed.

    There is one order per job: once it is placed, a further call returns that order and changes nothing. Answer with
    what this returns.
    """
    shop = context.data_set.shop
    own = await shop.own_order()
    if own is not None:
        return placed_order(own)
    products = {product.sku: product for product in await shop.products([line.sku for line in order.lines])}
    read = Read(order, products, Evidence.of(context.files, context.shown))
    if wrong := checking.told(issue for rule in RULES for issue in rule(read)):
        raise ToolFailed(f"nothing was placed: {wrong}")
    return placed_order(await shop.place_order(new_order(order, products), key=context.idempotency_key))
