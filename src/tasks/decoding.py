"""JSON as models write it: found tolerantly, read strictly."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

FENCE = re.compile(r"```[a-zA-Z]*[^\S\n]*\n(.*?)```", re.DOTALL)
"""A code block. There is one way only to read its first line: with two, a megabyte of line ends would take hours."""


class NotJson(ValueError):
    """The text holds no JSON value that can be read for certain; the message tells a model why."""


def read_json(text: str) -> Any:
    """One JSON value and nothing else. Raises NotJson also for duplicate keys, NaN and numbers without end."""
    try:
        return DECODER.decode(text)
    except RecursionError as error:
        raise NotJson("is nested too deeply") from error
    except json.JSONDecodeError as error:
        raise NotJson(f"is not valid JSON: {error.msg} at character {error.pos}") from error
    except NotJson:
        raise
    except ValueError as error:  # Python's own words name a setting of the interpreter
        raise NotJson("holds a number with too many digits") from error


def find_json(text: str, opening: str | None) -> Any:
    """The JSON value of an answer that may stand in a code fence or between words. Raises NotJson.

    `opening` is the bracket that the value must begin with, None for a value without one. What is broken or could be
    read in two ways is refused: a part of a broken answer is never taken for the whole.
    """
    stripped = text.strip()
    if not stripped:
        raise NotJson("is empty")
    try:
        return read_json(stripped)
    except NotJson as whole:
        inner = _without_fence(stripped)
        found = _between_words(inner, opening)
        if found is None:
            raise whole
        return read_json(found)


def _without_fence(text: str) -> str:
    fenced = FENCE.findall(text)
    return fenced[0].strip() if len(fenced) == 1 else text


def _between_words(text: str, opening: str | None) -> str | None:
    """The one value that starts with `opening` in a text without other brackets of its kind around it."""
    if opening is None or (start := text.find(opening)) < 0:
        return text if opening is None else None
    before = text[:start]
    if before.count("[") != before.count("]") or before.count("{") != before.count("}"):
        return None
    end = text.rfind("}" if opening == "{" else "]") + 1
    after = text[end:]
    if end <= start or any(bracket in after for bracket in "{}[]"):
        return None
    return text[start:end]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        repeated, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise NotJson(f"has the key {repeated[:100]!r} twice in one object")
    return made


def _constant(name: str) -> Any:
    raise NotJson(f"holds {name}, which is not JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
