"""What can be wrong with a strategy and a validator's cost, found before any run."""

from __future__ import annotations

from typing import Any

import pytest

from agentic import Accept, Strategy
from service.definitions.mistakes import mistakes
from tests.tasks.correction_samples import cards


@pytest.mark.parametrize("strategy", [Strategy(), Strategy(escalate_to="big"), Strategy(ladder=("full", "hint"))])
def test_mistakes_when_a_strategy_can_be_followed_then_there_are_none(strategy: Strategy) -> None:
    assert mistakes(cards(strategy=strategy)) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ladder": ()}, "strategy has no rungs"),
        ({"ladder": ("patch", "pray")}, "strategy has no rung 'pray'; there are: patch, hint, full, escalate"),
        ({"ladder": ("hint", "hint")}, "strategy names the rung 'hint' 2 times"),
        ({"ladder": ("escalate",)}, "strategy only escalates, but names no model"),
        ({"ladder": ("hint",), "escalate_to": "big"}, "its ladder has no rung 'escalate'"),
        ({"escalate_to": " "}, "or that names no model"),
    ],
)
def test_mistakes_when_a_strategy_cannot_be_followed_then_it_is_said(given: dict[str, Any], said: str) -> None:
    assert [said in mistake for mistake in mistakes(cards(strategy=Strategy(**given)))] == [True]


def test_mistakes_when_a_validators_cost_is_unknown_then_it_is_said() -> None:
    definition = cards()
    definition.validator(cost="dear")(lambda proposal: Accept())  # type: ignore[call-overload]
    assert ["has the cost 'dear'" in mistake for mistake in mistakes(definition)] == [True]
