"""The read-only record of a run. Prompts, and arguments and results of tools, are None where they are not shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Message:
    """What a reader of chats would show: the request, the files, the answers."""

    id: int
    text: str
    type: str
    file_type: str | None = None
    file_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class ToolRequest:
    """A tool call that the model asked for."""

    name: str
    arguments: str | None = None


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool call that was made. `succeeded` is None while it runs."""

    number: int
    name: str
    arguments: str | None
    result: str | None
    succeeded: bool | None
    attempts: int
    started_at: datetime
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class PromptMessage:
    """A message that a turn added to the prompt."""

    role: str
    text: str = ""
    tool_requests: tuple[ToolRequest, ...] = ()
    tool_name: str = ""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One request to the model and its answer. `strategy` is how it was asked for."""

    number: int
    model: str
    asked: tuple[PromptMessage, ...] | None
    answer: str | None
    tool_requests: tuple[ToolRequest, ...]
    finish_reason: str | None
    attempts: int
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    started_at: datetime
    seconds: float | None
    tool_calls: tuple[ToolCall, ...]
    strategy: str | None = None
    item: str | None = None
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Issue:
    """One thing that a validator found wrong; `path` is a JSON pointer into the answer."""

    path: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one validator said: `kind` is accept, retry or reject."""

    validator: str
    kind: str
    code: str | None
    explanation: str | None
    issues: tuple[Issue, ...]


@dataclass(frozen=True, kw_only=True)
class Cycle:
    """One proposed answer and the verdicts on it; cycle 1 is the proposal, the rest are corrections."""

    number: int
    turns: tuple[Turn, ...]
    verdicts: tuple[Verdict, ...]
    strategy: str | None = None
    model: str | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """The record of a run, cycle by cycle. `raw` is the object as REST gave it."""

    id: int
    started_at: datetime
    summary: str | None
    history: tuple[Message, ...]
    agent: int
    is_execution_conversation: bool
    execution: int | None = None
    cycles: tuple[Cycle, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
