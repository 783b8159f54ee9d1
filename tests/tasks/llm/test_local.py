from __future__ import annotations

import json

import pytest

from tasks.llm.local import chat_body, read_answer, render, reply_schema
from tasks.llm.protocol import Answer, Message, ModelError, Request, ToolOffer, ToolRequest, Usage

QUERY = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
SEARCH = ToolOffer(name="search_files", description="Search.", parameters=QUERY)
ENTRY = {"type": "object", "properties": {"SKU-1": {"enum": ["ok"]}}, "required": ["SKU-1"]}
ASKED = (Message(role="system", text="Be exact."), Message(role="user", text="Enrich SKU-1"))
REQUEST = Request(messages=ASKED, tools=(SEARCH,), answer_schema=ENTRY)


def completion(text: object, *, finish: str = "stop") -> bytes:
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 8}}
    return json.dumps({"choices": [{"finish_reason": finish, "message": {"content": text}}], "usage": usage}).encode()


def test_reply_schema_when_tool_and_answer_are_on_offer_then_one_of_both() -> None:
    tool, final = reply_schema(REQUEST)["oneOf"]

    assert tool["properties"] == {"tool": {"const": "search_files"}, "args": QUERY}
    assert final["properties"] == {"final": ENTRY}


def test_reply_schema_when_only_an_answer_is_on_offer_then_there_is_no_choice() -> None:
    assert reply_schema(Request(messages=ASKED, answer_schema=ENTRY))["properties"] == {"final": ENTRY}


def test_reply_schema_when_only_a_tool_is_on_offer_then_there_is_no_final() -> None:
    assert list(reply_schema(Request(messages=ASKED, tools=(SEARCH,)))["properties"]) == ["tool", "args"]


def test_reply_schema_when_nothing_is_on_offer_then_it_is_a_model_error() -> None:
    with pytest.raises(ModelError) as caught:
        reply_schema(Request(messages=ASKED))

    assert not caught.value.retryable


def test_render_when_history_has_a_tool_turn_then_it_is_spelt_as_the_model_is_to_reply() -> None:
    call = ToolRequest(call_id="c", name="search_files", arguments='{"query":"SKU-1"}')
    rendered = render(
        (
            *ASKED,
            Message(role="assistant", tool_requests=(call,)),
            Message(role="tool", text='"line 1\\nline 2"', call_id="c", tool_name="search_files"),
            Message(role="assistant", text='{"SKU-1":"ok"}'),
        )
    )

    assert [message["role"] for message in rendered] == ["system", "user", "assistant", "user", "assistant"]
    assert rendered[2]["content"] == '{"tool":"search_files","args":{"query":"SKU-1"}}'
    assert rendered[3]["content"] == "Tool result: line 1\nline 2"
    assert rendered[4]["content"] == '{"final":{"SKU-1":"ok"}}'


def test_chat_body_when_seed_is_larger_than_the_server_takes_then_it_is_brought_into_its_range() -> None:
    body = chat_body(Request(messages=ASKED, answer_schema=ENTRY, seed=5 + (1 << 40), temperature=0.3))

    assert (body["seed"], body["temperature"]) == (5, 0.3)


def test_read_answer_when_model_calls_a_tool_then_it_is_a_tool_request() -> None:
    answer = read_answer(completion('{"tool": "search_files", "args": {"query": "Größe"}}'), REQUEST, "local:x")

    assert answer == Answer(
        tool_requests=(ToolRequest(call_id="call_2", name="search_files", arguments='{"query": "Größe"}'),),
        finish_reason="tool_calls",
        usage=Usage(input_tokens=9, cached_tokens=8, output_tokens=4),
        model="local:x",
    )


@pytest.mark.parametrize("final", ['{"SKU-1": "ok"}', '"words"', "null"])
def test_read_answer_when_model_is_done_then_text_is_the_answer_as_json(final: str) -> None:
    assert read_answer(completion(f'{{"final":{final}}}'), REQUEST, "local:x").text == final


def test_read_answer_when_model_was_cut_then_finish_reason_says_so() -> None:
    answer = read_answer(completion('{"tool": "sea', finish="length"), REQUEST, "local:x")

    assert (answer.finish_reason, answer.text, answer.tool_requests) == ("length", '{"tool": "sea', ())


@pytest.mark.parametrize("text", ["", "prose", "[1]", '{"tool": 1, "args": {}}', '{"tool": "x", "args": []}'])
def test_read_answer_when_text_is_neither_tool_nor_final_then_it_is_the_answer_as_it_came(text: str) -> None:
    assert read_answer(completion(text), REQUEST, "local:x").text == text


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"choices": [{}]}', b'{"choices": [5]}', b"\xff"])
def test_read_answer_when_body_is_no_completion_then_a_retryable_error(body: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        read_answer(body, REQUEST, "local:x")

    assert caught.value.retryable
