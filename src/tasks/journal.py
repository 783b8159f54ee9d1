"""The journal of a run as the loop sees it: what is written before each next step, and what a resume reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from service.definitions.strategy import PROPOSE
from service.definitions.verdicts import Spoken
from tasks.approving import Standing
from tasks.budget import Spend
from tasks.llm.protocol import Answer, Message


class TurnStart(msgspec.Struct, frozen=True, kw_only=True):
    """A turn about to be asked. `added` are the messages that no earlier turn of the cycle and item had.

    `strategy` is the rung of the ladder that it asks on, "propose" in the first cycle. `reserved` is the most that the
    call can cost.
    """

    number: int
    cycle: int
    item: str | None
    model: str
    request_digest: bytes
    added: tuple[Message, ...]
    strategy: str = PROPOSE
    reserved: Spend = Spend()


class ToolCallStart(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call about to run. `arguments` is the model's JSON text as it came."""

    turn: int
    number: int
    call_id: str
    name: str
    arguments: str
    idempotency_key: str


class ToolCallRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A journalled call. `result` is JSON text; None where the worker died while it ran."""

    start: ToolCallStart
    result: str | None = None
    succeeded: bool | None = None


class TurnRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A journalled turn. `answer` is None where the worker died while the model worked, or the model failed.

    `asked` are the numbers of its calls for which an approval was asked. `spent` is everything that the turn cost so
    far; a call whose end nobody saw counts as it was reserved.
    """

    start: TurnStart
    answer: Answer | None = None
    calls: tuple[ToolCallRecord, ...] = ()
    asked: frozenset[int] = frozenset()
    spent: Spend = Spend()


class VerdictRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One validator's verdict on one cycle. `issues` are {path, message, hint, narrow, fix} as stored."""

    cycle: int
    validator: str
    kind: str
    code: str | None = None
    explanation: str | None = None
    issues: tuple[dict[str, Any], ...] = ()


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Everything journalled so far, in order."""

    turns: tuple[TurnRecord, ...] = ()
    verdicts: tuple[VerdictRecord, ...] = ()


class LostClaim(Exception):
    """The run is no longer ours: another worker has it, it is final, or it was cancelled. Nothing more is written."""


class Journal(Protocol):
    """Each method is one short transaction, fenced by worker and epoch; any may raise LostClaim.

    start_turn and start_tool_call of a number that exists count an attempt; the other methods are safe to repeat.
    What a turn cost is `spent` on its answer and `lost` on requests that got none; fail_turn ends a request, not
    the turn: it can be started again.
    """

    async def load(self) -> RunRecord: ...

    async def start_turn(self, turn: TurnStart) -> None: ...

    async def finish_turn(self, number: int, answer: Answer, *, spent: Spend, lost: Spend) -> None: ...

    async def fail_turn(self, number: int, lost: Spend) -> None: ...

    async def start_tool_call(self, call: ToolCallStart) -> None: ...

    async def finish_tool_call(self, call: ToolCallStart, *, result: str, succeeded: bool) -> None: ...

    async def ask_approval(self, call: ToolCallStart, *, seconds: float | None) -> Standing:
        """Ask once whether the call may run, for at most so many seconds, and say how it stands."""
        ...

    async def decline_tool_call(self, call: ToolCallStart, *, result: str) -> None:
        """The call ends without having been started. `result` is what the model is told."""
        ...

    async def record_verdicts(self, cycle: int, spoken: Sequence[Spoken]) -> None: ...
