"""The two wires that providers speak, as a test's own server speaks them: answers, faults and streams.

The SDKs are thousands of modules: they are loaded by the test that asks, not by every process that collects.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from tasks.llm.bounds import Bounds
from tasks.llm.protocol import Answer, Message, ModelError, Profile, ReadFile, Request
from tasks.llm.transport import Retries
from tests.tasks.llm.provider import Provider, Reply, completion, fault

if TYPE_CHECKING:
    from tasks.llm.provider import ProviderModel

KEY = "sk-verysecret0123456789"
LEAKY = f"Incorrect API key provided: {KEY}. SELECT * FROM secrets"
ASKED = Request(messages=(Message(role="system", text="Be exact."), Message(role="user", text="Hello")))
FAST = Retries(first_pause_seconds=0.01)
JSON = {"Content-Type": "application/json"}
EVENTS = {"Content-Type": "text/event-stream"}


@dataclass(frozen=True)
class Wire:
    """One wire: what its servers send, and the model that speaks it."""

    name: str
    opened: Callable[..., ProviderModel]
    said: Callable[..., Reply]
    refused: Callable[..., Reply]
    stream: Callable[..., Iterator[bytes]]
    model: str
    keys: Mapping[str, str] = field(default_factory=dict)

    def ask(
        self,
        provider: Provider,
        request: Request = ASKED,
        *,
        bounds: Bounds | None = None,
        profile: Profile | None = None,
        read_file: ReadFile | None = None,
    ) -> Answer:
        """One answer of the server."""
        given = bounds or Bounds(retries=FAST)

        async def once() -> Answer:
            model = self.opened(
                f"{self.name}:m",
                model=self.model,
                key=KEY,
                base_url=provider.url if self.name == "openai" else provider.url.removesuffix("/v1"),
                bounds=given,
                profile=profile,
                read_file=read_file,
            )
            try:
                return await model.ask(request)
            finally:
                await model.close()

        return asyncio.run(once())

    def error(self, provider: Provider, request: Request = ASKED, *, bounds: Bounds | None = None) -> ModelError:
        """The error that asking ends with; it is clean."""
        with pytest.raises(ModelError) as caught:
            self.ask(provider, request, bounds=bounds)
        for secret in ("secret", "SELECT", "Traceback", KEY):
            assert secret not in caught.value.explanation
        return caught.value


def _openai_opened(*given: Any, **more: Any) -> ProviderModel:
    from tasks.llm.openai import OpenAIModel

    return OpenAIModel(*given, **more)


def _anthropic_opened(*given: Any, **more: Any) -> ProviderModel:
    from tasks.llm.anthropic import AnthropicModel

    return AnthropicModel(*given, **more)


def _openai_said(text: str = "ok", *, tokens: tuple[int, int] = (7, 3), **more: Any) -> Reply:
    asked, answered = tokens
    usage = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
    return completion({"content": text, **more}, usage=usage, finish="tool_calls" if more else "stop")


def _anthropic_said(text: str = "ok", *, tokens: tuple[int, int] = (7, 3), **more: Any) -> Reply:
    content = [{"type": "text", "text": text}] if text else []
    body = _message([*content, *more.get("blocks", ())], tokens, "tool_use" if more else "end_turn")
    return Reply(body=json.dumps(body).encode(), headers=JSON)


def _message(content: Sequence[Any], tokens: tuple[int, int], reason: str | None) -> dict[str, Any]:
    return {
        "id": "m1",
        "type": "message",
        "role": "assistant",
        "model": "claude-fake",
        "content": list(content),
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": tokens[0], "output_tokens": tokens[1]},
    }


def _anthropic_refused(status: int, message: str = "no", *, code: str | None = None, **headers: str) -> Reply:
    body = {"type": "error", "error": {"type": code or "some_error", "message": message}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(body).encode(), {**JSON, **named})


def _openai_stream(texts: Iterable[str], *, tokens: tuple[int, int] = (7, 3)) -> Iterator[bytes]:
    for text in texts:
        yield _openai_chunk([{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}])
    yield _openai_chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
    yield _openai_chunk([], usage=usage)
    yield b"data: [DONE]\n\n"


def _openai_chunk(choices: list[Any], **more: Any) -> bytes:
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1700000000, "model": "gpt-fake"}
    return f"data: {json.dumps({**chunk, 'choices': choices, **more})}\n\n".encode()


def _anthropic_stream(texts: Iterable[str], *, tokens: tuple[int, int] = (7, 3)) -> Iterator[bytes]:
    yield _event("message_start", message=_message([], (tokens[0], 1), None))
    yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for text in texts:
        yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": text})
    yield _event("content_block_stop", index=0)
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _event("message_delta", delta=delta, usage={"output_tokens": tokens[1]})
    yield _event("message_stop")


def _event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


OPENAI = Wire("openai", _openai_opened, _openai_said, fault, _openai_stream, "gpt-fake")
ANTHROPIC = Wire(
    "anthropic", _anthropic_opened, _anthropic_said, _anthropic_refused, _anthropic_stream, "claude-sonnet-4-6"
)
WIRES = [pytest.param(OPENAI, id="openai"), pytest.param(ANTHROPIC, id="anthropic")]
