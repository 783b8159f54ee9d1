"""JSON Schemas of msgspec types, and decoding against them with every error at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import jsonschema_rs
import msgspec

from service.errors import FieldError, InvalidInput

MAX_DEPTH = 100
"""Levels that a JSON value may be nested; deeper ones would exhaust some reader's stack."""

KEY_ORDER = (
    "title",
    "description",
    "anyOf",
    "items",
    "type",
    "additionalProperties",
    "properties",
    "required",
    "enum",
    "const",
    "default",
)

LITERAL_KEYS = frozenset({"default", "enum", "const", "examples"})
"""Keywords whose values are data, not schemas."""

ARTICLES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean",
    "array": "an array",
    "object": "an object",
}

T = TypeVar("T")
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

    def field(self, root: str) -> str:
        """The place as a field path under `root`: input.skus[0]."""
        return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.path)


class Undecodable(ValueError):
    """A JSON value that is not of the type; `problems` names everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.field('value')}: {problem.message}" for problem in problems[:3]))
        self.problems = problems


def schema_of(type_: Any, *, title: str | None = None, titles: bool = True) -> dict[str, Any]:
    """The JSON Schema of a type, as clients see it: references inlined, every property titled.

    `title` is for a type without a name of its own, such as dict[str, Any]. Without `titles` it is shorter, for
    models. Raises TypeError or ValueError for types that JSON cannot carry or that contain themselves.
    """
    made = _inlined_schema(type_)
    schema = _titled(made) if titles else _untitled(made)
    if title and titles:
        schema.setdefault("title", title)
    return _ordered(schema)


def is_object(type_: Any) -> bool:
    """Whether values of the type are JSON objects, the only inputs that an execution takes."""
    return schema_of(type_).get("type") == "object"


def decode(type_: Any, value: object, root: str = "input") -> Any:
    """The value as the type takes it: JSON-able, defaults filled in, fields in the type's order.

    Raises InvalidInput naming every field that is wrong, with paths that start with `root`.
    """
    try:
        return jsonable(convert(type_, value))
    except Undecodable as error:
        raise InvalidInput([FieldError(problem.field(root), problem.message) for problem in error.problems]) from error


def convert(type_: type[T], value: object) -> T:
    """A JSON value as an object of the type, strictly: "1" is no number. Raises Undecodable with every problem."""
    if unclean := list(_unclean(value)):
        raise Undecodable(unclean)
    try:
        return msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as error:
        raise Undecodable(_every_problem(type_, value) or [_first_problem(error)]) from error


def jsonable(value: object) -> Any:
    """A decoded object as plain JSON values."""
    return msgspec.to_builtins(value, str_keys=True)


def is_clean(value: object) -> bool:
    """Whether PostgreSQL's jsonb takes a JSON value: no NUL, no lone surrogate, no NaN, not too deep."""
    return next(_unclean(value), None) is None


def _unclean(value: object) -> Iterator[Problem]:
    waiting: list[tuple[Path, object]] = [((), value)]
    while waiting:
        path, part = waiting.pop()
        if len(path) > MAX_DEPTH:
            yield Problem(path[:3], f"is nested more than {MAX_DEPTH} levels deep")
            return
        if isinstance(part, str):
            yield from _unclean_text(path, part)
        elif isinstance(part, float) and not math.isfinite(part):
            yield Problem(path, "must be a finite number")
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


def _shown(text: str) -> str:
    return text.replace("\0", "�").encode(errors="replace").decode()


@lru_cache(maxsize=256)
def _validator(type_: Any) -> Any:
    return jsonschema_rs.validator_for(msgspec.json.schema(type_))


def _every_problem(type_: Any, value: object) -> list[Problem]:
    problems: list[Problem] = []
    for error in _validator(type_).iter_errors(value):
        problems.extend(_problems(error))
    return list(dict.fromkeys(problems))


def _problems(error: Any) -> Iterator[Problem]:
    """One schema error as problems: in a union, those of the one branch that was meant, where that is clear."""
    path: Path = tuple(error.instance_path)
    kind = error.kind
    match kind.name:
        case "anyOf" | "oneOf" if hasattr(kind, "context"):
            yield from _union_problems(kind.context, path, error.instance)
        case "additionalProperties":
            yield from (Problem((*path, name), "is not a known field") for name in kind.unexpected)
        case "required":
            yield Problem((*path, str(kind.property)), "is required")
        case "type":
            yield Problem(path, f"must be {_either(kind.types)}, got {_kind_of(error.instance)}")
        case _:
            yield Problem(path, _short(error.message))


def _union_problems(branches: list[list[Any]], path: Path, instance: object) -> Iterator[Problem]:
    meant = [branch for branch in branches if not _expected_types(branch, path)]
    if len(meant) == 1:
        for nested in meant[0]:
            yield from _problems(nested)
    elif meant:
        yield Problem(path, "fits none of the forms that are allowed here")
    else:
        types = [name for branch in branches for name in _expected_types(branch, path)]
        yield Problem(path, f"must be {_either(types)}, got {_kind_of(instance)}")


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


def _first_problem(error: msgspec.ValidationError) -> Problem:
    """msgspec's own finding, for what a JSON Schema does not express. It writes a path such as `$.skus[1]`."""
    message, _, place = str(error).partition(" - at `$")
    parts = re.findall(r"\.([^.\[]+)|\[(\d+)\]", place.rstrip("`"))
    path: Path = tuple(name or int(index) for name, index in parts)
    return Problem(path, message[:1].lower() + message[1:])


def _inlined_schema(type_: Any) -> dict[str, Any]:
    made = msgspec.json.schema(type_)
    definitions: dict[str, Any] = made.pop("$defs", {})
    inlined = _inline(made, definitions, ())
    if not isinstance(inlined, dict):
        raise TypeError(f"{type_!r} has no JSON Schema of its own")
    return inlined


def _inline(part: Any, definitions: dict[str, Any], within: tuple[str, ...]) -> Any:
    if isinstance(part, list):
        return [_inline(inner, definitions, within) for inner in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        name = part["$ref"].removeprefix("#/$defs/")
        if name in within:
            raise ValueError(f"{name} contains itself; a schema without references cannot express that")
        beside = {key: inner for key, inner in part.items() if key != "$ref"}
        return {**_inline(definitions[name], definitions, (*within, name)), **beside}
    # A discriminator maps to the references that are gone, and an empty `required` says nothing.
    return {
        key: inner if key in LITERAL_KEYS else _inline(inner, definitions, within)
        for key, inner in part.items()
        if key != "discriminator" and not (key == "required" and inner == [])
    }


def _titled(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties", {})
    named = {
        name: {"title": name.replace("_", " ").title(), **_titled(inner)} for name, inner in properties.items()
    }  # fmt: skip
    return _map_inner({**schema, "properties": named} if properties else schema, _titled, skip="properties")


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    return _map_inner({key: inner for key, inner in schema.items() if key != "title"}, _untitled)


def _ordered(schema: dict[str, Any]) -> dict[str, Any]:
    rank = {key: index for index, key in enumerate(KEY_ORDER)}
    keys = sorted(schema, key=lambda key: rank.get(key, len(rank)))
    return _map_inner({key: schema[key] for key in keys}, _ordered)


def _map_inner(schema: dict[str, Any], change: Callable[[dict[str, Any]], Any], skip: str = "") -> dict[str, Any]:
    """The schema with every schema directly inside it changed; `default`, `enum` and the like are no schemas."""

    def inner(key: str, value: Any) -> Any:
        if key == skip or key in LITERAL_KEYS:
            return value
        if key in ("properties", "patternProperties"):
            return {name: change(part) for name, part in value.items()}
        if isinstance(value, list):
            return [change(part) if isinstance(part, dict) else part for part in value]
        return change(value) if isinstance(value, dict) else value

    return {key: inner(key, value) for key, value in schema.items()}
