"""Rules that written details are held to where the files have a section on the product. Pure functions.

All of them are told to a capable model beforehand (instructions.py); a small one is held to them by `narrow`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.definitions.verdicts import Issue
from tasks.definitions.catalog_enrichment.models import pointer
from tasks.definitions.catalog_enrichment.sheets import Section, words_of

FORBIDDEN = ("best", "perfect", "premium", "amazing", "great")
COPIED = ("category", "material", "weight")
BULLETS = 3
SHORTEST, LONGEST = 30, 150
LONGEST_BULLET = 60
DANGLING = frozenset(re.findall(r"\w+", "a an and as at by for from in is of on or that the to with"))
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
SPECIAL = re.compile(r"[^\w -]")
ESCAPED = r"\\\g<0>"
"""SPECIAL characters as a pattern has them: SPECIAL.sub(ESCAPED, text)."""
LONG_WORD = re.compile(r"[^\W\d_]{4,}")


@dataclass(frozen=True)
class Written:
    """What has been written about one product so far, beside what the files say about it."""

    sku: str
    details: Mapping[str, Any]
    section: Section
    has_own_fields: bool = False
    """Whether the agent says which details there are; then ours are not asked for."""

    def issue(self, field: str, message: str) -> Issue:
        """An issue with one field, and the schema that its next value is held to."""
        return Issue(pointer(self.sku, field), message, narrow=NARROWED[field](self, field))


def is_complete(written: Written) -> Iterator[Issue]:
    """Every field that the section has something to say about was written."""
    wanted = [field for field in COPIED if field in written.section.labels]
    wanted += ["bullets"] if len(written.section.facts) >= BULLETS else []
    wanted += ["name"] if written.section.name else []
    if written.has_own_fields:
        wanted = [field for field in wanted if field == "name"]
    for field in (*wanted, "description"):
        if not written.details.get(field):
            yield written.issue(field, f"{field} was not written")


def copies_values(written: Written) -> Iterator[Issue]:
    """Category, material, weight and name are those of the section, to the letter."""
    expected = {field: written.section.labels.get(field) for field in COPIED}
    expected["name"] = written.section.name or None
    for field, value in expected.items():
        given = written.details.get(field)
        if value and given and given != value:
            yield written.issue(field, f"{field} is {given!r}, the file says {value!r}")


def names_product(written: Written) -> Iterator[Issue]:
    """The description contains the last word of the product's name."""
    noun = written.section.name.lower().split()[-1:]
    description = _description(written)
    if noun and description and noun[0] not in words_of(description):
        yield written.issue("description", f"the description does not name the product: {noun[0]!r} is missing")


def is_full_sentence(written: Written) -> Iterator[Issue]:
    """The description is one sentence: of 30 to 150 characters, with a full stop at its end and nowhere else."""
    description = _description(written)
    if not description:
        return
    if not SHORTEST <= len(description) <= LONGEST:
        yield written.issue(
            "description", f"the description has {len(description)} characters; {SHORTEST} to {LONGEST} are wanted"
        )
    last = description.rstrip(".").lower().split()[-1:]
    if not description.endswith(".") or ". " in description or set(last) & DANGLING:
        yield written.issue("description", "the description must be one complete sentence that ends with a full stop")


def avoids_forbidden_words(written: Written) -> Iterator[Issue]:
    """The description praises nothing."""
    if used := sorted(set(FORBIDDEN) & words_of(_description(written))):
        yield written.issue("description", f"the description uses {', '.join(used)}")


def numbers_are_in_file(written: Written) -> Iterator[Issue]:
    """Every number of the description stands in the section."""
    if invented := _invented_numbers(written):
        yield written.issue(
            "description", f"the description has numbers that the file lacks: {', '.join(sorted(invented))}"
        )


def bullets_are_in_file(written: Written) -> Iterator[Issue]:
    """Every long word and every number of a bullet stands in the section; there are three, none too long."""
    bullets = _bullets(written)
    if not bullets or len(written.section.facts) < BULLETS:
        return
    if len(bullets) != BULLETS:
        yield written.issue("bullets", f"{len(bullets)} bullets were written; {BULLETS} are wanted")
    for index in sorted(_unsupported(bullets, written.section)):
        yield written.issue("bullets", f"bullet {index + 1} says more than the file does: {bullets[index]!r}")


def bullets_are_distinct(written: Written) -> Iterator[Issue]:
    """No bullet is written twice."""
    if _repeated(_bullets(written)):
        yield written.issue("bullets", "the bullets must be different facts")


def narrow_description(written: Written, _field: str) -> dict[str, Any]:
    """A sentence that begins with the product; without digits where those written were wrong."""
    digits = "" if _invented_numbers(written) else "0-9"
    name = SPECIAL.sub(ESCAPED, written.section.name.lower())
    subject = f"The {name} " if name else "[A-Z]"
    return {"type": "string", "pattern": f"^{subject}[a-zA-Z{digits} -]{{15,110}}[.]$"}


def narrow_bullets(written: Written, _field: str) -> dict[str, Any]:
    """What was right stays; every other place takes one of the section's facts that is not used yet.

    Each place has facts of its own to choose from, so that two of them cannot choose the same one.
    """
    bullets = (*_bullets(written), *[""] * BULLETS)[:BULLETS]
    wrong = _unsupported(bullets, written.section) | _repeated(bullets)
    kept = {bullet.lower() for index, bullet in enumerate(bullets) if index not in wrong}
    unused = [fact for fact in written.section.facts if fact.lower() not in kept]
    choices = {index: unused[turn :: len(wrong)] or unused for turn, index in enumerate(sorted(wrong))}
    slots = [{"enum": choices[index]} if index in wrong else {"const": bullet} for index, bullet in enumerate(bullets)]
    return {"type": "array", "prefixItems": slots, "minItems": BULLETS, "maxItems": BULLETS}


def narrow_copy(written: Written, field: str) -> dict[str, Any]:
    """The one value that is right."""
    return {"const": written.section.name if field == "name" else written.section.labels.get(field, "")}


NARROWED: dict[str, Callable[[Written, str], dict[str, Any]]] = {
    "description": narrow_description,
    "bullets": narrow_bullets,
    **dict.fromkeys((*COPIED, "name"), narrow_copy),
}


def _description(written: Written) -> str:
    return str(written.details.get("description") or "")


def _bullets(written: Written) -> tuple[str, ...]:
    return tuple(map(str, written.details.get("bullets") or ()))


def _numbers(text: str) -> set[str]:
    return set(NUMBER.findall(text))


def _invented_numbers(written: Written) -> set[str]:
    return _numbers(_description(written)) - _numbers(written.section.text)


def _unsupported(bullets: Sequence[str], section: Section) -> set[int]:
    words = set(LONG_WORD.findall(section.text.lower()))
    numbers = _numbers(section.text)
    return {
        index
        for index, bullet in enumerate(bullets)
        if not bullet
        or len(bullet) > LONGEST_BULLET
        or not set(LONG_WORD.findall(bullet.lower())) <= words
        or not _numbers(bullet) <= numbers
    }


def _repeated(bullets: Sequence[str]) -> set[int]:
    lowered = [bullet.lower() for bullet in bullets]
    return {index for index, bullet in enumerate(lowered) if bullet in lowered[:index]}
