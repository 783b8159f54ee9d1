"""Which rung is next: the same while it gets on, the next without progress."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from service.definitions.strategy import RUNGS, Rung
from tasks.ladder import Ladder, Sign

A = frozenset({("name", "/a")})
B = frozenset({("name", "/b")})
C = frozenset({("name", "/c")})


def climb(
    steps: Sequence[tuple[str, Sign]],
    *,
    but: Sequence[Rung] = ("escalate",),
    rungs: Sequence[Rung] = RUNGS,
) -> list[str]:
    """The rungs taken after answers with these digests and issues, none of them the last that is allowed."""
    ladder = Ladder(rungs)
    return [
        ladder.next_rung(applies=lambda rung: rung not in but, answer=answer.encode(), sign=sign, is_last=False)
        for answer, sign in steps
    ]


def test_ladder_when_answers_and_issues_are_new_then_stays_on_its_rung() -> None:
    assert climb([("1", A), ("2", B), ("3", C)]) == ["patch", "patch", "patch"]


def test_ladder_when_the_same_answer_comes_back_then_takes_the_next_rung() -> None:
    assert climb([("1", A), ("1", B), ("1", C)]) == ["patch", "hint", "full"]


def test_ladder_when_the_same_issues_come_back_then_takes_the_next_rung() -> None:
    assert climb([("1", A), ("2", A), ("3", A)]) == ["patch", "hint", "full"]


def test_ladder_when_an_older_answer_comes_back_then_takes_the_next_rung() -> None:
    assert climb([("1", A), ("2", B), ("1", C)]) == ["patch", "patch", "hint"]


def test_ladder_when_a_rung_helps_then_stays_there() -> None:
    assert climb([("1", A), ("1", A), ("2", B)]) == ["patch", "hint", "hint"]


def test_ladder_when_all_rungs_are_used_then_the_last_that_applies_is_taken_again() -> None:
    assert climb([("1", A)] * 5) == ["patch", "hint", "full", "full", "full"]


def test_ladder_when_a_rung_does_not_apply_then_it_is_passed_over() -> None:
    assert climb([("1", A), ("1", A)], but=["patch", "full"]) == ["hint", "escalate"]


def test_ladder_when_a_rung_applies_again_and_there_is_progress_then_it_is_taken() -> None:
    ladder = Ladder(RUNGS)
    first = ladder.next_rung(applies=lambda rung: rung != "patch", answer=None, sign=A, is_last=False)
    second = ladder.next_rung(applies=lambda rung: True, answer=b"2", sign=B, is_last=False)
    assert (first, second) == ("hint", "patch")


def test_ladder_when_no_rung_applies_then_hint() -> None:
    assert climb([("1", A), ("1", A)], rungs=["patch"], but=["patch"]) == ["hint", "hint"]


@pytest.mark.parametrize(("rungs", "taken"), [(RUNGS, "escalate"), (("patch", "hint"), "patch")])
def test_ladder_when_it_is_the_last_correction_then_the_stronger_model_if_it_is_on_the_ladder(
    rungs: tuple[Rung, ...], taken: str
) -> None:
    assert Ladder(rungs).next_rung(applies=lambda rung: True, answer=b"1", sign=A, is_last=True) == taken
