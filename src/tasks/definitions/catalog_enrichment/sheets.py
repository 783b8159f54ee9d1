"""What the execution's files say about a product: text cut into passages, and a passage read as a product section."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.definitions.context import AttachedFile

SKU_LIKE = re.compile(r"[A-Z][A-Z0-9]*[-_]\d[\w-]*\b")
LABEL = re.compile(r"(?P<label>[A-Za-z][A-Za-z ]{1,24}):\s*(?P<value>\S.*)")
FACT = re.compile(r"[-*•]\s+(?P<fact>\S.*)")
SEPARATORS = (",", ";", "\t")
WORD = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")


@dataclass(frozen=True)
class Section:
    """A product's passage. `labels` holds its `Label: value` lines, labels in lower case; `facts` its list lines."""

    text: str
    name: str
    labels: Mapping[str, str]
    facts: tuple[str, ...]


def section_of(sku: str, files: Sequence[AttachedFile]) -> Section | None:
    """The first passage that begins with this SKU, or None: a mention elsewhere is no product section."""
    for passage in passages(files):
        if is_section_of(sku, passage):
            return _read(sku, passage)
    return None


def mentions(sku: str, files: Sequence[AttachedFile]) -> bool:
    """Whether a file holds this SKU as a word of its own."""
    return any(is_about(sku, file.text) for file in files)


def is_about(sku: str, text: str) -> bool:
    """Whether the text holds this SKU as a word of its own."""
    return sku in text and re.search(rf"(?<![\w-]){re.escape(sku)}(?![\w-])", text) is not None


def described_skus(files: Sequence[AttachedFile]) -> list[str]:
    """What the passages begin with where it looks like a SKU, in the files' order."""
    found = (SKU_LIKE.match(passage) for passage in passages(files))
    return list(dict.fromkeys(match.group() for match in found if match))


def passages(files: Sequence[AttachedFile]) -> Iterator[str]:
    """The files' texts in passages: between blank lines and wherever a line begins with a SKU; a CSV row is one.

    What calls itself CSV and cannot be read as such is text like any other.
    """
    for file in files:
        rows = _rows(file.text) if file.filename.lower().endswith(".csv") else None
        yield from _paragraphs(file.text) if rows is None else rows


def best_passages(query: str, files: Sequence[AttachedFile], limit: int) -> list[str]:
    """The passages that share the most different words with the query, best first; none that share no word."""
    wanted = words_of(query)
    scored = [(len(wanted & words_of(passage)), passage) for passage in passages(files)]
    ranked = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])
    return [passage for _, passage in ranked[:limit]]


def words_of(text: str) -> set[str]:
    """The different words of a text in lower case; SKU-001, leak-proof and 1.4 are one word each."""
    return set(WORD.findall(text.lower()))


def _paragraphs(text: str) -> Iterator[str]:
    lines: list[str] = []
    for line in text.splitlines():
        stripped = line.strip()
        if lines and (not stripped or SKU_LIKE.match(stripped)):
            yield "\n".join(lines)
            lines = []
        if stripped:
            lines.append(stripped)
    if lines:
        yield "\n".join(lines)


def _rows(text: str) -> list[str] | None:
    """Each row as a passage like those of a sheet: its SKU and name first, then a `column: value` line for the rest.

    None for what csv refuses, such as a field of more than 131,072 characters.
    """
    try:
        return [_passage(row) for row in csv.DictReader(io.StringIO(text, newline=""), delimiter=_separator(text))]
    except csv.Error:
        return None


def _separator(text: str) -> str:
    """What stands between the cells: under it the first line has a column `sku`, or else the most columns."""
    first = next(io.StringIO(text, newline=""), "")

    def columns(separator: str) -> tuple[bool, int]:
        names = [name.strip().lower() for name in next(csv.reader([first], delimiter=separator), [])]
        return "sku" in names, len(names)

    return max(SEPARATORS, key=columns)


def _passage(row: Mapping[str | None, str | None]) -> str:
    cells = {str(column).strip().lower(): str(cell or "").strip() for column, cell in row.items() if column}
    title = "  ".join(filter(None, (cells.pop("sku", ""), cells.pop("name", ""))))
    return "\n".join([title, *(f"{column}: {cell}" for column, cell in cells.items() if cell)])


def is_section_of(sku: str, passage: str) -> bool:
    """Whether the passage begins with this SKU."""
    return passage.startswith(sku) and not re.match(r"[\w-]", passage[len(sku) :])


def _read(sku: str, passage: str) -> Section:
    title, *lines = passage.splitlines()
    labels = {match["label"].lower(): match["value"].strip() for match in map(LABEL.fullmatch, lines) if match}
    facts = tuple(match["fact"].strip() for match in map(FACT.fullmatch, lines) if match)
    return Section(text=passage, name=title[len(sku) :].strip(" \t:,;-|"), labels=labels, facts=facts)
