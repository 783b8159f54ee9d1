"""What the loop needs of a language model: one request, one answer. Adapters live beside this file."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from service.definitions.context import FileReference
from service.profiles import Price


class ToolRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that the model asks for. `arguments` is the model's own JSON text, not yet decoded."""

    call_id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of the prompt, neutral to providers: this is what is journalled.

    `attachments` come before the text of a user's message. Only the references are kept; an adapter whose model sees
    reads the bytes when it builds its request, any other says that the file is not shown.
    """

    role: Literal["system", "user", "assistant", "tool"]
    text: str = ""
    tool_requests: tuple[ToolRequest, ...] = ()
    call_id: str = ""
    tool_name: str = ""
    attachments: tuple[FileReference, ...] = ()


ReadFile = Callable[[FileReference], Awaitable[bytes]]
"""The bytes of a file, read from the database."""


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
    """What one call cost, as far as it is known. `cached_tokens` and `written_tokens` (into the provider's cache) are
    parts of `input_tokens`.

    `attempts` are the requests that were sent, retries and fallback models included; `unanswered` are those of them
    that the provider may have worked on and billed without telling: time-outs, broken connections, garbage.
    `is_estimated`: the tokens are our own count, because the answer was cut before the provider sent its figures.
    """

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    written_tokens: int = 0
    attempts: int = 1
    unanswered: int = 0
    is_estimated: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: text, or tool calls, or both. `finish_reason` is normalised. `model` is the provider's word for
    it; `answered_by` the name of the model that answered in place of the one that was asked, "" where it did itself."""

    text: str = ""
    tool_requests: tuple[ToolRequest, ...] = ()
    finish_reason: Literal["stop", "tool_calls", "length", "refusal"] = "stop"
    usage: Usage = Usage()
    model: str = ""
    answered_by: str = ""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """How to talk to a model. `item_by_item`: a small model that is asked for one item of the work
    at a time. `prose_feedback`: whether issues are told in words; small models copy such words into their answer.
    `temperatures`: one per cycle, the last one repeated. `sees_images`, `sees_pdfs`: what it can be shown of the
    execution's files. `price`: what the operator set for a profile, None where a price table is to say; there the model
    is `priced_as`, KIND:MODEL, or as its name where that is empty."""

    item_by_item: bool = False
    prose_feedback: bool = True
    max_output_tokens: int = 4096
    temperatures: tuple[float, ...] = ()
    sees_images: bool = False
    sees_pdfs: bool = False
    price: Price | None = None
    priced_as: str = ""


NOTHING_SENT = Usage(attempts=0)


class ModelError(Exception):
    """The provider could not be used. The text is clean: no key, no raw body. `retryable`: may work later.

    `is_away`: the provider, not the request, is what failed: overloaded, out of quota, down, silent; another
    provider may answer, or this one later. `usage` is what was spent all the same.
    """

    def __init__(
        self,
        explanation: str,
        *,
        retryable: bool,
        retry_after_seconds: float | None = None,
        is_away: bool = False,
        usage: Usage = NOTHING_SENT,
    ) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.is_away = is_away
        self.usage = usage


class ProviderAway(ModelError):
    """The provider is away for longer than a worker's slot is held: the run is to be given back, to go on in
    `resume_in_seconds`."""

    def __init__(self, error: ModelError, *, resume_in_seconds: float) -> None:
        super().__init__(
            error.explanation,
            retryable=True,
            retry_after_seconds=error.retry_after_seconds,
            is_away=True,
            usage=error.usage,
        )
        self.resume_in_seconds = resume_in_seconds


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


@runtime_checkable
class Gated(Protocol):
    """A model that answers only so many questions at a time."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """What to hold around `ask`. It is waited for as long as others ask, outside of a request's time limit."""
        ...


def slot(model: LanguageModel) -> AbstractAsyncContextManager[None]:
    """The model's slot; one that is always free where it has none."""
    return model.slot() if isinstance(model, Gated) else nullcontext()


@runtime_checkable
class Relaying(Protocol):
    """A model in whose place others may answer."""

    def named(self, name: str) -> LanguageModel:
        """The one of that name."""
        ...


def who_answered(model: LanguageModel, answer: Answer) -> LanguageModel:
    """The model that an answer is to be paid to: not always the one that was asked."""
    return model.named(answer.answered_by) if answer.answered_by and isinstance(model, Relaying) else model
