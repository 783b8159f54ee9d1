from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tasks.llm.protocol import Answer, Message, Request, ToolOffer, ToolRequest, Usage
from tests.tasks.llm.provider import Provider, completion, serving

KEY = "sk-verysecret0123456789"
ENTRIES = {
    "type": "object",
    "properties": {"SKU-1": {"type": "string"}},
    "required": ["SKU-1"],
    "additionalProperties": False,
}
SEARCH = ToolOffer(
    name="search_files",
    description="Search the files.",
    parameters={"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
)
ASKED = Request(messages=(Message(role="system", text="Be exact."), Message(role="user", text="Enrich SKU-1")))


def ask(provider: Provider, request: Request = ASKED, *, model: str = "gpt-fake") -> Answer:
    from tasks.llm.openai import OpenAIModel

    async def once() -> Answer:
        opened = OpenAIModel(f"openai:{model}", model=model, key=KEY, base_url=provider.url)
        try:
            return await opened.ask(request)
        finally:
            await opened.close()

    return asyncio.run(once())


def changed(**changes: Any) -> Request:
    return Request(messages=changes.pop("messages", ASKED.messages), **changes)


def test_ask_when_model_answers_then_text_usage_and_model_come_back() -> None:
    usage = {
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 16},
    }
    with serving(completion({"content": "done"}, usage=usage)) as provider:
        answer = ask(provider)

    assert answer == Answer(
        text="done", usage=Usage(input_tokens=20, cached_tokens=16, output_tokens=5), model="gpt-fake"
    )


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 10**30, "completion_tokens": 1}, Usage()),
        (
            {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}},
            Usage(input_tokens=5, cached_tokens=5, output_tokens=1),
        ),
    ],
    ids=["beyond all", "more cached than sent"],
)
def test_ask_when_the_figures_cannot_be_then_none_of_them_is_taken(told: dict[str, Any], usage: Usage) -> None:
    with serving(completion({"content": "done"}, usage={**told, "total_tokens": 6})) as provider:
        assert ask(provider).usage == usage


def test_ask_when_model_calls_tools_then_requests_keep_the_argument_text() -> None:
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": "search_files", "arguments": arguments}}
        for n, arguments in enumerate(['{"query": "SKU-1"}', '{"query":'])
    ]
    with serving(completion({"content": None, "tool_calls": calls}, finish="tool_calls")) as provider:
        answer = ask(provider, changed(tools=(SEARCH,)))

    assert answer.finish_reason == "tool_calls"
    assert answer.tool_requests == (
        ToolRequest(call_id="call_0", name="search_files", arguments='{"query": "SKU-1"}'),
        ToolRequest(call_id="call_1", name="search_files", arguments='{"query":'),
    )


def test_ask_when_history_has_tool_turns_then_the_wire_has_them_in_order() -> None:
    said = ToolRequest(call_id="call_1", name="search_files", arguments='{"query": "SKU-1"}')
    messages = (
        *ASKED.messages,
        Message(role="assistant", text="I search.", tool_requests=(said,)),
        Message(role="tool", text='"nothing"', call_id="call_1", tool_name="search_files"),
        Message(role="user", text="Go on."),
    )
    with serving(completion({"content": "ok"})) as provider:
        ask(provider, changed(messages=messages))

    system, user, assistant, result, again = provider.bodies[0]["messages"]
    assert (system["role"], system["content"], user["content"]) == ("system", "Be exact.", "Enrich SKU-1")
    (call,) = assistant["tool_calls"]
    assert (assistant["content"], json.loads(call["function"]["arguments"])) == ("I search.", {"query": "SKU-1"})
    assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", '"nothing"')
    assert (again["role"], again["content"]) == ("user", "Go on.")


def test_ask_when_a_model_gave_one_id_to_several_calls_then_each_goes_back_under_its_own() -> None:
    def said(*ids: str) -> Message:
        calls = [ToolRequest(call_id=each, name="search_files", arguments="{}") for each in ids]
        return Message(role="assistant", tool_requests=tuple(calls))

    def told(call_id: str) -> Message:
        return Message(role="tool", text="1", call_id=call_id, tool_name="search_files")

    history = [said("a", "a", ""), told("a"), told("a"), told(""), said("a"), told("a")]
    with serving(completion({"content": "ok"})) as provider:
        ask(provider, changed(messages=(*ASKED.messages, *history)))

    sent = provider.bodies[0]["messages"]
    calls = [call["id"] for message in sent for call in message.get("tool_calls", ())]
    assert len(set(calls)) == 4
    assert [message["tool_call_id"] for message in sent if message["role"] == "tool"] == calls


def test_ask_when_history_has_broken_arguments_then_it_is_sent_all_the_same() -> None:
    said = ToolRequest(call_id="call_1", name="search_files", arguments='{"query":')
    told = Message(role="tool", text='{"error": "no JSON"}', call_id="call_1", tool_name="search_files")
    with serving(completion({"content": "ok"})) as provider:
        ask(provider, changed(messages=(*ASKED.messages, Message(role="assistant", tool_requests=(said,)), told)))

    assert provider.bodies[0]["messages"][2]["tool_calls"][0]["id"] == "call_1"


def test_ask_when_answer_has_a_schema_then_the_wire_carries_schema_tools_and_limits() -> None:
    request = changed(answer_schema=ENTRIES, tools=(SEARCH,), max_output_tokens=99, seed=4, temperature=0.5)
    with serving(completion({"content": '{"SKU-1": "ok"}'})) as provider:
        answer = ask(provider, request)

    body = provider.bodies[0]
    assert answer.text == '{"SKU-1": "ok"}'
    assert body["response_format"]["json_schema"]["schema"]["properties"] == ENTRIES["properties"]
    assert body["tools"][0]["function"]["name"] == "search_files"
    assert "tool_choice" not in body or body["tool_choice"] == "auto"
    assert (body["max_completion_tokens"], body["seed"], body["temperature"]) == (99, 4, 0.5)
    assert provider.headers[0]["authorization"] == f"Bearer {KEY}"


def test_ask_when_no_answer_is_on_offer_then_a_tool_call_is_demanded() -> None:
    with serving(completion({"content": "text"})) as provider:
        ask(provider, changed(tools=(SEARCH,)))

    assert provider.bodies[0]["tool_choice"] == "required"
    assert "response_format" not in provider.bodies[0]


def test_ask_when_answer_is_no_object_then_it_is_wrapped_on_the_wire_and_unwrapped_again() -> None:
    request = changed(answer_schema={"type": "array", "items": {"type": "integer"}})
    with serving(completion({"content": '{"value": [1, 2]}'})) as provider:
        answer = ask(provider, request)

    assert provider.bodies[0]["response_format"]["json_schema"]["schema"]["type"] == "object"
    assert json.loads(answer.text) == [1, 2]


def test_ask_when_wrapped_answer_comes_unwrapped_then_it_is_left_as_it_is() -> None:
    with serving(completion({"content": "[1, 2"})) as provider:
        answer = ask(provider, changed(answer_schema={"type": "array"}))

    assert answer.text == "[1, 2"


def test_ask_when_answer_is_cut_by_length_then_finish_reason_says_so() -> None:
    with serving(completion({"content": '{"SKU'}, finish="length")) as provider:
        answer = ask(provider)

    assert (answer.finish_reason, answer.text) == ("length", '{"SKU')


def test_ask_when_model_refuses_then_finish_reason_is_refusal() -> None:
    with serving(completion({"content": None, "refusal": "I will not."})) as provider:
        answer = ask(provider)

    assert answer.finish_reason == "refusal"


def test_ask_when_content_is_filtered_then_finish_reason_is_refusal() -> None:
    with serving(completion({"content": "part"}, finish="content_filter")) as provider:
        answer = ask(provider)

    assert answer.finish_reason == "refusal"


def test_ask_when_content_is_empty_then_answer_is_empty() -> None:
    with serving(completion({"content": ""})) as provider:
        answer = ask(provider)

    assert answer.text == ""


def test_ask_when_options_are_given_then_they_are_members_of_the_body() -> None:
    from tasks.llm.openai import OpenAIModel

    async def once(url: str) -> None:
        opened = OpenAIModel("openai:m", model="m", key=KEY, base_url=url)
        await opened.ask(ASKED, {"service_tier": "flex"})
        await opened.close()

    with serving(completion({"content": "ok"})) as provider:
        asyncio.run(once(provider.url))

    assert provider.bodies[0]["service_tier"] == "flex"


def test_ask_when_model_reasons_then_temperature_is_left_out_in_silence() -> None:
    with serving(completion({"content": "ok"})) as provider:
        ask(provider, changed(temperature=0.5, answer_schema=ENTRIES), model="gpt-5-mini")

    assert "temperature" not in provider.bodies[0]
