"""Failure codes of the service, and how a run ends. A definition may add codes of its own."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Finished:
    """Every validator accepted; `result` is JSON-able."""

    result: Any
    cycles: int = 0


@dataclass(frozen=True)
class Failed:
    """The run ended without a result. The explanation is never empty and holds no SQL, key or stack."""

    code: str
    explanation: str
    retryable: bool = False
    cycles: int = 0

    def __post_init__(self) -> None:
        if not self.explanation.strip():
            raise ValueError(f"a failure ({self.code}) needs an explanation")


Outcome = Finished | Failed
