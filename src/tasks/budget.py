"""What a run may still spend. Pure: what it costs is told to it, and the time.

Spend is reserved before a call, with as much as the call can cost at most, and settled after it with what it did
cost. So a run overshoots its limits by at most one call, and what a call cost that nobody saw the end of is kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from service.definitions.failures import ExitReason, FailureCode
from service.definitions.limits import Limits
from tasks.llm.protocol import Answer, Request, Usage

BYTES_PER_TOKEN = 3
"""Bytes of a prompt that make a token, on the safe side: English has about 4, JSON and other scripts fewer."""

ZERO = Decimal(0)

CostOf = Callable[[Usage], Decimal | None]
"""What so many tokens of one model cost in US dollars; None where nobody knows."""


class LimitReached(Exception):
    """The run used up what it may; `code` is the failure code it ends with, `reason` the limit."""

    def __init__(self, code: FailureCode, explanation: str, reason: ExitReason) -> None:
        super().__init__(explanation)
        self.code = code
        self.explanation = explanation
        self.reason = reason


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens, US dollars (None where the price is not known) and calls. `is_estimated`: a part of it is our guess."""

    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal | None = ZERO
    calls: int = 0
    is_estimated: bool = False

    def __add__(self, other: Spend) -> Spend:
        return Spend(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=None if self.cost is None or other.cost is None else self.cost + other.cost,
            calls=self.calls + other.calls,
            is_estimated=self.is_estimated or other.is_estimated,
        )

    def times(self, count: int) -> Spend:
        """The same that many times over."""
        return sum([self] * count, Spend())


def reservation(request: Request, cost_of: CostOf) -> Spend:
    """The most that a call can cost: its prompt as it is estimated, and all the output that it may have."""
    usage = Usage(
        input_tokens=math.ceil(len(msgspec.json.encode(request)) / BYTES_PER_TOKEN),
        output_tokens=request.max_output_tokens,
    )
    return msgspec.structs.replace(_spend(usage, cost_of), calls=1, is_estimated=True)


def spent_on(answer: Answer, reserved: Spend, cost_of: CostOf) -> tuple[Spend, Spend]:
    """What an answer cost, and what requests for it cost that were not answered: each of them as it was reserved.

    Where the provider gave no figures they are estimated.
    """
    usage = answer.usage
    if not (usage.input_tokens or usage.output_tokens):
        said = len(answer.text.encode()) + sum(len(request.arguments.encode()) for request in answer.tool_requests)
        usage = msgspec.structs.replace(
            usage,
            input_tokens=reserved.input_tokens,
            output_tokens=math.ceil(said / BYTES_PER_TOKEN),
            is_estimated=True,
        )
    return _spend(usage, cost_of), reserved.times(usage.unanswered)


def spent_in_vain(usage: Usage, reserved: Spend, cost_of: CostOf) -> Spend:
    """What a call cost that ended in a fault."""
    return _spend(usage, cost_of) + reserved.times(usage.unanswered)


def _spend(usage: Usage, cost_of: CostOf) -> Spend:
    return Spend(
        input_tokens=usage.input_tokens,
        cached_tokens=usage.cached_tokens,
        output_tokens=usage.output_tokens,
        cost=cost_of(usage) if usage.input_tokens or usage.output_tokens else ZERO,
        calls=max(0, usage.attempts - usage.unanswered),
        is_estimated=usage.is_estimated,
    )


@dataclass(frozen=True, kw_only=True)
class TimeLeft:
    """Seconds until a run must have ended, counted from now; None is no end. `deadline` is the caller's."""

    seconds: float | None = None
    deadline: float | None = None


class Budget:
    """The limits of one run and what it has used of them. `turn_seconds` is what the worker is set to."""

    def __init__(
        self,
        limits: Limits,
        *,
        turn_seconds: float = 120.0,
        left: TimeLeft | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.spent = Spend()
        self.tool_calls = 0
        self._turn_seconds = min(turn_seconds, limits.turn_seconds or turn_seconds)
        self._clock = clock
        now, left = clock(), left or TimeLeft(seconds=limits.seconds)
        self._ends = None if left.seconds is None else now + left.seconds
        self._deadline = None if left.deadline is None else now + left.deadline

    def add(self, spend: Spend) -> None:
        """Count what was spent."""
        self.spent += spend

    def reserve(self, request: Request, cost_of: CostOf) -> tuple[Request, Spend]:
        """The request as it may be sent, with no more output and time than is left, and the most that it can cost.

        Raises LimitReached where there is no room for it.
        """
        self.check_time()
        request = msgspec.structs.replace(request, timeout_seconds=self._seconds())
        left = self._left(self.limits.output_tokens, self.spent.output_tokens)
        if left is not None:
            if left < 1:
                raise self._tokens("output", self.limits.output_tokens)
            request = msgspec.structs.replace(request, max_output_tokens=min(request.max_output_tokens, left))
        reserved = reservation(request, cost_of)
        left = self._left(self.limits.input_tokens, self.spent.input_tokens)
        if left is not None and reserved.input_tokens > left:
            raise self._tokens("input", self.limits.input_tokens)
        return self._affordable(request, reserved, cost_of)

    def use_tools(self, names: Sequence[str]) -> None:
        """Count tool calls that are to be made. Raises LimitReached where they are too many."""
        self.tool_calls += len(names)
        if self.tool_calls > self.limits.tool_calls:
            last = ", ".join(sorted({name[:100] for name in names})[:5])
            raise LimitReached(
                FailureCode.TOOL_CALLS_EXCEEDED,
                f"The model asked for more than the {self.limits.tool_calls} tool calls that one execution may make; "
                f"last: {last}.",
                ExitReason.TOOL_CALLS,
            )

    def check_time(self) -> None:
        """Raises LimitReached where the time is over."""
        now = self._clock()
        if self._deadline is not None and now >= self._deadline:
            explanation = "The deadline of the execution passed before it had ended."
            raise LimitReached(FailureCode.DEADLINE_EXCEEDED, explanation, ExitReason.DEADLINE)
        if self._ends is not None and now >= self._ends:
            explanation = f"The execution ran longer than the {self.limits.seconds:g} seconds that it may."
            raise LimitReached(FailureCode.TIME_EXCEEDED, explanation, ExitReason.SECONDS)

    def _seconds(self) -> float:
        ends = [end - self._clock() for end in (self._ends, self._deadline) if end is not None]
        return max(0.001, min([self._turn_seconds, *ends]))

    def _left(self, most: int | None, used: int) -> int | None:
        return None if most is None else most - used

    def _tokens(self, kind: str, most: int | None) -> LimitReached:
        used = getattr(self.spent, f"{kind}_tokens")
        explanation = f"The next request to the model would exceed the limit of {most} {kind} tokens; {used} are used."
        return LimitReached(FailureCode.TOKENS_EXCEEDED, explanation, ExitReason(f"{kind}_tokens"))

    def _affordable(self, request: Request, reserved: Spend, cost_of: CostOf) -> tuple[Request, Spend]:
        """With less output where the money is not enough for all that the model might write."""
        if self.limits.cost is None:
            return request, reserved
        most, spent = Decimal(str(self.limits.cost)), self.spent.cost
        if reserved.cost is None or spent is None:
            raise self._too_dear("the price of its model is not known, so the limit could not be kept")
        if reserved.cost <= most - spent:
            return request, reserved
        prompt = cost_of(Usage(input_tokens=reserved.input_tokens)) or ZERO
        room = (most - spent - prompt) / (reserved.cost - prompt) if reserved.cost > prompt else ZERO
        output = int(room * request.max_output_tokens)
        if output < 1:
            raise self._too_dear(f"{spent:f} are spent, and the next request would cost up to {reserved.cost:f}")
        request = msgspec.structs.replace(request, max_output_tokens=output)
        return request, reservation(request, cost_of)

    def _too_dear(self, why: str) -> LimitReached:
        explanation = f"The execution may cost {self.limits.cost:g} US dollars; {why}."
        return LimitReached(FailureCode.COST_EXCEEDED, explanation, ExitReason.COST)
