"""Numbers, names and dates found in the text of papers, however they are written there."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from tasks.definitions.trade_papers.evidence import Evidence

NUMBERS = [
    ("1.234,50", "1234.5", True),
    ("1,234.50", "1234.50", True),
    ("1 234,50", "1234.50", True),
    ("1'234.50 CHF", "1234.50", True),
    ("1,234,567", "1234567", True),
    ("1.234", "1234", True),
    ("1.234", "1.234", True),
    ("EUR12.50", "12.50", True),
    ("3x12", "12", True),
    ("12pcs", "12", True),
    ("0,50 €", "0.5", True),
    (" -5.00", "-5", True),
    ("5 120.00", "120", True),
    ("two dozen", "12", True),
    ("nothing", "0", True),
    ("SKU-001", "1", False),
    ("A12", "12", False),
    ("XEUR12", "12", False),
    ("12-3", "3", False),
    ("12.03.2026", "12", False),
    ("1234", "123", False),
]


@pytest.mark.parametrize(("text", "number", "is_there"), NUMBERS)
def test_has_number_when_it_is_written_so_then_it_is_found_and_no_part_of_a_code_is(
    text: str, number: str, is_there: bool
) -> None:
    assert Evidence(text, is_all=True).has_number(Decimal(number)) is is_there


DATES = [
    ("12.03.2026", True),
    ("03/12/2026", True),
    ("2026-03-12", True),
    ("12 March 2026", True),
    ("March 12th, 2026", True),
    ("12. März 2026", True),
    ("12.3.26", True),
    ("20260312", True),
    ("2026年3月12日", True),
    ("12 kovo 2026", True),  # a month whose name is not known
    ("12 April 2026", False),
    ("13.03.2026", False),
    ("12.03.2025", False),
]


@pytest.mark.parametrize(("text", "is_there"), DATES)
def test_has_date_when_it_is_written_so_then_it_is_found(text: str, is_there: bool) -> None:
    assert Evidence(text, is_all=True).has_date(date(2026, 3, 12)) is is_there


@pytest.mark.parametrize(
    ("words", "is_there"),
    [("café nord", True), ("CAFE\u0301 NORD", True), ("PO 2026 41", True), ("Nord", True), ("Nor", False)],
)
def test_has_words_when_case_and_signs_differ_then_they_are_found_but_no_part_of_one(
    words: str, is_there: bool
) -> None:
    assert Evidence("Order PO-2026/41\nof Café  Nord, Kiel", is_all=True).has_words(words) is is_there


def test_evidence_when_a_part_was_only_seen_then_nothing_can_be_denied() -> None:
    seen = Evidence("", is_all=False)
    assert (seen.has_number(7), seen.has_words("x"), seen.has_date(date(2026, 1, 1)), seen.is_empty) == (True,) * 3 + (
        False,
    )


@pytest.mark.timeout(30)  # what is quadratic takes minutes
@pytest.mark.parametrize("text", ["a" * 200_000, "1 " * 100_000, "1," * 100_000, "Mar " * 50_000, "1" * 200_000])
def test_evidence_when_a_text_is_made_to_be_slow_then_it_is_read_all_the_same(text: str) -> None:
    evidence = Evidence(text, is_all=True)
    assert not evidence.has_number(987654)
    assert not evidence.has_date(date(2026, 3, 12))
