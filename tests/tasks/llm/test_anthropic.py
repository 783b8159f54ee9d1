"""What is particular to Anthropic's wire, and what both wires do alike with tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.llm.bounds import Bounds
from tasks.llm.protocol import Message, Request, ToolOffer, ToolRequest, Usage
from tests.tasks.llm.provider import Reply, serving
from tests.tasks.llm.wires import ANTHROPIC, ASKED, EVENTS, FAST, JSON, KEY, OPENAI, WIRES, Wire

ENTRY = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 5}},
    "required": ["name"],
    "additionalProperties": False,
}
SEARCH = ToolOffer(
    name="search",
    description="Search.",
    parameters={"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
)


def request(**members: Any) -> Request:
    return Request(messages=members.pop("messages", ASKED.messages), **members)


def calling(wire: Wire) -> Reply:
    """Two tool calls at once."""
    if wire is OPENAI:
        calls = [
            {"id": f"c{n}", "type": "function", "function": {"name": "search", "arguments": f'{{"query": "{n}"}}'}}
            for n in (1, 2)
        ]
        return OPENAI.said("", tool_calls=calls)
    return ANTHROPIC.said(
        "", blocks=[{"type": "tool_use", "id": f"c{n}", "name": "search", "input": {"query": str(n)}} for n in (1, 2)]
    )


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_model_calls_several_tools_at_once_then_all_come_back_in_order(wire: Wire) -> None:
    with serving(calling(wire)) as provider:
        answer = wire.ask(provider, request(tools=(SEARCH,), answer_schema=ENTRY))

    assert answer.finish_reason == "tool_calls"
    assert [(call.call_id, json.loads(call.arguments)) for call in answer.tool_requests] == [
        ("c1", {"query": "1"}),
        ("c2", {"query": "2"}),
    ]
    assert "parallel_tool_calls" not in provider.bodies[0]
    assert "disable_parallel_tool_use" not in json.dumps(provider.bodies[0])


def test_ask_when_schema_is_closed_then_the_wire_holds_the_model_to_it() -> None:
    with serving(ANTHROPIC.said('{"name": "cup"}')) as provider:
        answer = ANTHROPIC.ask(provider, request(answer_schema=ENTRY))

    assert answer.text == '{"name": "cup"}'
    assert provider.bodies[0]["output_config"]["format"]["schema"]["required"] == ["name"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "number"}},
        {"type": "object", "properties": {"a": {"type": "object"}}, "additionalProperties": False},
        {"type": "object"},
    ],
)
def test_ask_when_schema_has_free_keys_then_it_is_told_in_words_at_the_end(schema: dict[str, Any]) -> None:
    with serving(ANTHROPIC.said("{}")) as provider:
        ANTHROPIC.ask(provider, request(answer_schema=schema))

    assert "output_config" not in provider.bodies[0]
    assert provider.bodies[0]["messages"][-1]["content"][-1]["text"].endswith(json.dumps(schema))


def test_ask_when_nothing_but_tools_is_on_offer_then_a_call_is_demanded() -> None:
    with serving(calling(ANTHROPIC)) as provider:
        ANTHROPIC.ask(provider, request(tools=(SEARCH,)))

    assert provider.bodies[0]["tool_choice"]["type"] == "any"


def test_ask_then_prompt_is_marked_for_the_cache_and_cached_tokens_are_counted() -> None:
    body = json.loads(ANTHROPIC.said().body)
    body["usage"] = {
        "input_tokens": 7,
        "cache_read_input_tokens": 40,
        "cache_creation_input_tokens": 20,
        "output_tokens": 3,
    }
    with serving(Reply(body=json.dumps(body).encode(), headers=JSON)) as provider:
        answer = ANTHROPIC.ask(provider)

    assert provider.bodies[0]["cache_control"]["type"] == "ephemeral"
    assert answer.usage == Usage(input_tokens=67, cached_tokens=40, written_tokens=20, output_tokens=3)
    assert KEY in provider.headers[0]["authorization"] + provider.headers[0].get("x-api-key", "")


def test_ask_when_history_has_tool_turns_then_the_wire_has_them_in_order() -> None:
    said = ToolRequest(call_id="c1", name="search", arguments='{"query": "1"}')
    broken = ToolRequest(call_id="c2", name="search", arguments='{"query":')
    messages = (
        *ASKED.messages,
        Message(role="assistant", tool_requests=(said, broken)),
        Message(role="tool", text='"nothing"', call_id="c1", tool_name="search"),
        Message(role="tool", text='{"error": "no JSON"}', call_id="c2", tool_name="search"),
        Message(role="user", text="Go on."),
    )
    with serving(ANTHROPIC.said()) as provider:
        ANTHROPIC.ask(provider, request(messages=messages, tools=(SEARCH,)))

    _, assistant, results = provider.bodies[0]["messages"]
    assert [(block["type"], block["id"]) for block in assistant["content"]] == [("tool_use", "c1"), ("tool_use", "c2")]
    assert [block["type"] for block in results["content"]] == ["tool_result", "tool_result", "text"]


@pytest.mark.parametrize(("reason", "ours"), [("max_tokens", "length"), ("refusal", "refusal"), ("end_turn", "stop")])
def test_ask_when_model_stops_for_a_reason_then_it_is_ours(reason: str, ours: str) -> None:
    body = {**json.loads(ANTHROPIC.said("part").body), "stop_reason": reason}
    with serving(Reply(body=json.dumps(body).encode(), headers=JSON)) as provider:
        assert ANTHROPIC.ask(provider).finish_reason == ours


def test_stream_when_model_calls_a_tool_then_its_arguments_are_whole() -> None:
    body = json.loads(ANTHROPIC.said("").body)
    events: list[tuple[str, dict[str, Any]]] = [
        ("message_start", {"message": {**body, "stop_reason": None}}),
        (
            "content_block_start",
            {"index": 0, "content_block": {"type": "tool_use", "id": "c1", "name": "search", "input": {}}},
        ),
        ("content_block_delta", {"index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"query":'}}),
        ("content_block_delta", {"index": 0, "delta": {"type": "input_json_delta", "partial_json": ' "1"}'}}),
        ("content_block_stop", {"index": 0}),
        ("message_delta", {"delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 9}}),
        ("message_stop", {}),
    ]
    pieces = [f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode() for kind, members in events]
    with serving(Reply(pieces=iter(pieces), headers=EVENTS)) as provider:
        answer = ANTHROPIC.ask(provider, request(tools=(SEARCH,)), bounds=Bounds(streams=True, retries=FAST))

    (call,) = answer.tool_requests
    assert (call.name, json.loads(call.arguments), answer.usage.output_tokens) == ("search", {"query": "1"}, 9)


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_history_has_calls_that_no_wire_takes_then_they_are_sent_as_ones_that_it_does(wire: Wire) -> None:
    broken = ['{"query":', '{"query": NaN}', "[1]", "null", "[" * 50_000]
    calls = [
        ToolRequest(call_id=f"c{number}", name="functions.search it!", arguments=arguments)
        for number, arguments in enumerate(broken)
    ]
    told = [Message(role="tool", text='"no"', call_id=call.call_id, tool_name=call.name) for call in calls]
    said = Message(role="assistant", tool_requests=tuple(calls))
    with serving(wire.said("ok")) as provider:
        wire.ask(provider, request(messages=(*ASKED.messages, said, *told)))

    sent = json.dumps(provider.bodies[0]["messages"])
    assert sent.count("INVALID_JSON") == len(broken)
    assert sent.count("functions_search_it_") == len(broken)


@pytest.mark.parametrize("wire", WIRES)
def test_ask_when_the_answer_is_nested_without_end_then_it_comes_as_it_is_to_be_judged(wire: Wire) -> None:
    with serving(wire.said("[" * 100_000)) as provider:
        answer = wire.ask(provider, request(answer_schema={"type": "array", "items": {"type": "integer"}}))

    assert answer.text == "[" * 100_000
