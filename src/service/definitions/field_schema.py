"""The field schema of an agent: which details its products get. A JSON Schema that an administrator gives."""

from __future__ import annotations

from typing import Any

import msgspec

from service.definitions.inlining import unrolled
from service.definitions.json_schema import JsonSchema
from service.definitions.problems import Path, Problem, unclean

MOST_BYTES = 16 * 1024
MOST_LEVELS = 8
MOST_FIELDS = 50


def problems_of(schema: dict[str, Any]) -> list[Problem]:
    """What is wrong with a field schema; nothing where it can be used. It is an object's, with named properties."""
    if found := list(unclean(schema)):
        return found
    if len(msgspec.json.encode(schema)) > MOST_BYTES:
        return [Problem((), f"has more than {MOST_BYTES} bytes")]
    if _levels(schema) > MOST_LEVELS:
        return [Problem((), f"is nested more than {MOST_LEVELS} levels deep")]
    if schema.get("type") != "object":
        return [Problem(("type",), "must be 'object'")]
    fields = schema.get("properties")
    if not isinstance(fields, dict) or not 1 <= len(fields) <= MOST_FIELDS:
        return [Problem(("properties",), f"must name 1 to {MOST_FIELDS} fields")]
    return _unusable(schema, fields)


def _unusable(schema: dict[str, Any], fields: dict[str, Any]) -> list[Problem]:
    """The whole as a schema; where it is none, which of its fields are to blame: those that spoil it on their own."""
    problem = _refusal(schema)
    if problem is None:
        return _too_large(schema)
    anything: dict[str, Any] = {name: {} for name in fields}
    if _refusal({**schema, "properties": anything}) is not None:
        return [_placed(problem, ())]
    alone = {name: _refusal({**schema, "properties": {**anything, name: field}}) for name, field in fields.items()}
    found = [_placed(refusal, ("properties", name)) for name, refusal in alone.items() if refusal is not None]
    return found or [_placed(problem, ())]


def _placed(refusal: str, place: Path) -> Problem:
    """A refusal that begins with a pointer says where it is; of others only the place is known."""
    pointer, _, message = refusal.partition(": ")
    return Problem(tuple(pointer.split("/")[1:]), message) if pointer.startswith("/") else Problem(place, refusal)


def _too_large(schema: dict[str, Any]) -> list[Problem]:
    """Models see it without references, which may stand for much."""
    if len(msgspec.json.encode(unrolled(schema))) > MOST_BYTES:
        return [Problem((), f"has more than {MOST_BYTES} bytes once its references are replaced")]
    return []


def _refusal(schema: dict[str, Any]) -> str | None:
    try:
        JsonSchema(schema).written()
    except (TypeError, ValueError) as error:
        return str(error)
    return None


def _levels(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_levels, inner), default=0)
