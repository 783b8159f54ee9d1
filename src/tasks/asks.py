"""What an answer is wanted for, and what came of asking."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.definitions.definition import Item
from service.definitions.strategy import PROPOSE
from service.definitions.verdicts import Issue
from tasks.narrowing import Path, Schema


@dataclass(frozen=True, kw_only=True)
class Ask:
    """The whole work or one item of it, in one cycle.

    In a correction, `issues` are what the last answer was rejected for, `strategy` the rung that is taken,
    `rejected` that answer (None where it could not be read), `fields` those that a patch is asked for, and
    `narrows` what the values at these paths are held to. Paths lead from the answer, within an item from its value.
    """

    input: Any
    instructions: str
    item: Item | None = None
    cycle: int = 1
    issues: Sequence[Issue] = ()
    strategy: str = PROPOSE
    rejected: Any = None
    fields: tuple[str, ...] = ()
    narrows: Sequence[tuple[Path, Schema]] = ()
    places: frozenset[Path] = frozenset()

    @property
    def item_key(self) -> str | None:
        """The item's key, None for all of the work."""
        return self.item.key if self.item else None


@dataclass(frozen=True)
class Reply:
    """What the model ended with: the text of an answer, or the reason why it stopped the execution or refused it.

    `stop_code` is the definition's failure code that it named with its reason."""

    text: str = ""
    finish_reason: str = "stop"
    stopped: str | None = None
    stop_code: str | None = None
    refused: str | None = None
