"""What the loop needs of a language model: one request, one answer. Adapters live beside this file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import msgspec


class ToolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that the model asks for. `arguments` is the model's own JSON text, not yet decoded."""

    call_id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of the prompt, neutral to providers: this is what is journalled."""

    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    tool_requests: tuple[ToolRequest, ...] = ()
    call_id: str = ""
    tool_name: str = ""


class ToolOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as the model sees it. `parameters` is a JSON Schema of type object."""

    name: str
    description: str
    parameters: dict[str, Any]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. `answer_schema` is what a final answer must satisfy, None where no final answer is on offer.

    `seed` and `temperature` are wishes; a provider without them ignores them. `timeout_seconds` is for the whole call.
    `turn` counts the turns of the run from 1: scripts answer by it, so that a resumed run goes on at the right line;
    providers never see it.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolOffer, ...] = ()
    answer_schema: dict[str, Any] | None = None
    max_output_tokens: int = 4096
    temperature: float | None = None
    seed: int | None = None
    timeout_seconds: float = 120.0
    turn: int = 0


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that the provider counted for one call."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: text, or tool calls, or both. `finish_reason` is normalised."""

    text: str = ""
    tool_requests: tuple[ToolRequest, ...] = ()
    finish_reason: Literal["stop", "tool_calls", "length", "refusal"] = "stop"
    usage: Usage = Usage()
    model: str = ""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How to talk to a model. `item_by_item`: a small model that is asked for one item of the work
    at a time. `prose_feedback`: whether issues are told in words; small models copy such words into their answer.
    `temperatures`: one per cycle, the last one repeated."""

    item_by_item: bool = False
    prose_feedback: bool = True
    max_output_tokens: int = 4096
    temperatures: tuple[float, ...] = ()


class ModelError(Exception):
    """The provider could not be used. The text is clean: no key, no raw body. `retryable`: may work later."""

    def __init__(self, explanation: str, *, retryable: bool, retry_after_seconds: float | None = None) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds


class LanguageModel(Protocol):
    """A model behind any adapter. One instance per worker process; `ask` may run concurrently."""

    name: str
    profile: Profile

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """One answer. Raises ModelError (after the adapter's own transport retries), nothing else on purpose."""
        ...

    async def close(self) -> None:
        """Give up connections, threads and child processes."""
        ...
