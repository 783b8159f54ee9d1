"""Rules over what was read from a paper, and how their issues are told to a tool's caller."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from service.definitions.context import AttachedFile
from service.definitions.shop import Money
from service.definitions.verdicts import Accept, Issue, Retry, Verdict
from tasks.definitions.trade_papers.evidence import Evidence

CENT = Decimal("0.01")
MOST_TOLD = 10


def is_product(quantity: int, unit_price: Money, amount: Money) -> bool:
    """Whether the amount is quantity times price, within a cent."""
    return abs(quantity * Decimal(unit_price) - Decimal(amount)) <= CENT


def numbers(evidence: Evidence, read: Iterable[tuple[str, int | Money | None]]) -> Iterator[Issue]:
    """An issue for each (path, number) that the files do not hold; None is no number."""
    for path, value in read:
        if value is not None and not evidence.has_number(Decimal(value)):
            yield Issue(path, f"{value} is in no file", hint="copy what the paper says")


def words(evidence: Evidence, read: Iterable[tuple[str, str]]) -> Iterator[Issue]:
    """An issue for each (path, text) that the files do not hold."""
    for path, text in read:
        if text and not evidence.has_words(text):
            yield Issue(path, f"{text!r} is in no file", hint="copy it as it stands there")


def told(issues: Iterable[Issue]) -> str:
    """The issues as a tool tells them; empty if there are none."""
    lines = [f"{issue.path} {issue.message}".strip() + (f" ({issue.hint})" if issue.hint else "") for issue in issues]
    more = [f"and {len(lines) - MOST_TOLD} more"] if len(lines) > MOST_TOLD else []
    return "; ".join([*lines[:MOST_TOLD], *more])


def unread(files: Sequence[AttachedFile]) -> str:
    """Why none of the files could be read, in brackets; empty without files."""
    why = "; ".join(f"{file.filename}: {file.problem or 'it is empty'}" for file in files[:MOST_TOLD])
    return f" ({why})" if why else ""


def verdict(issues: Iterable[Issue]) -> Verdict:
    """Accept without issues, else Retry."""
    found = list(issues)
    return Retry(*found) if found else Accept()
