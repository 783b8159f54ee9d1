"""Figures of runs whose figures are known."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tasks.evaluation.figures import Figures, StrategyFigures, comparison, figures, strategy_figures
from tasks.evaluation.rates import Estimate
from tasks.evaluation.report import as_text
from tests.tasks.evaluation.samples import FIRST, LATER, result

FAILED = "max_retries_exceeded"
RUNS = [
    result("a", 1),
    result("a", 2, answers=2, rejections={1: {"names": 1, "numbers": 2}}),
    result("b", 1),
    result("b", 2, answers=4, ending=FAILED, rejections={number: {"names": 1} for number in range(1, 5)}),
]


def of(runs: list[object] | None = None) -> StrategyFigures:
    return strategy_figures(RUNS, 4, {"a": ["plain"], "b": ["plain", "number"]})


def test_pass_at_k_when_answers_are_allowed_then_runs_within_them_over_all_runs() -> None:
    assert [estimate.value for estimate in of().pass_at] == [0.5, 0.75, 0.75, 0.75]


def test_tokens_per_success_when_a_run_fails_then_its_tokens_count_all_the_same() -> None:
    total = 4 * FIRST + (1 + 3) * LATER
    assert of().tokens_per_success.value == pytest.approx(total / 3)
    assert of().price_of_success.value == pytest.approx(total / 3 / FIRST)


def test_price_of_success_when_none_was_at_once_then_in_first_cycles() -> None:
    found = strategy_figures([result(answers=2)], 4, {})
    assert found.price_of_success.value == pytest.approx((FIRST + LATER) / FIRST)


def test_tokens_per_success_without_success_then_infinite() -> None:
    found = strategy_figures([result(answers=4, ending=FAILED)], 4, {})
    assert found.tokens_per_success == Estimate(None, None, None)


def test_cost_when_a_price_is_unknown_then_no_cost_is_claimed() -> None:
    assert strategy_figures([result(cost=Decimal("0.25")), result(seed=2, cost=None)], 4, {}).cost_per_success is None
    known = strategy_figures([result(cost=Decimal("0.25")), result(seed=2, cost=Decimal("0.5"))], 4, {})
    assert known.cost_per_success is not None
    assert known.cost_per_success.value == pytest.approx(0.375)


def test_prompt_growth_when_cycles_are_reached_then_the_mean_of_the_runs_that_did() -> None:
    assert of().prompt_growth == pytest.approx((1.1, 1.2, 1.3))
    assert strategy_figures([result()], 4, {}).prompt_growth == (None, None, None)


def test_validators_when_several_reject_an_answer_then_they_share_what_follows() -> None:
    names, numbers = of().validators
    assert (names.validator, names.runs, names.rejections, names.first, names.alone) == ("names", 2, 5, 2, 4)
    assert (names.corrections, names.tokens) == (3.5, 3.5 * LATER)
    assert (numbers.validator, numbers.corrections, numbers.tokens) == ("numbers", 0.5, 0.5 * LATER)


def test_attributes_when_cases_have_them_then_the_rates_of_those_cases() -> None:
    number, plain = of().attributes
    assert (number.attribute, number.cases, number.runs, number.pass_1.value) == ("number", 1, 2, 0.5)
    assert (plain.attribute, plain.cases, plain.runs, plain.pass_last.value) == ("plain", 2, 4, 0.75)


def test_comparison_when_in_pairs_then_only_common_cases_and_seeds_count() -> None:
    others = [result("a", 1, strategy="told", answers=4, ending=FAILED), result("c", 1, strategy="told")]
    found = comparison(others, RUNS, 4)
    assert found is not None
    assert (found.strategy, found.against, found.pairs, found.gained, found.lost) == ("told", "default", 1, 0, 1)
    assert found.pass_last.value == -1.0
    assert found.tokens.value is None


def test_comparison_without_common_runs_then_none() -> None:
    assert comparison([result("c", strategy="told")], RUNS, 4) is None


def test_comparison_when_one_spends_more_then_the_ratio_of_tokens_per_success() -> None:
    found = comparison([result("a", 1, strategy="told", answers=2)], RUNS, 4)
    assert found is not None
    assert found.tokens.value == pytest.approx((FIRST + LATER) / FIRST)


def everything() -> Figures:
    told = [result("a", 1, strategy="told", answers=2, rejections={1: {"names": 1}})]
    return figures("d@1", 4, [*RUNS, *told], {"a": ["plain"]})


def test_report_when_printed_then_rates_prices_culprits_and_pairs_are_in_it() -> None:
    text = as_text(everything())
    assert "pass@1" in text
    assert "0.50 (0.15–0.85)" in text
    assert "names" in text
    assert "told against default" in text
    assert "finished 3, max_retries_exceeded 1" in text
