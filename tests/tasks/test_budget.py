"""What a run may still spend: reserved before each call, settled after it, each limit with its own code."""

from __future__ import annotations

from decimal import Decimal

import pytest

from agentic import Limits
from tasks.budget import Budget, LimitReached, Spend, TimeLeft, reservation, spent_in_vain, spent_on
from tasks.llm.protocol import Answer, Message, Request, Usage

CENT = Decimal("0.01")


def request(text: str = "", *, output: int = 1000, seconds: float = 120.0) -> Request:
    messages = (Message(role="user", text=text),)
    return Request(messages=messages, max_output_tokens=output, timeout_seconds=seconds)


def priced(usage: Usage) -> Decimal | None:
    """A cent a token of output, a tenth of it for input."""
    return usage.output_tokens * CENT + usage.input_tokens * CENT / 10


def free(usage: Usage) -> Decimal | None:
    return Decimal(0)


def unknown(usage: Usage) -> Decimal | None:
    return None


def refusal(budget: Budget, asked: Request, cost_of: object = free) -> tuple[str, str]:
    with pytest.raises(LimitReached) as refused:
        budget.reserve(asked, cost_of)  # type: ignore[arg-type]  # one of the three above
    assert refused.value.explanation.endswith(".")
    return refused.value.code, refused.value.reason


def test_reservation_is_the_whole_prompt_and_all_the_output_that_is_allowed() -> None:
    reserved = reservation(request("word " * 3000, output=50), priced)
    assert reserved.input_tokens >= 5000
    assert (reserved.output_tokens, reserved.calls, reserved.is_estimated) == (50, 1, True)
    assert reserved.cost == priced(Usage(input_tokens=reserved.input_tokens, output_tokens=50))


def test_output_that_is_left_is_all_that_the_next_answer_may_have() -> None:
    budget = Budget(Limits(output_tokens=300))
    budget.add(Spend(output_tokens=100))
    sent, reserved = budget.reserve(request(output=1000), free)
    assert (sent.max_output_tokens, reserved.output_tokens) == (200, 200)


def test_no_output_left_is_tokens_exceeded() -> None:
    budget = Budget(Limits(output_tokens=300))
    budget.add(Spend(output_tokens=300))
    assert refusal(budget, request()) == ("tokens_exceeded", "output_tokens")


def test_prompt_that_does_not_fit_is_tokens_exceeded_before_it_is_sent() -> None:
    budget = Budget(Limits(input_tokens=1000))
    budget.reserve(request("a" * 300), free)
    budget.add(Spend(input_tokens=950))
    assert refusal(budget, request("a" * 300)) == ("tokens_exceeded", "input_tokens")


def test_money_that_is_left_bounds_what_the_next_answer_may_have() -> None:
    budget = Budget(Limits(cost=1.0))
    sent, reserved = budget.reserve(request(output=1000), priced)
    assert 0 < sent.max_output_tokens < 100
    assert reserved.cost is not None
    assert reserved.cost <= 1


def test_no_money_left_for_the_prompt_is_cost_exceeded() -> None:
    budget = Budget(Limits(cost=1.0))
    budget.add(Spend(cost=Decimal("0.999")))
    assert refusal(budget, request(), priced) == ("cost_exceeded", "cost")


def test_limit_of_cost_cannot_be_kept_for_a_model_whose_price_nobody_knows() -> None:
    assert refusal(Budget(Limits(cost=1.0)), request(), unknown) == ("cost_exceeded", "cost")
    Budget(Limits()).reserve(request(), unknown)


def test_time_of_a_turn_is_the_least_of_the_worker_the_limit_and_what_is_left() -> None:
    clock = iter([0.0, *[90.0] * 9]).__next__
    assert Budget(Limits(), turn_seconds=7).reserve(request(), free)[0].timeout_seconds == 7
    assert Budget(Limits(turn_seconds=5), turn_seconds=7).reserve(request(), free)[0].timeout_seconds == 5
    late = Budget(Limits(seconds=100), left=TimeLeft(seconds=100), clock=clock)
    assert late.reserve(request(), free)[0].timeout_seconds == 10


@pytest.mark.parametrize(
    ("left", "code", "reason"),
    [
        (TimeLeft(seconds=50), "time_exceeded", "seconds"),
        (TimeLeft(deadline=50), "deadline_exceeded", "deadline"),
        (TimeLeft(seconds=-1), "time_exceeded", "seconds"),
    ],
)
def test_time_that_is_over_ends_the_run_with_its_code(left: TimeLeft, code: str, reason: str) -> None:
    clock = iter([0.0, 60.0]).__next__
    assert refusal(Budget(Limits(seconds=50), left=left, clock=clock), request()) == (code, reason)


def test_tool_calls_beyond_the_limit_name_the_last() -> None:
    budget = Budget(Limits(tool_calls=2))
    budget.use_tools(["a", "b"])
    with pytest.raises(LimitReached, match=r"2 tool calls .* last: c\.") as refused:
        budget.use_tools(["c"])
    assert (refused.value.code, refused.value.reason) == ("tool_calls_exceeded", "tool_calls")


def test_answer_costs_what_the_provider_counted_and_what_may_have_been_billed_unanswered() -> None:
    reserved = reservation(request(output=50), priced)
    usage = Usage(input_tokens=10, cached_tokens=4, output_tokens=3, attempts=3, unanswered=1)
    spent, lost = spent_on(Answer(text="a", usage=usage), reserved, priced)
    assert spent == Spend(input_tokens=10, cached_tokens=4, output_tokens=3, cost=Decimal("0.04"), calls=2)
    assert lost == reserved


def test_answer_without_figures_is_estimated() -> None:
    reserved = reservation(request(output=50), free)
    spent, lost = spent_on(Answer(text="a" * 30), reserved, free)
    assert (spent.input_tokens, spent.output_tokens, spent.is_estimated) == (reserved.input_tokens, 10, True)
    assert lost == Spend()


def test_fault_that_the_provider_answered_costs_nothing_and_silence_what_was_reserved() -> None:
    reserved = reservation(request(output=50), priced)
    assert spent_in_vain(Usage(attempts=2), reserved, priced) == Spend(calls=2)
    assert spent_in_vain(Usage(attempts=1, unanswered=1), reserved, priced) == reserved


def test_cost_that_is_not_known_makes_the_sum_unknown() -> None:
    assert (Spend(cost=CENT) + Spend(cost=None)).cost is None
