"""A run that dies anywhere on its ladder goes on on the same rung, asks nothing twice and puts fixes in place again."""

from __future__ import annotations

from typing import Any

import pytest

from agentic import Finished, ToolCall
from tasks.llm.protocol import Answer
from tasks.testing import MemoryJournal
from tests.tasks.correction_samples import ALL_WRONG, ESCALATING, RIGHT, WRONG_TITLE, Cards, Panel, cards, run_panel
from tests.tasks.loop_samples import Died, dying, measure

CUT = Answer(text='{"title":', finish_reason="length")
REFUSED = Answer(text="I may not.", finish_reason="refusal")
CALL = ToolCall(name="measure", arguments={"word": "ape"})

RUNS: dict[str, list[Any]] = {
    "all rungs": [WRONG_TITLE, {"title": "x"}, CALL, WRONG_TITLE, {**RIGHT, "price": 1.0}],
    "fixes and a cut": [CUT, ALL_WRONG, {"title": "Steel bottle", "tags": ["steel"]}],
    "refused": [REFUSED, WRONG_TITLE, {"title": "x"}, RIGHT],
    "unreadable": ["prose", ALL_WRONG, "prose", RIGHT],
}


def card_definition() -> Cards:
    return cards(fixes=True, narrows=True, strategy=ESCALATING, tools=[measure])


def boundaries() -> list[tuple[str, int]]:
    """Every write of every run."""
    made = []
    for name, steps in RUNS.items():
        journal = MemoryJournal()
        run_panel(card_definition(), Panel(steps), journal)
        made += [(name, at) for at in range(len(journal.writes))]
    return made


@pytest.mark.parametrize("name", RUNS)
def test_undisturbed_run_then_finishes(name: str) -> None:
    assert isinstance(run_panel(card_definition(), Panel(RUNS[name])), Finished)


@pytest.mark.parametrize(("name", "at"), boundaries())
def test_resume_after_dying_before_any_write_then_takes_the_same_rungs_and_asks_no_finished_turn_again(
    name: str, at: int
) -> None:
    undisturbed, once = MemoryJournal(), Panel(RUNS[name])
    expected = run_panel(card_definition(), once, undisturbed)
    journal, first, second = MemoryJournal(before_write=dying(at)), Panel(RUNS[name]), Panel(RUNS[name])
    with pytest.raises(Died):
        run_panel(card_definition(), first, journal)
    journal.before_write = None
    assert run_panel(card_definition(), second, journal) == expected
    assert [turn.start for turn in journal.turns.values()] == [turn.start for turn in undisturbed.turns.values()]
    assert [turn.answer for turn in journal.turns.values()] == [turn.answer for turn in undisturbed.turns.values()]
    assert journal.verdicts == undisturbed.verdicts
    in_flight = 1 if undisturbed.writes[at].startswith("finish_turn") else 0
    assert first.asked + second.asked == once.asked + in_flight
