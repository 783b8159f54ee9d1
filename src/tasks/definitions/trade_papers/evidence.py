"""Whether what a model read stands in the files. Pure functions over their text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache

from service.definitions.context import AttachedFile, FileReference
from service.definitions.shop import identity

NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*")
LONGEST_NUMBER = 30
SPACED = re.compile(r"(?<![\w.,-])\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:[.,]\d+)?")
LETTERS = re.compile(r"[^\W\d_]+$")
CURRENCY_OR_TIMES = re.compile(r"[A-Z]{3}|[xX]")
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
WORD_NUMBERS = {**{word: number for number, word in enumerate(WORDS, start=1)}, "dozen": 12}

DIGITS_DATE = re.compile(r"(?<!\d)(\d{1,4})[./\-年月 ]{1,2}(\d{1,2})[./\-年月 ]{1,2}(\d{1,4})(?!\d)")
COMPACT_DATE = re.compile(r"(?<!\d)(\d{4})(\d{2})(\d{2})(?!\d)")
DAY_FIRST = re.compile(r"(?<!\d)(\d{1,2})(?:st|nd|rd|th)?\.?\s+(?:of\s+)?([^\W\d_]{3,12})\.?,?\s+(\d{4})(?!\d)")
MONTH_FIRST = re.compile(r"(?<![^\W\d_])([^\W\d_]{3,12})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})(?!\d)")
MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mär", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"), start=1
    )
    for name in names.split()
}


@dataclass(frozen=True)
class Evidence:
    """What the files say. `is_all` is False where a part of it only the model saw, as a picture: then nothing that
    it read can be denied."""

    text: str
    is_all: bool

    @classmethod
    def of(cls, files: Sequence[AttachedFile], shown: Sequence[FileReference]) -> Evidence:
        """`shown` are the files that the model was shown themselves."""
        looked_at = [file for file in files if not file.text and file.reference is not None and file.reference in shown]
        return cls("\n".join(file.text for file in files), not looked_at)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing that anything could have been read from."""
        return self.is_all and not self.text.strip()

    def has_number(self, value: Decimal | int) -> bool:
        """Whether the number is there, however it is written; nothing is everywhere."""
        return not self.is_all or value == 0 or abs(Decimal(value)) in _numbers(self.text)

    def has_words(self, text: str) -> bool:
        """Whether the words are there one after the other, in any case and with any signs between."""
        return not self.is_all or f" {identity(text)} " in _words(self.text)

    def has_date(self, day: date) -> bool:
        """Whether the date is there in one of the usual forms; 03/04/2026 stands for either day."""
        return not self.is_all or any(_is_date(parts, day) for parts in _dates(self.text))


@lru_cache(maxsize=4)
def _numbers(text: str) -> frozenset[Decimal]:
    found = {Decimal(WORD_NUMBERS[word]) for word in _words(text).split() if word in WORD_NUMBERS}
    for match in NUMBER.finditer(text):
        if len(match.group()) <= LONGEST_NUMBER and not _is_code(text[max(0, match.start() - 5) : match.start()]):
            found.update(_readings(match.group()))
    for spaced in SPACED.findall(text):
        found.update(_readings(re.sub(r"\s", "", spaced)))
    return frozenset(found)


@lru_cache(maxsize=4)
def _words(text: str) -> str:
    return f" {identity(text)} "


def _is_code(before: str) -> bool:
    """Whether a number that comes after this belongs to a code: to letters, also with a sign between them."""
    if letters := LETTERS.search(before):
        return not CURRENCY_OR_TIMES.fullmatch(letters.group())  # EUR12.50 and 3x12 are numbers
    return before[-1:] in ("-", "/", "_") and before[-2:-1].isalnum()


def _readings(number: str) -> Iterator[Decimal]:
    """What a written number can mean: 1.234 is a little more than one, or a thousand."""
    plain = re.sub(r"['’]", "", number)
    last = max(plain.rfind("."), plain.rfind(","))
    if last < 0:
        yield Decimal(plain)
        return
    sign, tail = plain[last], plain[last + 1 :]
    if plain.count(sign) == 1:
        yield Decimal(f"{re.sub('[.,]', '', plain[:last]) or '0'}.{tail}")
    if len(tail) == 3:
        yield Decimal(re.sub("[.,]", "", plain))


def _dates(text: str) -> Iterator[tuple[int, int | None, int]]:
    """Each date as (one part, month or the other part, year), the month None where its name is not known."""
    for one, two, three in DIGITS_DATE.findall(text):
        yield (int(three), int(two), int(one)) if len(one) == 4 else (int(one), int(two), int(three))
    for year, month, day in COMPACT_DATE.findall(text):
        yield int(day), int(month), int(year)
    for day, month, year in DAY_FIRST.findall(text):
        yield int(day), MONTHS.get(month[:3].casefold()), int(year)
    for month, day, year in MONTH_FIRST.findall(text):
        yield int(day), MONTHS.get(month[:3].casefold()), int(year)


def _is_date(parts: tuple[int, int | None, int], day: date) -> bool:
    one, two, year = parts
    if year not in (day.year, day.year % 100):
        return False
    return (one == day.day and two in (None, day.month)) or (one == day.month and two == day.day)
