"""What PostgreSQL can keep: text and jsonb refuse NUL and lone surrogates, which models and tools do say."""

from __future__ import annotations

from typing import Any

REPLACEMENT = "\ufffd"


def clean_text(text: str) -> str:
    """The text with NUL and lone surrogates replaced."""
    return text.replace("\0", REPLACEMENT).encode("utf-8", "replace").decode()


def clean(value: Any) -> Any:
    """A JSON-able value with every string in it, keys too, made storable; the rest as it is."""
    match value:
        case str():
            return clean_text(value)
        case dict():
            return {clean(key): clean(part) for key, part in value.items()}
        case list() | tuple():
            return [clean(part) for part in value]
        case _:
            return value
