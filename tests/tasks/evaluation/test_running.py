"""Single runs: what is counted, what arms change, what they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from agentic import Accept, Definition, Fix, Input, Issue, Proposal, Retry, ToolCall, ToolContext, Verdict, tool
from tasks.evaluation.results import Expected, Results
from tasks.evaluation.running import ModelUnusable
from tasks.llm.protocol import Answer, ModelError, Profile, Request, Usage
from tasks.llm.scripted import ScriptedModel
from tests.tasks.evaluation.samples import ran
from tests.tasks.loop_samples import counting

BILLED = Usage(input_tokens=50, output_tokens=5)
WRONG, RIGHT = (Answer(text=text, usage=BILLED) for text in ('{"ape": 0}', '{"ape": 3}'))


class Heard(ScriptedModel):
    """A scripted model that notes what it is asked."""

    def __init__(self, steps: Sequence[Any], **given: Any) -> None:
        super().__init__(steps, **given)
        self.requests: list[Request] = []

    async def ask(self, request: Request, options: Any = None) -> Answer:
        self.requests.append(request)
        return await super().ask(request, options)


class Word(Input):
    """What is said."""

    words: list[str]


def helped() -> Definition[Word, dict[str, int]]:
    """A definition whose validator narrows what is wrong, and knows what would be right."""
    made = Definition(key="helped", name="Helped", agent_type="test", input=Word, output=dict[str, int])
    made.instructions(lambda given: "Count.")

    @made.validator
    async def right(proposal: Proposal[Word, dict[str, int]]) -> Verdict:
        if proposal.output == {"ape": 3}:
            return Accept()
        return Retry(Issue("/ape", "is wrong", "count again", {"const": 3}, Fix(3)))

    return made


def test_run_when_corrected_then_cycles_tokens_and_validators_are_counted() -> None:
    run = ran(counting(), ScriptedModel([WRONG, RIGHT]))
    assert (run.ending, run.is_success, run.answers, run.tokens) == ("finished", True, 2, 110)
    assert [cycle.rejections for cycle in run.cycles] == [{"counts_rightly": 1}, {}]
    assert [cycle.prompt for cycle in run.cycles] == [50, 50]


def test_run_when_its_case_has_a_field_schema_then_validators_find_it() -> None:
    definition = counting()
    definition.validator(lambda proposal: Accept() if proposal.field_schema == {"a": 1} else Retry("no schema"))
    run = ran(definition, ScriptedModel([RIGHT]), field_schema={"a": 1})
    assert run.is_success


def test_run_when_tools_are_called_then_their_turns_count_in_the_cycle() -> None:
    run = ran(counting(), ScriptedModel([ToolCall(name="measure", arguments={"word": "ape"}), RIGHT]))
    assert [cycle.calls for cycle in run.cycles] == [2]


def test_run_when_a_tool_must_be_approved_then_it_is_declined_because_nobody_is_there() -> None:
    @tool(requires_approval=True)
    async def act(context: ToolContext) -> str:
        """Act."""
        raise AssertionError("it was not approved")

    made, model = helped(), Heard([ToolCall(name="act", arguments={}), RIGHT])
    made.tools = (act,)
    assert ran(made, model).is_success
    assert "nobody is there to approve it" in model.requests[1].messages[-1].text


def test_run_when_never_right_then_no_success_and_the_code_is_kept() -> None:
    run = ran(counting(), ScriptedModel([WRONG] * 4))
    assert (run.ending, run.is_success, run.answers) == ("max_retries_exceeded", False, 4)


@pytest.mark.parametrize(
    ("expect", "answers", "is_success"),
    [
        (Expected(failure_code="max_retries_exceeded"), [WRONG] * 4, True),
        (Expected(failure_code="max_retries_exceeded"), [RIGHT], False),
        (Expected(failure_code="no_such"), [WRONG] * 4, False),
        (Expected(result={"ape": 3}), [RIGHT], True),
        (Expected(result={"ape": 4}), [RIGHT], False),
    ],
)
def test_run_when_its_case_expects_an_end_then_that_end_is_success(
    expect: Expected, answers: list[Answer], is_success: bool
) -> None:
    assert ran(counting(), ScriptedModel(answers), expect=expect).is_success is is_success


def test_run_when_a_fix_mends_it_then_one_answer_was_enough() -> None:
    run = ran(helped(), ScriptedModel([WRONG]))
    assert (run.is_success, run.answers, [cycle.calls for cycle in run.cycles]) == (True, 1, [1, 0])


def test_blind_arm_when_an_answer_is_wrong_then_nothing_is_fixed_narrowed_or_said() -> None:
    model = Heard([WRONG, RIGHT])
    run = ran(helped(), model, strategy="blind")
    assert (run.is_success, run.answers) == (True, 2)
    first, second = model.requests
    assert second.messages == first.messages
    assert second.answer_schema == first.answer_schema


def test_told_arm_when_the_model_takes_no_prose_then_it_is_told_all_the_same() -> None:
    model = Heard([WRONG, RIGHT], profile=Profile(prose_feedback=False))
    ran(helped(), model, strategy="told")
    assert "count again" in model.requests[1].messages[-1].text
    assert WRONG.text not in [message.text for message in model.requests[1].messages]


def test_full_history_arm_when_an_answer_is_wrong_again_then_every_answer_and_feedback_is_shown() -> None:
    measure = ToolCall(name="measure", arguments={"word": "ape"})
    model = Heard([measure, WRONG, WRONG, RIGHT], profile=Profile(prose_feedback=False))
    run = ran(counting(), model, strategy="full_history")
    assert run.answers == 3
    told = model.requests[-1].messages[len(model.requests[0].messages) :]
    assert [message.role for message in told] == ["assistant", "tool", "assistant", "user", "assistant", "user"]
    assert [message.text for message in told if message.role == "assistant"] == ["", WRONG.text, WRONG.text]
    assert model.requests[-1].messages[: len(model.requests[-2].messages)] == model.requests[-2].messages


def test_arms_when_they_ask_the_same_then_the_model_is_asked_once_and_both_pay() -> None:
    results = Results()
    first, second = Heard([WRONG, RIGHT]), Heard([WRONG, RIGHT])
    default = ran(counting(), first, results=results)
    other = ran(counting(), second, strategy="blind", results=results)
    assert [request.turn for request in second.requests] == [2]
    assert other.cycles[0] == default.cycles[0]


def test_run_when_the_provider_is_away_then_it_says_nothing_of_the_definition() -> None:
    with pytest.raises(ModelUnusable, match="overloaded"):
        ran(counting(), ScriptedModel([WRONG, ModelError("overloaded", retryable=True, is_away=True)]))


def test_run_when_the_model_never_answers_then_it_says_nothing_of_the_definition() -> None:
    with pytest.raises(ModelUnusable, match="no such key"):
        ran(counting(), ScriptedModel([ModelError("no such key", retryable=False)]))


def test_run_when_the_model_refuses_a_later_request_for_good_then_the_strategy_failed() -> None:
    run = ran(counting(), ScriptedModel([WRONG, ModelError("the prompt is too long", retryable=False)]))
    assert (run.ending, run.is_success) == ("runtime_error", False)
