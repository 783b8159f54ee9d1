"""A conversation as REST gives it: the guide's neighbours' fields, and the cycles of the run in full."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field


class HistoryMessage(Struct, kw_only=True):
    """A message that a reader of chats would show: the request, the files, the answer."""

    id: int
    text: str
    type: str
    file_type: str | None = None
    file_name: str | None = None


class ToolCallView(Struct, kw_only=True):
    """A tool call. `arguments` and `result` are as they came, null where they are not shown."""

    number: int
    name: str
    arguments: str | None
    result: str | None
    succeeded: bool | None
    attempts: int
    started_at: str
    seconds: float | None


class ToolRequestView(Struct, kw_only=True):
    """A tool call that the model asked for; `arguments` as it wrote them, null where they are not shown."""

    name: str
    arguments: str | None


class PromptMessage(Struct, kw_only=True, omit_defaults=True):
    """A message that a turn added to the prompt."""

    role: str
    text: str = ""
    tool_requests: list[ToolRequestView] = field(default_factory=list)
    tool_name: str = ""


class TurnView(Struct, kw_only=True):
    """One request to the model and its answer. `asked` is null where it is not shown.

    `strategy` is how it was asked for: propose in cycle 1, then patch, hint, full or escalate; explain where the model
    says why nothing was accepted. Tokens are those of the answer, `lost_tokens` those of requests that brought none.
    `cost` is in US dollars, both together, null where the price is not known.
    """

    number: int
    item: str | None
    model: str
    asked: list[PromptMessage] | None
    answer: str | None
    tool_requests: list[ToolRequestView]
    finish_reason: str | None
    attempts: int
    input_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    started_at: str
    seconds: float | None
    tool_calls: list[ToolCallView]
    strategy: str
    calls: int
    lost_tokens: int
    cost: float | None
    is_estimated: bool


class FixView(Struct, kw_only=True):
    """The value that code put at the issue's path."""

    value: Any


class IssueView(Struct, kw_only=True):
    """One thing that a validator found wrong; `path` is a JSON pointer into the answer.

    `narrow` is the JSON Schema that the next answer was held to at that place, `fix` what code put there without asking
    the model. Both may say what only tools have seen, so they are null where the contents of tool calls are not shown.
    """

    path: str
    message: str
    hint: str | None = None
    narrow: dict[str, Any] | None = None
    fix: FixView | None = None


class VerdictView(Struct, kw_only=True):
    """What one validator said about the cycle's answer: accept, retry or reject."""

    validator: str
    kind: str
    code: str | None
    explanation: str | None
    issues: list[IssueView]


class CycleView(Struct, kw_only=True):
    """One proposed answer and the verdicts on it; cycle 1 is the proposal, the rest are corrections.

    The figures are sums over its turns, requests that brought no answer included; `model` is that of its last turn.
    """

    number: int
    turns: list[TurnView]
    verdicts: list[VerdictView]
    strategy: str | None
    model: str | None
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float


class ConversationRecord(Struct, kw_only=True):
    """The read-only record of a run."""

    id: int
    started_at: str
    summary: str | None
    history: list[HistoryMessage]
    agent: int
    is_execution_conversation: bool
    execution: int | None
    cycles: list[CycleView]
