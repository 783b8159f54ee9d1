"""Models behind the OpenAI wire, at the provider's own address or any other: one request, one answer.

pydantic-ai translates and the OpenAI SDK transports; neither keeps any state of a run. Both are imported here and
nowhere else, because their import takes seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pydantic_ai.direct import model_request
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelRequestPart,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIChatModelSettings
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.tools import ToolDefinition

from tasks.llm.openai_faults import FAULTS, explained, limits
from tasks.llm.protocol import Answer, Message, ModelError, Profile, Request, ToolOffer, ToolRequest, Usage

BASE_URL = "https://api.openai.com/v1"
TRANSPORT_RETRIES = 2
NO_KEY = "none"
"""What servers that want no key are sent; the SDK insists on one."""
WRAPPED = "value"
FINISH_REASONS: dict[str | None, Any] = {"tool_call": "tool_calls", "content_filter": "refusal", "length": "length"}


class OpenAIModel:
    """A chat model of an OpenAI-compatible server. Holds one connection pool."""

    def __init__(self, name: str, *, model: str, key: str, base_url: str = "", max_answer_bytes: int = 1 << 20) -> None:
        self.name = name
        self.profile = Profile()
        self._client = AsyncOpenAI(
            api_key=key or NO_KEY,
            base_url=base_url or BASE_URL,
            max_retries=TRANSPORT_RETRIES,
            http_client=DefaultAsyncHttpxClient(event_hooks={"response": [limits(max_answer_bytes)]}),
        )
        self._model = OpenAIChatModel(model, provider=OpenAIProvider(openai_client=self._client))
        facts: Mapping[str, Any] = {**self._model.profile}
        self._takes_temperature = not facts.get("openai_supports_reasoning")

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """One answer. 408, 409, 429, 5xx and broken connections are tried again twice within the time limit.

        `options` are further members of the request's body. A request that runs out of time is not sent again.
        """
        try:
            response = await model_request(
                self._model,
                list(_messages(request.messages)),
                model_settings=self._settings(request, options),
                model_request_parameters=_parameters(request),
                instrument=False,
            )
        except FAULTS as error:
            raise explained(error, self.name) from error
        return _answer(response, request, self.name)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _settings(self, request: Request, options: Mapping[str, Any] | None) -> OpenAIChatModelSettings:
        settings = OpenAIChatModelSettings(
            max_tokens=request.max_output_tokens,
            timeout=request.timeout_seconds,
            request_timeout=request.timeout_seconds,
        )
        if request.temperature is not None and self._takes_temperature:
            settings["temperature"] = request.temperature
        if request.seed is not None:
            settings["seed"] = request.seed
        if options:
            settings["extra_body"] = dict(options)
        return settings


def _parameters(request: Request) -> ModelRequestParameters:
    tools = [_tool(offer) for offer in request.tools]
    if request.answer_schema is None:
        return ModelRequestParameters(function_tools=tools, allow_text_output=not tools)
    return ModelRequestParameters(
        function_tools=tools,
        output_mode="native",
        output_object=OutputObjectDefinition(json_schema=_rooted(request.answer_schema), name="answer"),
    )


def _tool(offer: ToolOffer) -> ToolDefinition:
    return ToolDefinition(
        name=offer.name, description=offer.description, parameters_json_schema=offer.parameters, sequential=True
    )


def _rooted(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with an object at its root, as this wire demands; anything else is wrapped in one member."""
    if schema.get("type") == "object":
        return schema
    return {
        "type": "object",
        "properties": {WRAPPED: schema},
        "required": [WRAPPED],
        "additionalProperties": False,
    }


def _unwrapped(text: str, request: Request) -> str:
    if request.answer_schema is None or request.answer_schema.get("type") == "object":
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return json.dumps(value[WRAPPED], ensure_ascii=False) if isinstance(value, dict) and WRAPPED in value else text


def _messages(messages: Sequence[Message]) -> Iterator[ModelMessage]:
    """Ours in theirs: what lies between two answers of the model is one request with several parts."""
    parts: list[ModelRequestPart] = []
    for message in messages:
        if message.role != "assistant":
            parts.append(_part(message))
            continue
        if parts:
            yield ModelRequest(parts=parts)
            parts = []
        yield _said(message)
    if parts:
        yield ModelRequest(parts=parts)


def _part(message: Message) -> ModelRequestPart:
    match message.role:
        case "system":
            return SystemPromptPart(content=message.text)
        case "tool":
            return ToolReturnPart(tool_name=message.tool_name, content=message.text, tool_call_id=message.call_id)
        case _:
            return UserPromptPart(content=message.text)


def _said(message: Message) -> ModelResponse:
    calls = [
        ToolCallPart(tool_name=call.name, args=call.arguments, tool_call_id=call.call_id)
        for call in message.tool_requests
    ]
    return ModelResponse(parts=[*([TextPart(content=message.text)] if message.text else []), *calls])


def _answer(response: ModelResponse, request: Request, name: str) -> Answer:
    if response.finish_reason == "error":
        raise ModelError(f"The provider of {name} broke its answer off with an error", retryable=True)
    calls = tuple(
        ToolRequest(call_id=call.tool_call_id, name=call.tool_name, arguments=_as_it_came(call))
        for call in response.parts
        if isinstance(call, ToolCallPart)
    )
    usage = response.usage
    return Answer(
        text=_unwrapped(response.text or "", request),
        tool_requests=calls,
        finish_reason=FINISH_REASONS.get(response.finish_reason, "tool_calls" if calls else "stop"),
        usage=Usage(
            input_tokens=usage.input_tokens, cached_tokens=usage.cache_read_tokens, output_tokens=usage.output_tokens
        ),
        model=response.model_name or name,
    )


def _as_it_came(call: ToolCallPart) -> str:
    return call.args if isinstance(call.args, str) else call.args_as_json_str()
