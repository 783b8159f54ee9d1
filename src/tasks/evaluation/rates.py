"""Rates, ratios and their 95 % intervals. Pure.

Runs of one case resemble each other, so intervals come from resampling cases, each with all of its runs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import msgspec

Z = 1.959964
DRAWS = 2000
SEED = 20260
"""Of the resampling: the same runs give the same intervals."""

Sums = Sequence[float]
"""What is summed over the runs of a case, such as (successes, runs)."""


class Estimate(msgspec.Struct, frozen=True):
    """A figure and its 95 % interval. None is infinite or undefined: tokens per success without any success."""

    value: float | None
    low: float | None
    high: float | None


def wilson(successes: float, runs: float) -> tuple[float, float]:
    """Wilson's interval of a rate, as if every run were independent. (0, 1) without runs."""
    if runs <= 0:
        return 0.0, 1.0
    rate, share = successes / runs, Z * Z / runs
    middle = (rate + share / 2) / (1 + share)
    half = Z / (1 + share) * math.sqrt(rate * (1 - rate) / runs + share / (4 * runs))
    return max(0.0, middle - half), min(1.0, middle + half)


def rate(cases: Sequence[Sums]) -> Estimate:
    """The rate of cases' (successes, runs).

    Where all cases agree, resampling sees no variance at all, so the interval is never narrower than Wilson's.
    """
    sampled = resampled(cases, lambda sums: ratio(sums[0], sums[1]))
    low, high = wilson(sum(case[0] for case in cases), sum(case[1] for case in cases))
    return Estimate(sampled.value, _outer(min, sampled.low, low), _outer(max, sampled.high, high))


def resampled(
    cases: Sequence[Sums], statistic: Callable[[Sums], float], *, draws: int = DRAWS, seed: int = SEED
) -> Estimate:
    """A statistic of the summed sums of all cases, with the percentile interval over cases drawn with replacement."""
    if not cases:
        return Estimate(None, None, None)
    value = statistic(_total(cases))
    if all(tuple(case) == tuple(cases[0]) for case in cases):
        return Estimate(_finite(value), _finite(value), _finite(value))
    source = random.Random(seed)  # noqa: S311 - a sample, no secret
    drawn = sorted(statistic(_total(source.choices(cases, k=len(cases)))) for _ in range(draws))
    return Estimate(_finite(value), _finite(percentile(drawn, 0.025)), _finite(percentile(drawn, 0.975)))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share of ordered values lies, the nearest of them."""
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def ratio(part: float, whole: float) -> float:
    """part / whole; infinite where there is no whole."""
    return part / whole if whole else math.inf


def _total(cases: Sequence[Sums]) -> list[float]:
    return [sum(column) for column in zip(*cases, strict=True)]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _outer(pick: Callable[[float, float], float], one: float | None, other: float) -> float:
    return other if one is None else pick(one, other)
