"""One request to the model: reserved and journalled before it is sent, settled and journalled after."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from tasks import prices
from tasks.budget import Budget, CostOf, spent_in_vain, spent_on
from tasks.journal import Journal, TurnRecord, TurnStart
from tasks.llm.protocol import Answer, LanguageModel, ModelError, Request, Usage, slot, who_answered

GRACE_SECONDS = 5.0
"""How much longer than its own limit a model adapter may take before the conversation gives up on it."""

UNTOLD = Usage(attempts=1, unanswered=1)
"""A request of which nobody knows what became of it: it may have been billed."""


async def take_turn(
    start: TurnStart,
    request: Request,
    *,
    model: LanguageModel,
    journal: Journal,
    budget: Budget,
    keep: Callable[[Answer], Answer],
) -> TurnRecord:
    """Ask the model within the budget. `keep` makes of an answer what is kept of it.

    Raises LimitReached where there is no room for the request, or where time ran out under it; ModelError; LostClaim.
    A call that is broken off in any other way keeps its reservation in the journal.
    """
    cost_of = await _cost_of(model)
    async with slot(model):
        request, reserved = budget.reserve(request, cost_of)
        start = msgspec.structs.replace(start, reserved=reserved)
        await journal.start_turn(start)
        try:
            answer = await _in_time(model, request)
        except ModelError as error:
            lost = spent_in_vain(error.usage, reserved, cost_of)
            budget.add(lost)
            await journal.fail_turn(start.number, lost)
            budget.check_time()
            raise
    spent, lost = spent_on(answer, reserved, await _cost_of(who_answered(model, answer)))
    budget.add(spent + lost)
    answer = keep(answer)
    await journal.finish_turn(start.number, answer, spent=spent, lost=lost)
    return TurnRecord(start=start, answer=answer, spent=spent + lost)


async def _cost_of(model: LanguageModel) -> CostOf:
    """What the model's tokens cost, with the price table at hand: loading it would stop the event loop for a second."""
    name, price = model.profile.priced_as or model.name, model.profile.price
    if prices.wants_table(name, price):
        await asyncio.to_thread(prices.load_table)
    return lambda usage: prices.cost_of(name, usage, price)


async def _in_time(model: LanguageModel, request: Request) -> Answer:
    try:
        async with asyncio.timeout(request.timeout_seconds + GRACE_SECONDS):
            return await model.ask(request)
    except TimeoutError as error:
        raise ModelError(
            f"The model did not answer within {request.timeout_seconds:g} seconds.", retryable=True, usage=UNTOLD
        ) from error
