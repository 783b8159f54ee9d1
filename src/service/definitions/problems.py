"""What is wrong with a JSON value: where, and in words for its reader. Every problem at once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from service.definitions.effort import is_too_much
from service.definitions.written import recursive_schema, validator

MAX_DEPTH = 100
"""Levels that a JSON value may be nested; deeper ones would exhaust some reader's stack."""

TOO_DEEP = f"is nested more than {MAX_DEPTH} levels deep"

MAX_INTEGER_BITS = 13_952
"""Those of a number of 4,200 digits: Python writes no more than 4,300, and so does every reader built on it."""

ARTICLES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
}

NOT_BLANK = r"\S"
"""The pattern of texts that must say something; as an expression it tells a reader nothing."""

UNKNOWN_FIELD = "is not a known field"
NO_FORM = "fits none of the forms that are allowed here"

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a JSON value: where, and what."""

    path: Path
    message: str

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer: /skus/0; "" is the whole value."""
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.path)

    def is_about(self, other: Problem) -> bool:
        """Whether one is about the other's place or a part of it; the whole is a place of its own."""
        length = min(len(self.path), len(other.path)) or max(len(self.path), len(other.path))
        return self.path[:length] == other.path[:length]

    def field(self, root: str) -> str:
        """The place as a field path under `root`: input.skus[0]."""
        return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


ENTANGLED = Problem((), "is nested too deep in alternatives that contain themselves")
"""Of a value that a schema could be held to in so many ways that nobody would wait for it."""


def unclean(value: object) -> Iterator[Problem]:
    """What PostgreSQL's jsonb would not keep, Python not write, or some reader's stack not bear."""
    waiting: list[tuple[Path, object]] = [((), value)]
    while waiting:
        path, part = waiting.pop()
        if len(path) > MAX_DEPTH:
            yield Problem(path[:3], TOO_DEEP)
            return
        if isinstance(part, str):
            yield from _unclean_text(path, part)
        elif isinstance(part, float) and not math.isfinite(part):
            yield Problem(path, "must be a finite number within range")
        elif isinstance(part, int) and part.bit_length() > MAX_INTEGER_BITS:
            yield Problem(path, "must be a number of at most 4200 digits")
        elif isinstance(part, Mapping):
            for key in part:
                yield from _unclean_text(path, str(key))
            waiting.extend((((*path, _shown(str(key))), inner)) for key, inner in part.items())
        elif isinstance(part, list | tuple):
            waiting.extend(((*path, index), part[index]) for index in range(len(part)))


def _unclean_text(path: Path, text: str) -> Iterator[Problem]:
    if "\0" in text:
        yield Problem(path, "must not contain the character U+0000")
    elif not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            yield Problem(path, "must not contain a lone surrogate")


def other_problems(type_: Any, value: object, found: list[Problem]) -> list[Problem]:
    """What else is wrong with a value that no schema validator may be given as it is."""
    if any(problem.message == TOO_DEEP for problem in found):
        return []
    known = {problem.path for problem in found}
    return [problem for problem in every_problem(type_, _washed(value)) if problem.path not in known]


def _washed(value: object) -> object:
    match value:
        case str():
            return _shown(value)
        case float():
            return value if math.isfinite(value) else 0.0
        case int() if value.bit_length() > MAX_INTEGER_BITS:
            return 0
        case Mapping():
            return {_shown(str(key)): _washed(inner) for key, inner in value.items()}
        case list() | tuple():
            return [_washed(inner) for inner in value]
        case _:
            return value


def _shown(text: str) -> str:
    return text.replace("\0", "�").encode(errors="replace").decode()


def every_problem(type_: Any, value: object) -> list[Problem]:
    """Everything that the schema of a type finds wrong with a value; ENTANGLED where finding it would take too long."""
    recursive = recursive_schema(type_)
    if recursive is not None and is_too_much(recursive, value):
        return [ENTANGLED]
    problems: list[Problem] = []
    for error in validator(type_).iter_errors(value):
        problems.extend(_problems(error))
    return list(dict.fromkeys(problems))


def _problems(error: Any) -> Iterator[Problem]:
    """One schema error as problems: in a union, those of the one branch that was meant, where that is clear."""
    path: Path = tuple(error.instance_path)
    kind = error.kind
    match kind.name:
        case "anyOf" | "oneOf" if hasattr(kind, "context"):
            yield from _union_problems(kind.context, path, error.instance)
        case "additionalProperties" | "unevaluatedProperties":
            yield from (Problem((*path, name), UNKNOWN_FIELD) for name in kind.unexpected)
        case "required":
            yield Problem((*path, str(kind.property)), "is required")
        case "type":
            yield Problem(path, f"must be {_either(kind.types)}, got {_kind_of(error.instance)}")
        case "pattern" if kind.pattern == NOT_BLANK:
            yield Problem(path, "must not be blank")
        case _:
            yield Problem(path, _short(error.message))


def _union_problems(branches: list[list[Any]], path: Path, instance: object) -> Iterator[Problem]:
    fitting = [branch for branch in branches if not _expected_types(branch, path)]
    meant = [branch for branch in fitting if not _has_wrong_tag(branch, path)] or fitting
    if len(meant) == 1:
        for nested in meant[0]:
            yield from _problems(nested)
    elif meant:
        yield Problem(path, NO_FORM)
    else:
        types = [name for branch in branches for name in _expected_types(branch, path)]
        yield Problem(path, f"must be {_either(types)}, got {_kind_of(instance)}")


def _has_wrong_tag(branch: list[Any], path: Path) -> bool:
    """Whether a field that can have one value only, by which forms are told apart, has another."""
    found = [error.kind for error in branch if len(error.instance_path) == len(path) + 1]
    return any(kind.name == "const" or (kind.name == "enum" and len(kind.options) == 1) for kind in found)


def _expected_types(branch: list[Any], path: Path) -> list[str]:
    """The types that a branch of a union wanted at `path` itself; none if the value was of its type."""
    return [name for error in branch if error.kind.name == "type" and tuple(error.instance_path) == path
            for name in error.kind.types]  # fmt: skip


def _either(types: list[str]) -> str:
    named = sorted(dict.fromkeys(types), key=lambda name: name == "null")
    return " or ".join(ARTICLES.get(name, name) for name in named)


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list() | tuple():
            return "an array"
        case _:
            return "an object"


def _short(message: str) -> str:
    return message if len(message) <= 200 else f"{message[:120]} … {message[-60:]}"


def first_problem(error: msgspec.ValidationError) -> Problem:
    """msgspec's own finding, for what a JSON Schema does not express. It writes a path such as `$.skus[1]`."""
    message, _, place = str(error).partition(" - at `$")
    parts = re.findall(r"\.([^.\[]+)|\[(\d+)\]", place.rstrip("`"))
    path: Path = tuple(name or int(index) for name, index in parts)
    return Problem(path, message[:1].lower() + message[1:])
