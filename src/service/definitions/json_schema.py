"""A raw JSON Schema as the type of an input or an output. Its values are plain JSON; nothing is ever fetched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import jsonschema_rs

from service.definitions.effort import is_too_much
from service.definitions.inlining import every_schema, in_place, inlined, target

T = TypeVar("T")

DIALECT = "https://json-schema.org/draft/2020-12/schema"

UNUSABLE = frozenset({"$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary"})
"""Ways to refer that cannot be replaced by what they lead to."""


class JsonSchema(Generic[T]):
    """A JSON Schema (draft 2020-12) where a type is wanted: `Definition(input=JsonSchema({...}, title="Order"))`.

    Values are dicts, or whatever JSON the schema takes, with the schema's defaults filled in. Formats are checked.
    Whether unknown fields are refused is for the schema to say, with `additionalProperties`.
    """

    def __init__(self: JsonSchema[dict[str, Any]], schema: Mapping[str, Any], *, title: str | None = None) -> None:
        """`title` stands for the schema's own. What is wrong with a schema is said at registration."""
        self._given = {**schema} if title is None else {**schema, "title": title}

    def __repr__(self) -> str:
        return f"JsonSchema({self._given.get('title', '…')!r})"

    def written(self) -> dict[str, Any]:
        """The schema as plain JSON, if it can be used. Raises TypeError or ValueError saying why it cannot."""
        try:
            schema: dict[str, Any] = json.loads(json.dumps(self._given, allow_nan=False))
            _check(schema)
        except RecursionError as error:
            raise ValueError("is nested without end") from error
        return schema


def raw_validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A validator that fetches nothing and whose patterns take linear time, whatever text they are given.

    Raises ValueError for what is no schema, or has a pattern with look-around or back references.
    """
    try:
        return jsonschema_rs.Draft202012Validator(
            schema, offline=True, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
        )
    except jsonschema_rs.ValidationError as error:
        place = "".join(f"/{step}" for step in error.instance_path)
        what = f"{place}: {error.message}" if place else error.message
        hint = " (patterns have no look-around and no back references)" if error.kind.name == "format" else ""
        raise ValueError(f"{what}{hint}") from error


def _check(schema: dict[str, Any]) -> None:
    raw_validator(schema)
    if schema.get("$schema", DIALECT).rstrip("#") != DIALECT:
        raise ValueError(f"is written in {schema['$schema']!r}; only {DIALECT} is known")
    finished: set[int] = set()
    for part in every_schema(schema):
        if found := UNUSABLE & part.keys() or ({"$id"} & part.keys() if part is not schema else set()):
            raise ValueError(f"uses {', '.join(sorted(found))}; refer by #/… to what is in the schema itself")
        if isinstance(part.get("$ref"), str):
            target(schema, part["$ref"])
        _check_ends(schema, part, frozenset(), finished)
    _check_defaults(inlined(schema))


def _check_ends(root: dict[str, Any], part: dict[str, Any], within: frozenset[int], finished: set[int]) -> None:
    """Refuse a schema that holds a value to itself without a step into the value. Both sets are of schemas' ids."""
    if id(part) in within:
        raise ValueError("refers to itself without a step into the value, which has no end")
    if id(part) not in finished:
        for other in in_place(root, part):
            _check_ends(root, other, within | {id(part)}, finished)
        finished.add(id(part))


def _check_defaults(schema: dict[str, Any]) -> None:
    """Defaults are filled in, so each must itself be what the schema asks for."""
    for part in every_schema(schema):
        if "default" not in part:
            continue
        rooted = {**part, "$defs": schema["$defs"]} if "$defs" in schema else part
        if is_too_much(rooted, part["default"]):
            raise ValueError("has a default that is nested too deep in alternatives that contain themselves")
        for error in raw_validator(rooted).iter_errors(part["default"]):
            raise ValueError(f"has a default that it refuses: {error.message}")
        filled(part, part["default"], schema)  # one that leads to itself has no end


def filled(schema: dict[str, Any], value: Any, root: dict[str, Any] | None = None) -> Any:
    """A copy of a value that the (inlined) schema takes, with defaults filled in and fields in the schema's order.

    Objects within objects and lists are filled too; of alternatives, the only one for the value's kind. Of what a
    schema demands under a condition (`if`, `dependentSchemas`) no default is taken.
    """
    root = root or schema
    if isinstance(schema.get("$ref"), str):
        schema = {**target(root, schema["$ref"]), **schema, "$ref": None}
    for branch in (*schema.get("allOf", ()), *_meant(schema, value)):
        value = filled(branch, value, root) if isinstance(branch, dict) else value
    if isinstance(value, dict):
        return _filled_object(schema, value, root)
    if isinstance(value, list):
        return [filled(_slot(schema, index), inner, root) for index, inner in enumerate(value)]
    return value


def _filled_object(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            made[name] = filled(_schema(inner), value[name], root)
        elif isinstance(inner, dict) and "default" in inner:
            made[name] = filled(inner, inner["default"], root)
    others = _schema(schema.get("additionalProperties"))
    return made | {name: filled(others, inner, root) for name, inner in value.items() if name not in made}


def _meant(schema: dict[str, Any], value: Any) -> list[Any]:
    """The alternative for values of this kind, if there is just one."""
    kind = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else None
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    fitting = [branch for branch in branches if isinstance(branch, dict) and branch.get("type") == kind]
    return fitting if kind is not None and len(fitting) == 1 else []


def _slot(schema: dict[str, Any], index: int) -> dict[str, Any]:
    first = schema.get("prefixItems", ())
    return _schema(first[index] if index < len(first) else schema.get("items"))


def _schema(part: Any) -> dict[str, Any]:
    return part if isinstance(part, dict) else {}
