"""Rates and intervals against values worked out by hand."""

from __future__ import annotations

import math

import pytest

from tasks.evaluation.rates import Estimate, percentile, rate, ratio, resampled, wilson


@pytest.mark.parametrize(
    ("successes", "runs", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (24, 24, 0.8620, 1.0), (73, 73, 0.95, 1.0), (7, 10, 0.3968, 0.8922)],
)
def test_wilson_when_counted_then_the_published_interval(successes: int, runs: int, low: float, high: float) -> None:
    assert wilson(successes, runs) == pytest.approx((low, high), abs=2e-4)


def test_wilson_without_runs_then_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_percentile_when_ordered_then_the_nearest_value_below() -> None:
    values = list(range(1, 101))
    assert (percentile(values, 0.025), percentile(values, 0.5), percentile(values, 0.975)) == (3, 50, 98)
    assert percentile([7], 0.975) == 7


def test_resampled_of_two_cases_then_the_interval_spans_each_of_them_alone() -> None:
    # A quarter of the draws holds the first case twice, a quarter the other twice: 2.5 % and 97.5 % lie in these.
    estimate = resampled([(0, 10), (10, 10)], lambda sums: sums[0] / sums[1])
    assert estimate == Estimate(0.5, 0.0, 1.0)


def test_resampled_of_equal_cases_then_no_width() -> None:
    assert resampled([(3, 10)] * 8, lambda sums: sums[0] / sums[1]) == Estimate(0.3, 0.3, 0.3)


def test_resampled_when_cases_differ_then_wider_than_runs_alone_would_be() -> None:
    cases = [(10, 10)] * 5 + [(0, 10)] * 5
    estimate = resampled(cases, lambda sums: sums[0] / sums[1])
    low, high = wilson(50, 100)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.high - estimate.low > 2 * (high - low)


def test_resampled_twice_then_the_same() -> None:
    cases = [(number % 4, 4) for number in range(9)]
    assert resampled(cases, sum) == resampled(cases, sum)


def test_resampled_without_cases_then_undefined() -> None:
    assert resampled([], sum) == Estimate(None, None, None)


def test_rate_when_every_run_succeeds_then_the_interval_is_wilsons() -> None:
    estimate = rate([(10, 10)] * 20)
    assert estimate.value == estimate.high == 1.0
    assert estimate.low == pytest.approx(wilson(200, 200)[0])


def test_ratio_without_a_whole_then_infinite_and_shown_as_nothing() -> None:
    assert ratio(1, 0) == math.inf
    assert resampled([(5, 0)], lambda sums: ratio(sums[0], sums[1])) == Estimate(None, None, None)
