"""JSON Schemas of types, and decoding against them with every error at once.

A type is msgspec's (anything that it decodes), a pydantic model, or a JsonSchema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from service.definitions.inlining import inlined, map_schemas, unrolled
from service.definitions.json_schema import JsonSchema, filled
from service.definitions.problems import (
    ENTANGLED,
    NO_FORM,
    UNKNOWN_FIELD,
    Problem,
    every_problem,
    first_problem,
    other_problems,
    unclean,
)
from service.definitions.pydantic_models import dumped, is_model, read_model
from service.definitions.written import inlined_once, written
from service.errors import FieldError, InvalidInput

if TYPE_CHECKING:
    from pydantic import BaseModel

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

T = TypeVar("T")


class Undecodable(ValueError):
    """A JSON value that is not of the type; `problems` names everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.field('value')}: {problem.message}" for problem in problems[:3]))
        self.problems = problems


def schema_of(type_: Any, *, title: str | None = None, titles: bool = True) -> dict[str, Any]:
    """The JSON Schema of a type, as clients see it: every property titled, and no references but to `$defs` of types
    that contain themselves.

    `title` is for a type without a name of its own, such as dict[str, Any]. Without `titles` it is for models: shorter,
    and without any reference. Raises TypeError or ValueError for types that JSON cannot carry.
    """
    made = written(type_)
    if not titles:
        return _ordered(_untitled(unrolled(made)))
    schema = _titled(inlined(made))
    if title:
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


def convert(type_: type[T] | JsonSchema[T], value: object) -> T:
    """A JSON value as an object of the type, strictly: "1" is no number. Raises Undecodable with every problem."""
    if found := list(unclean(value)):
        raise Undecodable([*found, *other_problems(type_, value, found)])
    if isinstance(type_, JsonSchema):
        return cast(T, _with_defaults(type_, value))
    if is_model(type_):
        return cast(T, _as_model(type_, value))
    try:
        return msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as error:
        problems = every_problem(type_, value)
        raise Undecodable([first_problem(error)] if problems in ([], [ENTANGLED]) else problems) from error


def jsonable(value: object) -> Any:
    """A decoded object as plain JSON values."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_of_another_library)


def is_clean(value: object) -> bool:
    """Whether jsonb takes a JSON value: no NUL, no lone surrogate, no NaN, no number without end, not too deep."""
    return next(unclean(value), None) is None


def _with_defaults(type_: JsonSchema[Any], value: object) -> Any:
    """The value with the schema's defaults, which must leave it what the schema takes."""
    if problems := every_problem(type_, value):
        raise Undecodable(problems)
    made = filled(inlined_once(type_), value)
    if made != value and (problems := every_problem(type_, made)):
        raise Undecodable(problems)
    return made


def _as_model(type_: type[BaseModel], value: object) -> BaseModel:
    """The value as the model: pydantic says whether it fits, the schema what is unknown and in which words."""
    problems = every_problem(type_, value)
    if problems == [ENTANGLED]:  # pydantic tries every alternative as well
        raise Undecodable(problems)
    model, findings = read_model(type_, value)
    others = [Problem(path, message) for path, message in findings]
    if model is not None:
        problems = [problem for problem in problems if problem.message == UNKNOWN_FIELD]
    elif others:  # which form of a union was meant is for pydantic to know
        problems = [problem for problem in problems if problem.message != NO_FORM]
    problems += [other for other in others if not any(other.is_about(problem) for problem in problems)]
    if problems or model is None:
        raise Undecodable(list(dict.fromkeys(problems)))
    return model


def _of_another_library(value: object) -> Any:
    if is_model(type(value)):
        return dumped(value)
    raise NotImplementedError(f"{type(value).__name__} is nothing that JSON has")


def _titled(schema: dict[str, Any]) -> dict[str, Any]:
    named = {
        name: {"title": name.replace("_", " ").title(), **inner} if isinstance(inner, dict) else inner
        for name, inner in schema.get("properties", {}).items()
    }
    return map_schemas({**schema, "properties": named} if named else schema, _titled)


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    return map_schemas({key: inner for key, inner in schema.items() if key != "title"}, _untitled)


def _ordered(schema: dict[str, Any]) -> dict[str, Any]:
    rank = {key: index for index, key in enumerate(KEY_ORDER)}
    keys = sorted(schema, key=lambda key: rank.get(key, len(rank)))
    return map_schemas({key: schema[key] for key in keys}, _ordered)
