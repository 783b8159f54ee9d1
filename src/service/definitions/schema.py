"""JSON Schemas of msgspec types, and decoding against them with every error at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from service.definitions.problems import Problem, every_problem, first_problem, other_problems, unclean
from service.errors import FieldError, InvalidInput

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

T = TypeVar("T")


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
    if found := list(unclean(value)):
        raise Undecodable([*found, *other_problems(type_, value, found)])
    try:
        return msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as error:
        raise Undecodable(every_problem(type_, value) or [first_problem(error)]) from error


def jsonable(value: object) -> Any:
    """A decoded object as plain JSON values."""
    return msgspec.to_builtins(value, str_keys=True)


def is_clean(value: object) -> bool:
    """Whether PostgreSQL's jsonb takes a JSON value: no NUL, no lone surrogate, no NaN, not too deep."""
    return next(unclean(value), None) is None


def _inlined_schema(type_: Any) -> dict[str, Any]:
    try:
        made = msgspec.json.schema(type_)
    except NameError as error:
        raise TypeError(f"an annotation cannot be read: {error}") from error
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
