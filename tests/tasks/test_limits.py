"""Runs that end by a limit, and what they cost: what the provider billed, failed and repeated requests included."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agentic import Failed, Finished, Limits, ToolCall
from service.profiles import Price
from tasks.budget import Budget, TimeLeft
from tasks.llm.protocol import Answer, ModelError, Profile, Request, Usage
from tasks.llm.scripted import ScriptedModel, Step
from tasks.testing import MemoryJournal
from tests.tasks import loop_samples
from tests.tasks.loop_samples import Telling, counting, run, spent

APE = {"words": ["ape"]}
MEASURE = ToolCall(name="measure", arguments={"word": "ape"})
WRONG, RIGHT = {"ape": 0}, {"ape": 3}
PRICED = Profile(price=Price(input=1000, output=1000))
"""A tenth of a cent a token."""


def ended(steps: list[Any], limits: Limits, profile: Profile | None = None) -> tuple[Failed, Telling, MemoryJournal]:
    journal, model = MemoryJournal(), Telling(steps, profile)
    outcome = run(counting(limits=limits), APE, model, journal)
    assert isinstance(outcome, Failed)
    return outcome, model, journal


@pytest.mark.parametrize(
    ("limits", "code", "reason"),
    [
        (Limits(corrections=1), "max_retries_exceeded", "corrections"),
        (Limits(corrections=99, tool_calls=1), "tool_calls_exceeded", "tool_calls"),
        (Limits(corrections=99, input_tokens=2000), "tokens_exceeded", "input_tokens"),
        (Limits(corrections=99, output_tokens=20), "tokens_exceeded", "output_tokens"),
        (Limits(corrections=99, cost=5.0), "cost_exceeded", "cost"),
    ],
)
def test_run_beyond_a_limit_ends_with_the_code_and_reason_of_that_limit(limits: Limits, code: str, reason: str) -> None:
    outcome, _, _ = ended([MEASURE, *[{"ape": n + 10} for n in range(6)], MEASURE, *[WRONG] * 90], limits, PRICED)
    assert (outcome.code, outcome.exit_reason) == (code, reason)


@pytest.mark.parametrize("limits", [Limits(corrections=99, output_tokens=20), Limits(corrections=99, cost=5.0)])
def test_run_beyond_a_limit_has_overshot_it_by_less_than_one_call(limits: Limits) -> None:
    _, _, journal = ended([WRONG] * 90, limits, PRICED)
    last = max(turn.spent.output_tokens for turn in journal.turns.values())
    total = spent(journal)
    assert total.cost is not None
    assert total.output_tokens <= (limits.output_tokens or 10**9) + last
    assert total.cost <= Decimal(str(limits.cost or 10**9))


def test_answer_may_have_no_more_output_than_is_left() -> None:
    _, model, _ = ended([WRONG] * 90, Limits(corrections=99, output_tokens=20))
    assert [request.max_output_tokens for request in model.requests[:3]] == [20, 18, 16]


def test_run_whose_time_is_over_ends_before_the_next_request() -> None:
    seconds = iter(range(0, 1000, 10))
    budget = Budget(Limits(seconds=50), clock=lambda: float(next(seconds)))
    journal, model = MemoryJournal(), Telling([WRONG] * 90)
    outcome = run(counting(corrections=99), APE, model, journal, budget=budget)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.exit_reason) == ("time_exceeded", "seconds")
    assert 0 < len(model.requests) < 5


def test_run_whose_deadline_passes_during_a_request_ends_as_deadline_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.turn.GRACE_SECONDS", 0.0)
    slow = ScriptedModel([Step(Answer(text="{}"), delay_seconds=60)])
    outcome = run(counting(), APE, slow, budget=Budget(Limits(), left=TimeLeft(deadline=0.02)))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.exit_reason) == ("deadline_exceeded", "deadline")


def test_turn_beyond_its_seconds_is_a_fault_of_the_model_and_keeps_its_reservation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.turn.GRACE_SECONDS", 0.0)
    journal = MemoryJournal()
    slow = ScriptedModel([Step(Answer(text="{}"), delay_seconds=60)])
    outcome = run(counting(limits=Limits(turn_seconds=0.01)), APE, slow, journal)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.exit_reason, outcome.retryable) == ("runtime_error", "provider", True)
    assert spent(journal) == journal.turns[1].start.reserved


def test_usage_is_what_the_provider_billed() -> None:
    journal, model = MemoryJournal(), Telling([[MEASURE, MEASURE], WRONG, "prose", MEASURE, RIGHT], PRICED)
    assert isinstance(run(counting(), APE, model, journal), Finished)
    total = spent(journal)
    assert (total.calls, total.is_estimated) == (5, False)
    assert (total.input_tokens, total.output_tokens) == (model.billed.input_tokens, model.billed.output_tokens)
    assert total.cost == Decimal(total.input_tokens + total.output_tokens) / 1000


def test_usage_counts_what_a_provider_billed_for_a_request_that_failed() -> None:
    journal = MemoryJournal()
    fault = ModelError("Gone.", retryable=True, usage=Usage(input_tokens=7, output_tokens=2, attempts=3))
    run(counting(), APE, Telling([fault]), journal)
    total = spent(journal)
    assert (total.input_tokens, total.output_tokens, total.calls, total.is_estimated) == (7, 2, 3, False)
    assert journal.writes == ["start_turn 1", "fail_turn 1"]


def test_usage_counts_each_unanswered_attempt_as_it_was_reserved() -> None:
    def late(request: Request) -> Answer:
        return Answer(text='{"ape": 3}', usage=Usage(input_tokens=9, output_tokens=4, attempts=3, unanswered=2))

    journal = MemoryJournal()
    run(counting(), APE, Telling([late]), journal)
    reserved, total = journal.turns[1].start.reserved, spent(journal)
    assert total.input_tokens == 9 + 2 * reserved.input_tokens
    assert (total.calls, total.is_estimated) == (3, True)


def test_resumed_run_may_spend_what_is_left_of_its_limits() -> None:
    limits = Limits(corrections=99, output_tokens=20)
    steps = [WRONG] * 90
    expected, _, undisturbed = ended(steps, limits)
    for at in range(0, len(undisturbed.writes), 3):
        journal = MemoryJournal(before_write=loop_samples.dying(at))
        with pytest.raises(loop_samples.Died):
            run(counting(limits=limits), APE, Telling(steps), journal)
        journal.before_write = None
        outcome = run(counting(limits=limits), APE, Telling(steps), journal)
        assert isinstance(outcome, Failed)
        assert outcome.code == expected.code
        assert len(journal.turns) <= len(undisturbed.turns)


EXPLAINED = "It kept miscounting."


def explaining(limits: Limits | None = None) -> Any:
    return counting(explain_with_model=True, limits=limits or Limits(corrections=1))


def test_failure_is_explained_by_the_model_where_the_definition_asks_for_it() -> None:
    journal, model = MemoryJournal(), Telling([WRONG, WRONG, EXPLAINED])
    outcome = run(explaining(), APE, model, journal)
    assert outcome == Failed("max_retries_exceeded", EXPLAINED, retryable=True, cycles=2)
    assert (journal.turns[3].start.strategy, journal.turns[3].start.cycle) == ("explain", 2)
    assert spent(journal).calls == 3
    assert "is not its length" in model.requests[2].messages[-1].text


@pytest.mark.parametrize(
    "said",
    [
        "",
        ModelError("Gone.", retryable=True),
        Answer(text="I", finish_reason="length"),
        Answer(finish_reason="refusal"),
    ],
)
def test_failure_keeps_its_free_explanation_where_the_model_gives_none(said: Any) -> None:
    outcome = run(explaining(), APE, Telling([WRONG, WRONG, said]))
    assert isinstance(outcome, Failed)
    assert "counts_rightly (1 issue): /ape: is not its length" in outcome.explanation


def test_failure_keeps_its_free_explanation_where_no_tokens_are_left_for_another() -> None:
    outcome = run(explaining(Limits(corrections=1, output_tokens=4)), APE, model := Telling([WRONG, WRONG, EXPLAINED]))
    assert isinstance(outcome, Failed)
    assert outcome.code == "max_retries_exceeded"
    assert EXPLAINED not in outcome.explanation
    assert len(model.requests) == 2


@pytest.mark.parametrize("at", range(9))
def test_explanation_is_not_paid_for_twice(at: int) -> None:
    undisturbed = MemoryJournal()
    expected = run(explaining(), APE, Telling([WRONG, WRONG, EXPLAINED]), undisturbed)
    if at >= len(undisturbed.writes):
        return
    journal = MemoryJournal(before_write=loop_samples.dying(at))
    first, second = Telling([WRONG, WRONG, EXPLAINED]), Telling([WRONG, WRONG, EXPLAINED])
    with pytest.raises(loop_samples.Died):
        run(explaining(), APE, first, journal)
    journal.before_write = None
    assert run(explaining(), APE, second, journal) == expected
    in_flight = undisturbed.writes[at].startswith("finish_turn")
    assert len(first.requests) + len(second.requests) == 3 + in_flight
