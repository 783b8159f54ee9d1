"""One tool call: whatever is wrong with it is told to the model as its result."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import replace
from typing import Annotated, Any

import msgspec
import pytest

from agentic import RunContext, Tool, ToolContext, ToolFailed, tool
from service.errors import Unavailable
from tasks.journal import LostClaim
from tasks.llm.protocol import ToolRequest
from tasks.testing import MemoryDataSet
from tasks.toolbox import Called, Stop, Toolbox
from tests.tasks.loop_samples import counting


def call(name: str, arguments: str, *extra: Tool, fakes: dict[str, object] | None = None, most: int = 1000) -> Called:
    definition = counting()
    definition.tools = (*definition.tools, *extra)
    context = RunContext(data_set=MemoryDataSet(), execution_id=7)
    toolbox = Toolbox(definition, context, max_result_bytes=most, fakes=fakes)
    request = ToolRequest(call_id="c", name=name, arguments=arguments)
    return asyncio.run(toolbox.call(request, idempotency_key="7-1-1"))


def error_of(called: Called) -> str:
    assert not called.succeeded
    told: str = json.loads(called.result)["error"]
    return told


def test_call_when_arguments_fit_then_result_is_json() -> None:
    assert call("measure", '{"word": "ape"}') == Called("3", succeeded=True)


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("measur", "{}", "there is no tool 'measur'; there are: explode, hang, look_up, measure"),
        ("measure", '{"word": "ape"', "not valid JSON"),
        ("measure", "[]", "arguments must be an object"),
        ("measure", '{"word": 3}', "arguments.word must be a string, got a number"),
        ("measure", '{"words": "ape"}', "arguments.words is not a known field"),
        ("measure", '{"words": "ape"}', "arguments.word is required"),
        ("measure", '{"word": "a", "word": "b"}', "the key 'word' twice"),
        ("measure", '{"word": "\\u0000"}', "U+0000"),
        ("refuse", "", "the word is forbidden"),
        ("explode", "", "the tool explode failed unexpectedly"),
        ("hang", "", "took longer than 0.01 seconds"),
    ],
)
def test_call_when_it_cannot_succeed_then_the_model_is_told_why(name: str, arguments: str, told: str) -> None:
    assert told in error_of(call(name, arguments))


def test_call_when_everything_is_wrong_with_its_arguments_then_what_is_told_stays_short() -> None:
    arguments = json.dumps({f"unknown_{number}": 1 for number in range(1000)})
    assert len(error_of(call("measure", arguments))) == 2000


def test_call_when_a_tool_raises_then_its_message_is_not_told() -> None:
    assert "secret" not in call("explode", "{}").result


@tool
async def times_out_inside(context: ToolContext) -> int:
    """Its own time-out, not ours."""
    raise TimeoutError("inner secret")


@tool
async def returns_object(context: ToolContext) -> object:
    """Nothing that JSON can carry."""
    return object()


@tool
async def returns_surrogate(context: ToolContext) -> str:
    """Text that UTF-8 cannot carry."""
    return "a\ud800"


@tool
async def fails_with_surrogate(context: ToolContext) -> str:
    """Fails in words that UTF-8 cannot carry."""
    raise ToolFailed("a\udc80\0")


@tool
async def speaks_at_length(context: ToolContext, structured: bool = False) -> object:
    """More than fits."""
    return ["é"] * 2000 if structured else "é" * 2000


@tool
def works_in_a_thread(context: ToolContext) -> bool:
    """A plain function."""
    return threading.current_thread() is not threading.main_thread()


@tool
async def tells_key(context: ToolContext) -> str:
    """Its key."""
    return context.idempotency_key


def test_call_when_the_tool_times_out_by_itself_then_ours_is_not_blamed() -> None:
    assert error_of(call("times_out_inside", "", times_out_inside)) == "the tool times_out_inside timed out"


def test_call_when_the_result_is_no_json_then_failed() -> None:
    assert "failed unexpectedly" in error_of(call("returns_object", "", returns_object))


def test_call_when_the_result_holds_a_lone_surrogate_then_it_is_replaced() -> None:
    assert call("returns_surrogate", "", returns_surrogate) == Called('"a?"', succeeded=True)


def test_call_when_the_failure_holds_a_lone_surrogate_then_it_is_replaced() -> None:
    assert error_of(call("fails_with_surrogate", "", fails_with_surrogate)) == "a?\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("structured", ["true", "false"])
def test_call_when_the_result_is_too_large_then_the_model_gets_its_beginning_and_is_told(structured: str) -> None:
    called = call("speaks_at_length", f'{{"structured": {structured}}}', speaks_at_length)
    assert called.succeeded
    assert len(called.result.encode()) < 1000
    assert "larger than 1000 bytes" in json.loads(called.result)["note"]


def test_call_when_the_tool_has_a_limit_of_its_own_then_that_cuts_its_result() -> None:
    brief = replace(speaks_at_length, max_result_bytes=200)
    called = call("speaks_at_length", '{"structured": false}', brief)
    assert len(called.result.encode()) < 200
    assert "larger than 200 bytes" in json.loads(called.result)["note"]


def test_call_when_the_tool_allows_more_than_the_installation_then_that_cuts_its_result() -> None:
    brief = replace(speaks_at_length, max_result_bytes=1 << 30)
    called = call("speaks_at_length", '{"structured": false}', brief, most=300)
    assert "larger than 300 bytes" in json.loads(called.result)["note"]


def test_call_when_the_tool_is_a_plain_function_then_it_runs_in_a_thread() -> None:
    assert call("works_in_a_thread", "", works_in_a_thread) == Called("true", succeeded=True)


def test_call_when_it_runs_then_its_context_has_the_idempotency_key() -> None:
    assert call("tells_key", "", tells_key) == Called('"7-1-1"', succeeded=True)


@pytest.mark.parametrize("error", [LostClaim(), Unavailable()])
def test_call_when_the_claim_or_the_database_is_lost_then_it_gets_out(error: Exception) -> None:
    with pytest.raises(type(error)):
        call("measure", '{"word": "ape"}', fakes={"measure": error})


@pytest.mark.parametrize(
    ("name", "arguments", "stop"),
    [
        ("stop_execution", '{"reason": "why"}', Stop("why")),
        ("stop_execution", '{"reason": "why", "code": "no_word"}', None),  # the definition lets it name none
        ("stop_execution", "{}", None),
        ("stop_execution", "nonsense", None),
        ("measure", '{"reason": "why"}', None),
    ],
)
def test_stop_of_when_the_call_is_well_formed_then_it_has_the_reason(
    name: str, arguments: str, stop: Stop | None
) -> None:
    toolbox = Toolbox(counting(), RunContext(data_set=MemoryDataSet()), max_result_bytes=1)
    assert toolbox.stop_of(ToolRequest(call_id="c", name=name, arguments=arguments)) == stop


class Place(msgspec.Struct):
    """Where."""

    shelf: str


@tool
async def put(
    context: ToolContext, sku: Annotated[str, msgspec.Meta(min_length=1)], place: Place, count: int = 1
) -> None:
    """Put a product somewhere."""


def test_offers_when_a_tool_has_typed_parameters_then_the_model_sees_their_schema() -> None:
    expected: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "sku": {"type": "string", "minLength": 1},
            "place": {
                "description": "Where.",
                "type": "object",
                "properties": {"shelf": {"type": "string"}},
                "required": ["shelf"],
            },
            "count": {"type": "integer", "default": 1},
        },
        "required": ["sku", "place"],
    }
    assert put.schema == expected
