"""What is asked after a rejected answer: fixes are put in place, then what issues are left about, each on its rung."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.definitions.definition import AnyDefinition
from service.definitions.schema import schema_of
from service.definitions.strategy import Rung
from service.definitions.verdicts import Issue, Retry, Spoken
from tasks import prompt
from tasks.asks import Ask
from tasks.conversation import Conversation
from tasks.draft import Draft
from tasks.ladder import Ladder
from tasks.narrowing import Path, Schema, patchable, path_of

MAX_FIXES_IN_A_ROW = 3
"""Cycles one after the other that only fixes made; validators that undo each other's fixes end there."""


@dataclass(frozen=True)
class _Objection:
    """An issue, who raised it, and the path from the answer."""

    validator: str
    issue: Issue
    path: Path


class Corrections:
    """The corrections of one run. All it knows it finds again on a resume from the answers and the verdicts."""

    def __init__(self, definition: AnyDefinition, conversation: Conversation, asks: Sequence[Ask]) -> None:
        self._asks = asks
        self._keys = {ask.item_key for ask in asks}
        self._conversation = conversation
        self._ladders = {ask.item_key: Ladder(definition.strategy.ladder) for ask in asks}
        output = schema_of(definition.output, titles=False)
        self._schemas = {ask.item_key: prompt.value_schema(output, ask.item) for ask in asks}
        self._fixed_in_a_row = 0

    def after(self, cycle: int, draft: Draft, spoken: Sequence[Spoken], *, is_last: bool) -> list[Ask]:
        """The asks after this cycle; none where fixes, which are in the draft now, leave nothing to ask for.

        Everything that an issue is about is asked again, for a general issue all of it. `is_last`: the model may be
        asked once more only.
        """
        answers = {key: draft.part(key) for key in self._keys}
        may_fix = self._fixed_in_a_row < MAX_FIXES_IN_A_ROW
        fixed: list[_Objection] = []
        left: list[_Objection] = []
        for objection in _objections(spoken):
            fix = objection.issue.fix
            is_fixed = may_fix and fix is not None and draft.put(objection.path, fix.value)
            (fixed if is_fixed else left).append(objection)
        asks = []
        for ask in self._asks:
            key = ask.item_key
            if concerned := [each for each in left if self._item_of(each) in (None, key)]:
                narrows = self._narrows(key, concerned, fixed)
                correction = replace(ask, cycle=cycle + 1, rejected=draft.part(key), narrows=narrows)
                asks.append(self._on_its_rung(correction, concerned, _digest(answers[key]), is_last=is_last))
        self._fixed_in_a_row = 0 if asks else self._fixed_in_a_row + 1
        return asks

    def _on_its_rung(self, ask: Ask, objections: Sequence[_Objection], answer: bytes | None, *, is_last: bool) -> Ask:
        places = frozenset(_within(ask.item_key, objection.path) or () for objection in objections)
        fields = patchable(self._schemas[ask.item_key], ask.rejected, places)
        shows = self._conversation.profile.prose_feedback and answer is not None
        applies: dict[Rung, bool] = {
            "patch": bool(fields),
            "hint": True,
            "full": shows,
            "escalate": self._conversation.can_escalate,
        }
        rung = self._ladders[ask.item_key].next_rung(
            applies=applies.__getitem__,
            answer=answer,
            sign=frozenset((objection.validator, objection.issue.path) for objection in objections),
            is_last=is_last,
        )
        issues = tuple(objection.issue for objection in objections)
        return replace(ask, issues=issues, strategy=rung, places=places, fields=fields if rung == "patch" else ())

    def _narrows(
        self, key: str | None, left: Sequence[_Objection], fixed: Sequence[_Objection]
    ) -> tuple[tuple[Path, Schema], ...]:
        """What validators hold the next values to; one that was fixed stays as it is, unless another objects to it."""
        held = [(each.path, each.issue.narrow) for each in left if each.issue.narrow is not None]
        for each in fixed:
            if each.issue.fix is not None and not any(_overlap(each.path, other.path) for other in left):
                held.append((each.path, {"const": each.issue.fix.value}))
        within = ((_within(key, path), schema) for path, schema in held)
        return tuple((path, schema) for path, schema in within if path is not None)

    def _item_of(self, objection: _Objection) -> str | None:
        """The item that an issue is about; None for all of the work."""
        first = objection.path[0] if objection.path else None
        return first if first in self._keys else None


def _within(key: str | None, path: Path) -> Path | None:
    """The path from the item's value; None where it leads elsewhere."""
    if key is None:
        return path
    return path[1:] if path[:1] == (key,) else None


def _objections(spoken: Sequence[Spoken]) -> list[_Objection]:
    return [
        _Objection(said.validator, issue, path_of(issue.path))
        for said in spoken
        if isinstance(said.verdict, Retry)
        for issue in said.verdict.issues
    ]


def _overlap(one: Path, other: Path) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _digest(answer: Any) -> bytes | None:
    """What tells an answer from another; None for none, and for one that is nested without end."""
    try:
        return None if answer is None else hashlib.sha256(json.dumps(answer, sort_keys=True).encode()).digest()
    except RecursionError:
        return None
