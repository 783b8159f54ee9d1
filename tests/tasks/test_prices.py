"""What tokens cost: by the operator's price, by the table, nothing, or nobody knows."""

from __future__ import annotations

from decimal import Decimal

import pytest

from service.profiles import Price
from tasks.llm.protocol import Usage
from tasks.prices import cost_of

MILLION = Usage(input_tokens=1_000_000, cached_tokens=400_000, written_tokens=100_000, output_tokens=1_000_000)


def test_price_of_the_operator_goes_before_the_table() -> None:
    price = Price(input=2, output=8, cached=0.5, written=4)
    assert cost_of("openai:gpt-4o", MILLION, price) == Decimal("9.6")


def test_price_without_cached_tokens_takes_them_as_input() -> None:
    assert cost_of("mine", MILLION, Price(input=2, output=8)) == Decimal(10)


@pytest.mark.parametrize("name", ["openai:gpt-4o", "anthropic:claude-sonnet-4-5"])
def test_table_knows_common_models_and_that_cached_tokens_are_cheaper(name: str) -> None:
    plain = cost_of(name, Usage(input_tokens=1000, output_tokens=10))
    cached = cost_of(name, Usage(input_tokens=1000, cached_tokens=900, output_tokens=10))
    assert plain is not None
    assert cached is not None
    assert 0 < cached < plain


@pytest.mark.parametrize("name", ["local:smollm2", "scripted:/a", "echo"])
def test_models_that_nobody_bills_cost_nothing(name: str) -> None:
    assert cost_of(name, MILLION) == 0


@pytest.mark.parametrize("name", ["openai:no-such-model", "a-profile", "nobody:x"])
def test_price_that_is_not_known_is_none(name: str) -> None:
    assert cost_of(name, Usage(input_tokens=1)) is None


def test_more_cached_tokens_than_input_are_taken_as_all_of_it() -> None:
    odd = Usage(input_tokens=10, cached_tokens=20)
    assert cost_of("openai:gpt-4o", odd) == cost_of("openai:gpt-4o", Usage(input_tokens=10, cached_tokens=10))
