"""Turns and tool calls of one run, and what the journal holds of them."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from agentic import Accept, Definition, Failed, Finished, Limits, Proposal, ToolCall, Verdict
from tasks.budget import Budget, Spend
from tasks.journal import LostClaim, TurnRecord
from tasks.llm.protocol import Answer, Message, Profile, Request, ToolRequest
from tasks.llm.scripted import ScriptedModel, Step
from tasks.testing import MemoryJournal
from tests.tasks import loop_samples
from tests.tasks.loop_samples import Counts, Order, Telling, counting, run, spent

APE = {"words": ["ape"]}
MEASURE = ToolCall(name="measure", arguments={"word": "ape"})
RIGHT = {"ape": 3}


def test_answer_when_the_model_calls_a_tool_then_it_sees_the_result_in_the_next_turn() -> None:
    model = Telling([MEASURE, RIGHT])
    assert isinstance(run(counting(), APE, model), Finished)
    call, result = model.requests[1].messages[-2:]
    assert call.tool_requests[0].name == "measure"
    assert (result.role, result.call_id) == ("tool", call.tool_requests[0].call_id)
    assert result.text == '<data name="measure">\n3\n</data>'


def test_answer_when_every_step_is_taken_then_it_was_journalled_before_the_next() -> None:
    journal = MemoryJournal()
    run(counting(), APE, Telling([[MEASURE, MEASURE], RIGHT]), journal)
    assert journal.writes == [
        "start_turn 1",
        "finish_turn 1",
        "start_tool_call 1.1",
        "start_tool_call 1.2",
        "finish_tool_call 1.1",
        "finish_tool_call 1.2",
        "start_turn 2",
        "finish_turn 2",
        "record_verdicts 1",
    ]


def test_answer_when_turns_are_journalled_then_each_holds_only_what_it_added() -> None:
    journal = MemoryJournal()
    run(counting(), APE, Telling([MEASURE, RIGHT]), journal)
    assert [message.role for message in journal.turns[1].start.added] == ["system", "user"]
    assert [message.role for message in journal.turns[2].start.added] == ["assistant", "tool"]


def test_answer_when_a_tool_is_called_then_its_key_names_execution_turn_and_number() -> None:
    journal = MemoryJournal()
    run(counting(), APE, Telling([[MEASURE, MEASURE], RIGHT]), journal)
    assert [call.start.idempotency_key for call in journal.turns[1].calls] == ["7-1-1", "7-1-2"]


def test_answer_when_calls_are_parallel_then_they_run_side_by_side() -> None:
    definition = counting()
    both = asyncio.Barrier(2)

    async def meet(**arguments: Any) -> int:
        async with asyncio.timeout(10):
            await both.wait()
        return 3

    conversation_of = loop_samples.converse

    async def whole() -> list[ToolCall]:
        from tasks.asks import Ask
        from tasks.toolbox import Toolbox

        plain = conversation_of(definition, ScriptedModel([]), MemoryJournal())
        toolbox = Toolbox(definition, plain.context, max_result_bytes=1000, fakes={"measure": meet})
        model = ScriptedModel([[MEASURE, MEASURE], RIGHT])
        conversation = conversation_of(definition, model, MemoryJournal(), toolbox=toolbox)
        await conversation.answer(Ask(input=Order(words=["ape"]), instructions="Count."))
        return conversation.tool_calls

    assert [call.succeeded for call in asyncio.run(whole())] == [True, True]


def test_answer_when_the_model_stops_the_execution_then_validation_failed_with_its_reason() -> None:
    journal = MemoryJournal()
    stop = ToolCall(name="stop_execution", arguments={"reason": "No such word."})
    outcome = run(counting(), APE, Telling([stop]), journal)
    assert outcome == Failed("validation_failed", "No such word.", cycles=1)
    assert [record.validator for record in journal.verdicts] == ["stop_execution"]
    assert [call.start.name for call in journal.turns[1].calls] == ["stop_execution"]


def stopping_with_code() -> Definition[Order, Counts]:
    definition = counting()
    definition.failures = {"no_word": "There is no word.", "secret": "Not for models."}
    definition.stop_codes = ("no_word",)
    return definition


def test_answer_when_the_model_stops_with_a_code_it_may_name_then_the_run_ends_with_it() -> None:
    stop = ToolCall(name="stop_execution", arguments={"reason": "No such word.", "code": "no_word"})
    model = Telling([stop])
    assert run(stopping_with_code(), APE, model) == Failed("no_word", "No such word.", cycles=1)
    (offer,) = (tool for tool in model.requests[0].tools if tool.name == "stop_execution")
    assert "no_word: There is no word." in offer.description
    assert "secret" not in offer.description


def test_answer_when_the_model_stops_with_another_code_then_it_is_told_and_goes_on() -> None:
    stop = ToolCall(name="stop_execution", arguments={"reason": "No.", "code": "secret"})
    model = Telling([stop, RIGHT])
    assert isinstance(run(stopping_with_code(), APE, model), Finished)
    assert '"arguments.code \\"secret\\" is not one of' in model.requests[1].messages[-1].text


def test_answer_when_stop_execution_gives_no_reason_then_the_explanation_says_that() -> None:
    outcome = run(counting(), APE, Telling([ToolCall(name="stop_execution", arguments={"reason": " "})]))
    assert isinstance(outcome, Failed)
    assert "without giving a reason" in outcome.explanation


def test_answer_when_stop_execution_has_wrong_arguments_then_the_model_is_told_and_goes_on() -> None:
    model = Telling([ToolCall(name="stop_execution", arguments={"why": "x"}), RIGHT])
    assert isinstance(run(counting(), APE, model), Finished)
    assert "arguments.why is not a known field" in model.requests[1].messages[-1].text


def test_answer_when_tools_are_called_for_ever_then_ends_at_the_bound_with_its_code() -> None:
    journal = MemoryJournal()
    outcome = run(counting(max_tool_calls=5), APE, Telling([MEASURE] * 50), journal)
    assert isinstance(outcome, Failed)
    assert outcome.code == "tool_calls_exceeded"
    assert "5 tool calls" in outcome.explanation
    assert sum(len(turn.calls) for turn in journal.turns.values()) == 5


def test_answer_when_the_last_tool_has_an_unprintable_name_then_the_explanation_can_be_kept() -> None:
    outcome = run(counting(max_tool_calls=0), APE, Telling([ToolCall(name="a\0b")]))
    assert isinstance(outcome, Failed)
    assert outcome.explanation.endswith("last: a\N{REPLACEMENT CHARACTER}b.")


def test_answer_when_tool_calls_are_bounded_then_the_bound_is_for_all_cycles() -> None:
    steps = [MEASURE, {"ape": 0}, MEASURE, {"ape": 0}, MEASURE, RIGHT]
    outcome = run(counting(max_tool_calls=2), APE, Telling(steps))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.cycles) == ("tool_calls_exceeded", 3)


def test_answer_when_the_model_does_not_answer_in_time_then_retryable_runtime_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tasks.turn.GRACE_SECONDS", 0.0)
    slow = ScriptedModel([Step(Answer(text="{}"), delay_seconds=60)])
    outcome = run(counting(), APE, slow, budget=Budget(Limits(), turn_seconds=0.01))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("runtime_error", True)
    assert "did not answer within 0.01 seconds" in outcome.explanation


def test_answer_when_an_answer_holds_lone_surrogates_then_it_is_journalled_as_it_was_used() -> None:
    journal = MemoryJournal()
    run(counting(), APE, Telling(['{"ape": "\ud800"}', RIGHT]), journal)
    answer = journal.turns[1].answer
    assert answer is not None
    assert answer.text == '{"ape": "?"}'


def test_validator_when_tools_were_called_then_sees_all_calls_with_cycle_and_outcome() -> None:
    seen: list[list[tuple[str, int, bool]]] = []
    definition = counting()

    @definition.validator
    def looks(proposal: Proposal[Order, Counts]) -> Verdict:
        seen.append([(call.name, call.cycle, call.succeeded) for call in proposal.tool_calls])
        return Accept()

    refuse = ToolCall(name="refuse", arguments={})
    run(definition, APE, Telling([MEASURE, {"ape": 0}, refuse, RIGHT]))
    assert seen == [[("measure", 1, True)], [("measure", 1, True), ("refuse", 2, False)]]


def test_request_when_cycles_go_by_then_temperature_follows_and_every_turn_has_its_own_seed() -> None:
    model = Telling([{"ape": 0}] * 4, Profile(temperatures=(0.3, 0.5)))
    run(counting(), APE, model)
    assert [request.temperature for request in model.requests] == [0.3, 0.5, 0.5, 0.5]
    assert [request.seed for request in model.requests] == [7001, 7002, 7003, 7004]


def steps_with_everything() -> list[Any]:
    look = ToolCall(name="look_up", arguments={"word": "ape"})
    return [[MEASURE, look], {"ape": 0}, ToolCall(name="refuse"), "prose", MEASURE, RIGHT]


def without_spend(journal: MemoryJournal) -> list[TurnRecord]:
    """The turns without their figures: a call in flight at a death is counted beside the one that repeats it."""
    return [
        msgspec.structs.replace(turn, spent=Spend(), start=msgspec.structs.replace(turn.start, reserved=Spend()))
        for turn in journal.turns.values()
    ]


ASKED = 6
WRITES = 23


def test_undisturbed_run_makes_the_writes_that_the_resume_tests_die_before() -> None:
    journal = MemoryJournal()
    run(counting(), APE, Telling(steps_with_everything()), journal)
    assert len(journal.writes) == WRITES


@pytest.mark.parametrize("at", range(WRITES))
def test_resume_after_dying_before_any_write_then_ends_the_same_and_repays_at_most_the_call_in_flight(at: int) -> None:
    undisturbed = MemoryJournal()
    expected = run(counting(), APE, Telling(steps_with_everything()), undisturbed)
    journal = MemoryJournal(before_write=loop_samples.dying(at))
    first = Telling(steps_with_everything())
    with pytest.raises(loop_samples.Died):
        run(counting(), APE, first, journal)
    journal.before_write = None
    second = Telling(steps_with_everything())
    assert run(counting(), APE, second, journal) == expected
    assert without_spend(journal) == without_spend(undisturbed)
    assert journal.verdicts == undisturbed.verdicts
    in_flight = 1 if undisturbed.writes[at].startswith("finish_turn") else 0
    billed, counted = first.billed + second.billed, spent(journal)
    assert counted.is_estimated == bool(in_flight)
    if in_flight:
        assert counted.input_tokens >= billed.input_tokens
        assert counted.output_tokens >= billed.output_tokens
    else:
        assert (counted.input_tokens, counted.output_tokens) == (billed.input_tokens, billed.output_tokens)
    assert counted.calls == billed.calls
    assert len(first.requests) + len(second.requests) == ASKED + in_flight
    finished = [write for write in journal.writes if not write.startswith("start_")]
    assert len(finished) == len(set(finished))


def test_resume_when_a_tool_call_was_in_flight_then_it_is_repeated_with_the_same_key() -> None:
    journal = MemoryJournal(before_write=loop_samples.dying(3))
    with pytest.raises(loop_samples.Died):
        run(counting(), APE, Telling([MEASURE, RIGHT]), journal)
    journal.before_write = None
    run(counting(), APE, Telling([MEASURE, RIGHT]), journal)
    assert journal.writes.count("start_tool_call 1.1") == 2
    assert [call.start.idempotency_key for call in journal.turns[1].calls] == ["7-1-1"]


def test_resume_when_all_verdicts_are_on_record_then_validators_do_not_speak_again() -> None:
    journal = MemoryJournal()
    expected = run(counting(), APE, Telling([{"ape": 0}, RIGHT]), journal)
    definition = counting()

    @definition.validator
    def must_not_speak(proposal: Proposal[Order, Counts]) -> Verdict:
        raise AssertionError

    assert run(definition, APE, Telling([]), journal) == expected


def test_resume_when_the_claim_is_lost_then_nothing_more_is_written_or_asked() -> None:
    def lose(what: str) -> None:
        if what == "start_turn 2":
            raise LostClaim

    journal = MemoryJournal(before_write=lose)
    model = Telling([{"ape": 0}, RIGHT])
    with pytest.raises(LostClaim):
        run(counting(), APE, model, journal)
    assert len(model.requests) == 1
    assert journal.writes[-1] == "record_verdicts 1"


def test_answer_when_a_model_answers_by_what_it_hears_then_a_function_is_a_step() -> None:
    def repeat(request: Request) -> Answer:
        heard: tuple[Message, ...] = request.messages
        return Answer(
            tool_requests=(ToolRequest(call_id="c", name="measure", arguments=f'{{"word": "{len(heard)}"}}'),)
        )

    journal = MemoryJournal()
    run(counting(), APE, Telling([repeat, RIGHT]), journal)
    assert journal.turns[1].calls[0].start.arguments == '{"word": "2"}'
