"""File names as clients send them, made safe to store, show and put in a URL.

A name is data and never a path: nothing here or elsewhere opens a file by it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

MAX_NAME_BYTES = 255
"""The longest name that common file systems can save, counted in UTF-8."""

_MAX_EXTENSION_BYTES = 16
_FALLBACK_STEM = "file"
# Marks that reorder the text around them: "invoice<RLO>fdp.exe" would be shown as "invoiceexe.pdf".
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE = frozenset("\ufeff\ufffe\uffff")
_INVISIBLE_CATEGORIES = frozenset({"Cc", "Cs"})
_SEPARATORS = re.compile(r"\s+")


def clean_name(raw: str) -> str:
    """Return the base name of `raw`: never empty, at most 255 bytes of UTF-8, its extension kept.

    Directories (either slash), control characters, surrogates, reordering marks and leading dots go; runs of
    white space become one space; letters of every script stay, in composed form (NFC), so that the same name
    typed on two systems is the same text. A name that is only an extension gets the stem "file".
    """
    base = re.split(r"[/\\]", raw)[-1]
    visible = "".join(_visible(character) for character in unicodedata.normalize("NFC", base))
    spaced = _SEPARATORS.sub(" ", visible).strip()
    name = spaced.strip(" .") or _FALLBACK_STEM
    is_only_extension = spaced.startswith(".") and spaced.strip(" .") and "." not in name
    return _shorten(f"{_FALLBACK_STEM}.{name}" if is_only_extension else name)


def unique_names(raw_names: Iterable[str]) -> list[str]:
    """Clean every name and number the repeated ones: a.pdf, a-2.pdf, a-3.pdf, in the given order.

    Names that differ only in case count as repeated, because they collide on the disks people save them to.
    """
    taken: set[str] = set()
    names: list[str] = []
    for raw in raw_names:
        name = _numbered(clean_name(raw), taken)
        taken.add(name.casefold())
        names.append(name)
    return names


def split_name(name: str) -> tuple[str, str]:
    """Split into stem and extension with its dot; the extension is empty if there is none, or it is too long."""
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension.encode()) >= _MAX_EXTENSION_BYTES:
        return name, ""
    return stem, dot + extension


def _visible(character: str) -> str:
    if character in "\t\n\r\v\f\u2028\u2029":
        return " "
    if unicodedata.category(character) in _INVISIBLE_CATEGORIES:
        return ""
    return "" if character in _REORDERING or character in _INVISIBLE else character


def _numbered(name: str, taken: set[str]) -> str:
    stem, extension = split_name(name)
    candidate, number = name, 1
    while candidate.casefold() in taken:
        number += 1
        suffix = f"-{number}{extension}"
        candidate = _cut(stem, MAX_NAME_BYTES - len(suffix.encode())) + suffix
    return candidate


def _shorten(name: str) -> str:
    stem, extension = split_name(name)
    return _cut(stem, MAX_NAME_BYTES - len(extension.encode())) + extension


def _cut(text: str, size_bytes: int) -> str:
    return text.encode()[:size_bytes].decode(errors="ignore")
