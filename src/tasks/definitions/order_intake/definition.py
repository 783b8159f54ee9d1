"""The order-intake definition: a purchase order is read, held to catalogue and paper, and placed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from service.definitions.context import RunContext
from service.definitions.definition import Definition, Proposal
from service.definitions.schema import jsonable
from service.definitions.verdicts import Accept, Fix, Issue, Reject, Retry, Verdict
from tasks.definitions.order_intake import rules
from tasks.definitions.order_intake.models import (
    OrderIntakeInput,
    PlacedOrder,
    PurchaseLine,
    PurchaseOrder,
    asked_again,
    placed_order,
)
from tasks.definitions.order_intake.tools import place_order
from tasks.definitions.trade_papers import checking
from tasks.definitions.trade_papers.evidence import Evidence
from tasks.definitions.trade_papers.products import find_products
from tasks.definitions.trade_papers.prompts import papers

Intake = Proposal[OrderIntakeInput, PlacedOrder]

order_intake = Definition(
    key="order-intake",
    name="Order Intake",
    agent_type="order-intake",
    description="Reads a purchase order from the attached files and places it, once.",
    input=OrderIntakeInput,
    output=PlacedOrder,
    tools=[find_products, place_order],
    failures={
        "not_an_order": "The attached files hold no purchase order that can be read.",
        "unknown_product": "The purchase order names a product that the catalogue does not have.",
        "duplicate_order": "The same purchase order was placed by another execution.",
    },
    stop_codes=("not_an_order", "unknown_product", "duplicate_order"),
    max_tool_calls=200,
)

WORK = """\
How to go about it:
1. Find the product of each line in the catalogue with find_products. The paper may use numbers of its own; the order \
needs the catalogue's SKU.
2. Place the order with one call of place_order: buyer, reference, currency, requested date, and each line with \
quantity, unit price and amount as the paper has them. What the paper does not say is null, never guessed. Decimal \
numbers are strings with a point, such as "1234.50".
3. Answer with what place_order returned, unchanged.

It is checked that every number, name and date stands in the files and that the catalogue has every product. If a \
product is not in the catalogue, or the files hold no purchase order, stop: a part of an order is not placed.
"""


@order_intake.instructions
def ask(given: OrderIntakeInput, context: RunContext) -> str:
    """The work, and the papers as data."""
    wishes = f"Further wishes, as far as the rules allow: {given.additional_instructions}\n\n"
    return (
        "Read the purchase order in the attached files and place the order.\n\n"
        f"{WORK}\n{wishes if given.additional_instructions else ''}{papers(context.files)}"
    )


@order_intake.validator
def something_can_be_read(proposal: Intake) -> Verdict:
    """Without any file that can be read there is no order, whatever the answer says."""
    if Evidence.of(proposal.files, proposal.shown).is_empty:
        return Reject(f"No attached file could be read{checking.unread(proposal.files)}.", "not_an_order")
    return Accept()


@order_intake.validator
async def order_is_new(proposal: Intake) -> Verdict:
    """No other execution has placed this purchase order."""
    shop = proposal.data_set.shop
    known = None if await shop.own_order() else await shop.order_like(asked_again(proposal.output))
    if known is not None:
        told = f"Order {known.reference!r} of {known.buyer!r} was placed already, under number {known.number}."
        return Reject(told, "duplicate_order")
    return Accept()


@order_intake.validator
async def products_exist(proposal: Intake) -> Verdict:
    """Every line names a product of the catalogue; one that stays unknown after a correction is not there."""
    if await proposal.data_set.shop.own_order():
        return Accept()
    issues = list(rules.products_exist(await _read(proposal)))
    if issues and proposal.cycle > 1:
        told = "; ".join(dict.fromkeys(issue.message for issue in issues))
        return Reject(f"The order cannot be placed: {told}.", "unknown_product")
    return checking.verdict(issues)


def _rule(rule: Callable[[rules.Read], Iterator[Issue]]) -> None:
    """Register a rule as a validator. It speaks until the order is placed: what is placed was held to it."""

    async def judge(proposal: Intake) -> Verdict:
        is_placed = await proposal.data_set.shop.own_order()
        return Accept() if is_placed else checking.verdict(rule(await _read(proposal)))

    judge.__name__ = rule.__name__
    order_intake.validator(judge)


_rule(rules.numbers_are_in_files)
_rule(rules.names_are_in_files)
_rule(rules.amounts_add_up)


@order_intake.validator
async def order_was_placed(proposal: Intake) -> Verdict:
    """The shop has the order of this execution, whatever the answer claims."""
    if await proposal.data_set.shop.own_order() is None:
        return Retry("no order was placed: call place_order, then answer with what it returns")
    return Accept()


@order_intake.validator
async def answer_is_the_placed_order(proposal: Intake) -> Verdict:
    """The answer is what the shop has on record; it is put right without asking again."""
    own = await proposal.data_set.shop.own_order()
    if own is None:
        return Accept()
    recorded, said = jsonable(placed_order(own)), jsonable(proposal.output)
    differing = [field for field in recorded if recorded[field] != said[field]]
    return checking.verdict(
        Issue(f"/{field}", "is not what was placed", fix=Fix(recorded[field])) for field in differing
    )


async def _read(proposal: Intake) -> rules.Read:
    answer = proposal.output
    order = PurchaseOrder(
        buyer=answer.buyer,
        reference=answer.reference,
        currency=answer.currency,
        requested_on=answer.requested_on,
        lines=[PurchaseLine(**msgspec.structs.asdict(line)) for line in answer.lines],
    )
    found = await proposal.data_set.shop.products([line.sku for line in answer.lines])
    evidence = Evidence.of(proposal.files, proposal.shown)
    return rules.Read(order, {product.sku: product for product in found}, evidence)
