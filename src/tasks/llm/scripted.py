"""A model that says what a script says: for tests, demonstrations and load, with delays and faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from service.definitions.context import ToolCall
from service.errors import SetupError
from tasks.llm.protocol import Answer, ModelError, Profile, Request, ToolRequest, Usage

FAULTS: dict[str, ModelError] = {
    "429": ModelError(
        "The model provider is limiting requests (429).", retryable=True, is_away=True, retry_after_seconds=1
    ),
    "500": ModelError("The model provider failed (500).", retryable=True, is_away=True),
    "timeout": ModelError("The model provider did not answer in time.", retryable=True, is_away=True),
    "reset": ModelError("The connection to the model provider was reset.", retryable=True, is_away=True),
    "garbage": ModelError("The model provider sent something that is no answer.", retryable=True, is_away=True),
    "401": ModelError("The model provider refused the credentials (401).", retryable=False),
}
"""What {"fault": NAME} raises: as an adapter would, after its own retries."""


@dataclass(frozen=True)
class Step:
    """One turn of a script: an answer or an error, after a delay."""

    says: Answer | ModelError
    delay_seconds: float = 0.0


Speech = Any
"""What a step may be given as: a Step, an Answer, a ToolCall, a list of ToolCalls (parallel), an exception, text, any
other JSON value, or a function of the Request that returns one of these."""


class ScriptedModel:
    """Answers turn n of a run with step n, whichever worker asks; counts a token per four characters."""

    def __init__(self, steps: Sequence[Speech], *, name: str = "scripted", profile: Profile | None = None) -> None:
        self.name = name
        self.profile = profile or Profile()
        self._steps = tuple(steps)
        self._asked = 0

    @classmethod
    def from_file(cls, path: str | Path) -> ScriptedModel:
        """The script in a file. Raises SetupError naming the line that cannot be read."""
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"The script {str(path)!r} cannot be read: {error}") from error
        return cls(read_script(text, str(path)), name=f"scripted:{path}")

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """The step for the request's turn. Raises its ModelError, and one when the script has ended."""
        self._asked += 1
        number = request.turn or self._asked
        if number > len(self._steps):
            raise ModelError(f"The script has ended: it has {len(self._steps)} steps.", retryable=False)
        given = self._steps[number - 1]
        step = _step(given(request) if callable(given) else given, number)
        await asyncio.sleep(step.delay_seconds)
        if isinstance(step.says, ModelError):
            raise step.says
        return _counted(step.says, request, self.name)

    async def close(self) -> None:
        """Nothing is held."""


def read_script(text: str, source: str = "script") -> list[Step]:
    """The steps of a script: one JSON object a line; lines that are empty or begin with # say nothing.

    {"answer": text or JSON}, {"tool": name, "args": {…}}, {"tools": [{"tool": …, "args": …}, …]} (parallel),
    {"fault": name of FAULTS}, {"delay_seconds": n} before the next line. An answer may have a "finish_reason".
    """
    steps: list[Step] = []
    delay = 0.0
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            read = _read_line(json.loads(line), len(steps) + 1)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SetupError(f"{source}, line {number}: {error}: {line[:100]!r}") from error
        if isinstance(read, float):
            delay += read
        else:
            steps.append(replace(read, delay_seconds=delay))
            delay = 0.0
    return steps


def _counted(answer: Answer, request: Request, model: str) -> Answer:
    """The answer with the model's name and an estimate of what a provider would have counted."""
    said = len(answer.text) + sum(len(call.arguments) for call in answer.tool_requests)
    heard = sum(len(message.text) for message in request.messages)
    usage = Usage(input_tokens=max(1, heard // 4), output_tokens=max(1, said // 4))
    return Answer(
        text=answer.text,
        tool_requests=answer.tool_requests,
        finish_reason=answer.finish_reason,
        usage=usage if answer.usage == Usage() else answer.usage,
        model=answer.model or model,
    )


def _read_line(line: Any, number: int) -> Step | float:
    match line:
        case {"delay_seconds": float() | int() as seconds}:
            return float(seconds)
        case {"fault": str() as fault} if fault in FAULTS:
            return Step(FAULTS[fault])
        case {"fault": fault}:
            raise ValueError(f"unknown fault {fault!r}, known are {', '.join(FAULTS)}")
        case {"answer": answer}:
            text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
            return Step(Answer(text=text, finish_reason=_finish_reason(line.get("finish_reason", "stop"))))
        case {"tool": str()}:
            return Step(_calls([_call(line)], number))
        case {"tools": [_, *_] as tools}:
            return Step(_calls([_call(part) for part in tools], number))
        case _:
            raise ValueError("a line is an answer, a tool, tools, a fault or a delay_seconds")


def _finish_reason(given: object) -> Literal["stop", "length", "refusal"]:
    match given:
        case "stop" | "length" | "refusal":
            return given
        case _:
            raise ValueError(f"unknown finish_reason {given!r}")


def _call(line: Any) -> ToolCall:
    return ToolCall(name=line["tool"], arguments=line.get("args", {}))


def _step(given: Speech, number: int) -> Step:
    match given:
        case Step():
            return given
        case Answer() | ModelError():
            return Step(given)
        case BaseException():
            raise given
        case ToolCall():
            return Step(_calls([given], number))
        case list() if given and all(isinstance(part, ToolCall) for part in given):
            return Step(_calls(given, number))
        case str():
            return Step(Answer(text=given))
        case _:
            return Step(Answer(text=json.dumps(given, ensure_ascii=False)))


def _calls(calls: Sequence[ToolCall], number: int) -> Answer:
    requests = tuple(
        ToolRequest(
            call_id=f"call-{number}-{index}", name=call.name, arguments=json.dumps(call.arguments, ensure_ascii=False)
        )
        for index, call in enumerate(calls, start=1)
    )
    return Answer(tool_requests=requests, finish_reason="tool_calls")
