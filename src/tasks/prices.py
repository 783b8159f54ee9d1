"""What tokens cost, in US dollars: the operator's own price of a profile, else a table that others maintain.

The table is the package genai-prices; it is as new as the package, and nothing is fetched. It takes a second to load.
"""

from __future__ import annotations

import sys
from decimal import Decimal

from service.profiles import Price
from tasks.llm.protocol import Usage

FREE = frozenset({"local", "scripted", "echo"})
"""Kinds of models that nobody bills."""

MILLION = 1_000_000
DIGITS = Decimal("0.000000001")


def cost_of(name: str, usage: Usage, price: Price | None = None) -> Decimal | None:
    """The cost of one model's tokens; None where neither the operator nor the table knows. `name` is KIND:MODEL."""
    kind, _, model = name.partition(":")
    if price is not None:
        return _by_own_price(usage, price)
    if kind in FREE:
        return Decimal(0)
    return _by_table(kind, model, usage) if model else None


def wants_table(name: str, price: Price | None) -> bool:
    """Whether the cost is to be found in a table that is not loaded yet."""
    return price is None and name.partition(":")[0] not in FREE and "genai_prices.data" not in sys.modules


def load_table() -> None:
    """Load the table; it stays."""
    _by_table("openai", "gpt-4o", Usage(input_tokens=1))


def _by_own_price(usage: Usage, price: Price) -> Decimal:
    plain = usage.input_tokens - usage.cached_tokens - usage.written_tokens
    parts = (
        (max(0, plain), price.input),
        (usage.cached_tokens, price.input if price.cached is None else price.cached),
        (usage.written_tokens, price.input if price.written is None else price.written),
        (usage.output_tokens, price.output),
    )
    total = sum((tokens * Decimal(str(each)) for tokens, each in parts), Decimal(0))
    return (total / MILLION).quantize(DIGITS)


def _by_table(provider: str, model: str, usage: Usage) -> Decimal | None:
    import genai_prices

    counted = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=min(usage.cached_tokens, usage.input_tokens),
        cache_write_tokens=max(0, min(usage.written_tokens, usage.input_tokens - usage.cached_tokens)),
        output_tokens=usage.output_tokens,
    )
    try:
        found = genai_prices.calc_price(counted, model, provider_id=provider)
    except (LookupError, ValueError):
        return None
    return found.total_price.quantize(DIGITS)
