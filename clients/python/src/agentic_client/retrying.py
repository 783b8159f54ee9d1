"""When a request is sent again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass
from random import uniform

from agentic_client.errors import AgenticError


@dataclass(frozen=True, kw_only=True)
class Retrying:
    """Up to `attempts` of one request; 1 is never again. The pause doubles from `first_seconds` on, and is drawn from
    its upper half, so that clients that failed together do not come back together. What Retry-After asks for is kept
    to; more than `longest_seconds` is not waited for but raised."""

    attempts: int = 6
    first_seconds: float = 0.5
    longest_seconds: float = 30.0

    def pause(self, attempt: int, error: AgenticError) -> float | None:
        """The seconds to wait after attempt number `attempt`, from 1 on; None: give up, and raise the error."""
        if attempt >= self.attempts or not error.may_be_repeated:
            return None
        asked = error.retry_after_seconds
        if asked is not None:
            return None if asked > self.longest_seconds else asked * uniform(1.0, 1.2)  # noqa: S311
        return min(self.longest_seconds, self.first_seconds * 2.0 ** (attempt - 1)) * uniform(0.5, 1.0)  # noqa: S311


DEFAULT = Retrying()
