"""Which rung of its strategy a correction takes: as long as one gets on, the same; without progress, the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.definitions.strategy import Rung

Sign = frozenset[tuple[str, str]]
"""A set of issues as it is told from another: by who objects, and to what place."""


class Ladder:
    """One ask's way along the rungs, found again on a resume from what was answered and objected."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs: tuple[Rung, ...] = tuple(rungs)
        self._from = 0
        self._taken = 0
        self._answers: set[bytes] = set()
        self._signs: set[Sign] = set()

    def next_rung(self, *, applies: Callable[[Rung], bool], answer: bytes | None, sign: Sign, is_last: bool) -> Rung:
        """The rung for the next correction of an answer with this digest, rejected for these issues.

        `is_last`: no further correction is allowed, so it goes to the stronger model if there is one. Where no rung
        applies any more, the last that does is taken again, and `hint`, which always does, if the ladder has none.
        """
        if answer in self._answers or sign in self._signs:
            self._from = min(self._taken + 1, len(self._rungs))
        self._signs.add(sign)
        if answer is not None:
            self._answers.add(answer)
        if is_last and "escalate" in self._rungs and applies("escalate"):
            return "escalate"
        order: list[int] = [*range(self._from, len(self._rungs)), *reversed(range(self._from))]
        for at in order:
            if applies(self._rungs[at]):
                self._taken = at
                return self._rungs[at]
        return "hint"
