"""Failure codes of the service, and how a run ends. A definition may add codes of its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class FailureCode(StrEnum):
    """The codes that any execution may end with; the first four are the guide's."""

    RUNTIME_ERROR = "runtime_error"
    MAX_RETRIES_EXCEEDED = "max_retries_exceeded"
    VALIDATION_FAILED = "validation_failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    DEADLINE_EXCEEDED = "deadline_exceeded"
    TOOL_CALLS_EXCEEDED = "tool_calls_exceeded"
    TOKENS_EXCEEDED = "tokens_exceeded"
    COST_EXCEEDED = "cost_exceeded"
    TIME_EXCEEDED = "time_exceeded"
    OUTPUT_TOO_LARGE = "output_too_large"
    WORKER_LOST = "worker_lost"
    DEFINITION_UNAVAILABLE = "definition_unavailable"


MEANINGS: dict[FailureCode, tuple[str, bool]] = {
    FailureCode.RUNTIME_ERROR: ("An unexpected error occurred during execution", True),
    FailureCode.MAX_RETRIES_EXCEEDED: (
        "The LLM failed to pass validators after the maximum number of correction cycles",
        True,
    ),
    FailureCode.VALIDATION_FAILED: ("A validator rejected the response without allowing a retry", False),
    FailureCode.UNKNOWN: ("Execution reported failure but returned no structured failure code", False),
    FailureCode.CANCELLED: ("The execution was cancelled", True),
    FailureCode.DEADLINE_EXCEEDED: ("The deadline that the caller set passed", True),
    FailureCode.TOOL_CALLS_EXCEEDED: ("The model called tools more often than the definition allows", True),
    FailureCode.TOKENS_EXCEEDED: ("The execution used more tokens than it may", False),
    FailureCode.COST_EXCEEDED: ("The execution cost more than it may", False),
    FailureCode.TIME_EXCEEDED: ("The execution ran longer than it may", True),
    FailureCode.OUTPUT_TOO_LARGE: ("The result is larger than the service keeps", False),
    FailureCode.WORKER_LOST: ("The worker process died under this execution repeatedly", False),
    FailureCode.DEFINITION_UNAVAILABLE: ("No running worker has the version of the definition", True),
}
"""Code: (meaning, whether the same request may succeed later)."""


class ExitReason(StrEnum):
    """What ended a run, finer than the code: which budget, whose fault."""

    FINISHED = "finished"
    REJECTED = "rejected"
    STOPPED = "stopped"
    CORRECTIONS = "corrections"
    TOOL_CALLS = "tool_calls"
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    COST = "cost"
    SECONDS = "seconds"
    DEADLINE = "deadline"
    PROVIDER = "provider"
    WORKER_LOST = "worker_lost"
    DEFINITION_UNAVAILABLE = "definition_unavailable"
    ERROR = "error"
    OUTPUT_TOO_LARGE = "output_too_large"
    CANCELLED = "cancelled"


EXIT_REASONS: dict[str, ExitReason] = {
    FailureCode.RUNTIME_ERROR: ExitReason.ERROR,
    FailureCode.MAX_RETRIES_EXCEEDED: ExitReason.CORRECTIONS,
    FailureCode.CANCELLED: ExitReason.CANCELLED,
    FailureCode.DEADLINE_EXCEEDED: ExitReason.DEADLINE,
    FailureCode.TOOL_CALLS_EXCEEDED: ExitReason.TOOL_CALLS,
    FailureCode.TOKENS_EXCEEDED: ExitReason.OUTPUT_TOKENS,
    FailureCode.COST_EXCEEDED: ExitReason.COST,
    FailureCode.TIME_EXCEEDED: ExitReason.SECONDS,
    FailureCode.OUTPUT_TOO_LARGE: ExitReason.OUTPUT_TOO_LARGE,
    FailureCode.WORKER_LOST: ExitReason.WORKER_LOST,
    FailureCode.DEFINITION_UNAVAILABLE: ExitReason.DEFINITION_UNAVAILABLE,
}
"""What a code says by itself; every other code is a validator's: rejected."""


@dataclass(frozen=True)
class Finished:
    """Every validator accepted; `result` is JSON-able."""

    result: Any
    cycles: int = 0


@dataclass(frozen=True)
class Failed:
    """The run ended without a result. The explanation is never empty and holds no SQL, key or stack.

    `reason` is given where the code does not say by itself what ended it.
    """

    code: str
    explanation: str
    retryable: bool = False
    cycles: int = 0
    reason: ExitReason | None = field(default=None, compare=False)

    @property
    def exit_reason(self) -> ExitReason:
        """`reason`, or what the code says."""
        return self.reason or EXIT_REASONS.get(self.code, ExitReason.REJECTED)

    def __post_init__(self) -> None:
        if not self.explanation.strip():
            raise ValueError(f"a failure ({self.code}) needs an explanation")


Outcome = Finished | Failed
