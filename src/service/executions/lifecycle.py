"""The guide's four statuses, which are for ever, and the ways between them."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """What a client sees. in_progress never returns to pending: a run that waits is in_progress."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    FINISHED = "finished"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the outcome is recorded; nothing changes after."""
        return self in (Status.FINISHED, Status.FAILED)


WAYS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.IN_PROGRESS, Status.FAILED}),
    Status.IN_PROGRESS: frozenset({Status.FINISHED, Status.FAILED}),
    Status.FINISHED: frozenset(),
    Status.FAILED: frozenset(),
}


def sources(target: Status) -> tuple[str, ...]:
    """The statuses from which `target` may be reached: what a guarded UPDATE names."""
    return tuple(status.value for status, targets in WAYS.items() if target in targets)
