"""The scripted model and its file."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from service.errors import SetupError
from tasks.llm.protocol import Answer, Message, ModelError, Request
from tasks.llm.scripted import ScriptedModel, read_script


def ask(model: ScriptedModel, turn: int = 0) -> Answer:
    return asyncio.run(model.ask(Request(messages=(Message(role="user", text="Do it."),), turn=turn)))


SCRIPT = """
# A tool first, then two at once, then a fault, then the answer.
{"tool": "measure", "args": {"word": "ape"}}
{"tools": [{"tool": "measure", "args": {"word": "a"}}, {"tool": "look_up"}]}
{"fault": "429"}

{"delay_seconds": 0.5}
{"delay_seconds": 0.25}
{"answer": {"ape": 3}}
{"answer": "just {", "finish_reason": "length"}
"""


def test_read_script_when_lines_are_delays_then_they_belong_to_the_next_step() -> None:
    assert [step.delay_seconds for step in read_script(SCRIPT)] == [0, 0, 0, 0.75, 0]


def test_ask_when_a_line_is_a_tool_then_it_is_requested_with_its_arguments(tmp_path: Path) -> None:
    model = from_file(tmp_path)
    assert [(call.name, call.arguments) for call in ask(model, 1).tool_requests] == [("measure", '{"word": "ape"}')]
    assert [call.name for call in ask(model, 2).tool_requests] == ["measure", "look_up"]


def test_ask_when_turns_come_out_of_order_then_each_gets_its_own_line(tmp_path: Path) -> None:
    model = from_file(tmp_path)
    assert ask(model, 5) == ask(model, 5)
    assert ask(model, 5).text == "just {"
    assert ask(model, 5).finish_reason == "length"
    assert ask(model, 1).finish_reason == "tool_calls"


def test_ask_when_a_line_is_a_fault_then_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="429") as raised:
        ask(from_file(tmp_path), 3)
    assert raised.value.retryable


def test_ask_when_the_script_has_ended_then_model_error_says_how_long_it_was(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="it has 5 steps") as raised:
        ask(from_file(tmp_path), 6)
    assert not raised.value.retryable


@pytest.mark.parametrize("fault", ["429", "500", "timeout", "reset", "garbage", "401"])
def test_ask_when_a_fault_is_scripted_then_only_bad_credentials_are_not_worth_a_retry(fault: str) -> None:
    with pytest.raises(ModelError) as raised:
        ask(ScriptedModel(read_script(f'{{"fault": "{fault}"}}')), 1)
    assert raised.value.retryable == (fault != "401")


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"fault": "unheard of"}',
        '{"tools": []}',
        '{"tools": [{}]}',
        '{"say": 1}',
        '{"answer": 1, "finish_reason": "tired"}',
    ],
)
def test_read_script_when_a_line_is_wrong_then_it_is_named(line: str) -> None:
    with pytest.raises(SetupError, match="script, line 2"):
        read_script(f"# fine\n{line}")


def test_from_file_when_the_file_is_missing_then_setup_error_names_it(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"nowhere\.jsonl"):
        ScriptedModel.from_file(tmp_path / "nowhere.jsonl")


def test_ask_when_no_turn_is_named_then_steps_come_one_after_the_other() -> None:
    model = ScriptedModel(["one", "two"])
    assert [ask(model).text, ask(model).text] == ["one", "two"]


def test_ask_when_it_answers_then_tokens_are_estimated_and_the_model_is_named() -> None:
    answer = ask(ScriptedModel(["a" * 40]))
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.model) == (1, 10, "scripted")


def from_file(folder: Path) -> ScriptedModel:
    path = folder / "script.jsonl"
    path.write_text(SCRIPT)
    return ScriptedModel.from_file(path)
