"""Rows of the journal as the record that REST gives."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from service.conversations.models import (
    ConversationRecord,
    CycleView,
    HistoryMessage,
    IssueView,
    PromptMessage,
    ToolCallView,
    ToolRequestView,
    TurnView,
    VerdictView,
)
from service.conversations.store import ConversationRows
from service.database import Row
from service.times import ts


class StoredAnswer(msgspec.Struct):
    """What the journal keeps of an answer, as far as it is shown."""

    text: str = ""
    tool_requests: list[ToolRequestView] = msgspec.field(default_factory=list)


def conversation_record(rows: ConversationRows, *, shows_contents: bool) -> ConversationRecord:
    """The record; without `shows_contents` the prompts, the arguments and results of tool calls, and what issues fix or
    narrow are left out."""
    turns = [_turn(row, rows.tool_calls, shows_contents=shows_contents) for row in rows.turns]
    conversation = rows.conversation
    return ConversationRecord(
        id=conversation["id"],
        started_at=ts(conversation["started_at"]),
        summary=conversation["summary"],
        history=_history(rows, turns),
        agent=conversation["agent_id"],
        is_execution_conversation=conversation["execution_id"] is not None,
        execution=conversation["execution_id"],
        cycles=_cycles(rows, turns, shows_contents=shows_contents),
    )


def _history(rows: ConversationRows, turns: list[TurnView]) -> list[HistoryMessage]:
    """What went in and what the model said, numbered from 1; tool calls are not part of it."""
    said: list[dict[str, Any]] = []
    if rows.conversation["input"] is not None:
        said.append({"type": "human", "text": msgspec.json.encode(rows.conversation["input"]).decode()})
    said += [
        {"type": "file", "text": "", "file_type": file["content_type"], "file_name": file["filename"]}
        for file in rows.files
    ]
    said += [{"type": "ai", "text": turn.answer} for turn in turns if turn.answer]
    return [HistoryMessage(id=number, **message) for number, message in enumerate(said, start=1)]


def _cycles(rows: ConversationRows, turns: list[TurnView], *, shows_contents: bool) -> list[CycleView]:
    turns_of: defaultdict[int, list[TurnView]] = defaultdict(list)
    verdicts_of: defaultdict[int, list[VerdictView]] = defaultdict(list)
    for row, turn in zip(rows.turns, turns, strict=True):
        turns_of[row["cycle"]].append(turn)
    for row in rows.verdicts:
        verdicts_of[row["cycle"]].append(_verdict(row, shows_contents=shows_contents))
    return [
        _cycle(number, [row for row in rows.turns if row["cycle"] == number], turns_of[number], verdicts_of[number])
        for number in sorted({*turns_of, *verdicts_of})
    ]


def _cycle(number: int, rows: list[Row], turns: list[TurnView], verdicts: list[VerdictView]) -> CycleView:
    costs = [turn.cost for turn in turns]
    return CycleView(
        number=number,
        turns=turns,
        verdicts=verdicts,
        strategy=turns[0].strategy if turns else None,
        model=turns[-1].model if turns else None,
        input_tokens=sum((row["input_tokens"] or 0) + row["other_input_tokens"] for row in rows),
        cached_tokens=sum((row["cached_tokens"] or 0) + row["lost_cached_tokens"] for row in rows),
        output_tokens=sum((row["output_tokens"] or 0) + row["other_output_tokens"] for row in rows),
        cost=None if None in costs else float(sum(row["cost"] for row in rows)),
        seconds=round(sum(turn.seconds or 0 for turn in turns), 3),
    )


def _turn(row: Row, tool_calls: list[Row], *, shows_contents: bool) -> TurnView:
    answer = _answer(row["answer"])
    if not shows_contents:
        for request in answer.tool_requests:
            request.arguments = None
    return TurnView(
        number=row["number"],
        item=row["item"],
        model=row["model"],
        asked=_asked(row["request"]),
        answer=None if row["answer"] is None else answer.text,
        tool_requests=answer.tool_requests,
        finish_reason=row["finish_reason"],
        attempts=row["attempts"],
        input_tokens=row["input_tokens"],
        cached_tokens=row["cached_tokens"],
        output_tokens=row["output_tokens"],
        started_at=ts(row["started_at"]),
        seconds=row["seconds"],
        tool_calls=[_tool_call(call) for call in tool_calls if call["turn"] == row["number"]],
        strategy=row["strategy"],
        calls=row["calls"],
        lost_tokens=row["other_input_tokens"] + row["other_output_tokens"],
        cost=None if row["cost"] is None else float(row["cost"]),
        is_estimated=row["is_estimated"],
    )


def _answer(stored: bytes | None) -> StoredAnswer:
    """The journal holds JSON; what does not decode is shown as the text that it is."""
    text = _shown(stored) or ""
    try:
        return msgspec.json.decode(text, type=StoredAnswer)
    except msgspec.DecodeError:
        return StoredAnswer(text=text)


def _asked(stored: bytes | None) -> list[PromptMessage] | None:
    text = _shown(stored)
    if text is None:
        return None
    try:
        return msgspec.json.decode(text, type=list[PromptMessage])
    except msgspec.DecodeError:
        return [PromptMessage(role="user", text=text)]


def _tool_call(row: Row) -> ToolCallView:
    return ToolCallView(
        number=row["number"],
        name=row["name"],
        arguments=_shown(row["arguments"]),
        result=_shown(row["result"]),
        succeeded=row["succeeded"],
        attempts=row["attempts"],
        started_at=ts(row["started_at"]),
        seconds=row["seconds"],
    )


def _verdict(row: Row, *, shows_contents: bool) -> VerdictView:
    issues = [msgspec.convert(issue, IssueView) for issue in row["issues"]]
    if not shows_contents:
        for issue in issues:
            issue.narrow, issue.fix = None, None
    return VerdictView(
        validator=row["validator"],
        kind=row["kind"],
        code=row["code"],
        explanation=row["explanation"],
        issues=issues,
    )


def _shown(stored: bytes | None) -> str | None:
    """Bytes of a model or a tool as text; what is not UTF-8 becomes U+FFFD."""
    return None if stored is None else bytes(stored).decode("utf-8", "replace")
