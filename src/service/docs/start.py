"""The two bodies of a start: JSON, or a form with files. What `input` may be follows from the installed definitions."""

from __future__ import annotations

from typing import Any

from service.definitions.definition import AnyDefinition
from service.definitions.inlining import unrolled
from service.definitions.limits import FROM_ZERO, NAMES, WHOLE, Limits
from service.definitions.registry import Registry
from service.definitions.schema import schema_of
from service.docs import examples
from service.egress import LONGEST_URL
from service.executions.models import Labels
from service.executions.timing import FARTHEST, HIGHEST_PRIORITY

TIMING: dict[str, Any] = {
    "deadline": {
        "type": "string",
        "format": "date-time",
        "description": f"When it must have ended, else it fails as deadline_exceeded; within {FARTHEST.days} days.",
    },
    "start_after": {
        "type": "string",
        "format": "date-time",
        "description": "No worker takes it before; until then it is pending. A time that has passed means at once.",
    },
    "priority": {
        "type": "integer",
        "minimum": -HIGHEST_PRIORITY,
        "maximum": HIGHEST_PRIORITY,
        "default": 0,
        "description": "Higher goes first among this account's executions; other accounts are not held up.",
    },
}
"""When and in which order; the same in both bodies."""

CALLBACK: dict[str, Any] = {
    "webhook_url": {
        "type": "string",
        "format": "uri",
        "maxLength": LONGEST_URL,
        "description": "Who is told how it ends, signed with the secret of the account's webhook without a URL.",
    }
}


def start_body(registry: Registry) -> dict[str, Any]:
    """The request body of the start route, with one form for every key that is installed."""
    keys = sorted({reference.rpartition("@")[0] for reference in registry.references()})
    latest = (registry.latest(key) for key in keys)
    bodies = [_json_form(definition) for definition in latest if definition is not None]
    schema = {"oneOf": bodies} if bodies else _any_json_form()
    is_shown = examples.START["execution_key"] in keys
    return {
        "required": True,
        "content": {
            "application/json": {"schema": schema} | ({"example": examples.START} if is_shown else {}),
            "multipart/form-data": {"schema": _form(keys)},
        },
    }


def _json_form(definition: AnyDefinition) -> dict[str, Any]:
    return {
        "title": definition.name,
        "type": "object",
        "properties": {
            "execution_key": {"const": definition.key},
            "input": unrolled(definition.input_schema),
            "limits": _limits(definition.limits),
            **_labels(),
            **TIMING,
            **CALLBACK,
        },
        "required": ["execution_key"],
        "additionalProperties": False,
    }


def _any_json_form() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "execution_key": {"type": "string"},
            "input": {"type": "object"},
            "limits": _limits(Limits()),
            **_labels(),
            **TIMING,
            **CALLBACK,
        },
        "required": ["execution_key"],
        "additionalProperties": False,
    }


def _labels() -> dict[str, Any]:
    """What the caller may call the run by; the types say how long it may be."""
    described: dict[str, Any] = schema_of(Labels)["properties"]
    described["external_id"]["description"] = "What your own system calls it; unique among your executions."
    described["metadata"]["description"] = "Texts of yours, to list executions by: `?metadata[name]=text`."
    return described


def _limits(most: Limits) -> dict[str, Any]:
    """What the caller may lower, each with the most that it may be."""
    properties: dict[str, Any] = {}
    for name in NAMES:
        number: dict[str, Any] = {"type": "integer" if name in WHOLE else "number"}
        number |= {"minimum": 0} if name in FROM_ZERO else {"exclusiveMinimum": 0}
        highest = getattr(most, name)
        properties[name] = number if highest is None else {**number, "maximum": highest}
    return {
        "type": "object",
        "description": "Limits of this run, lower than the definition's.",
        "properties": properties,
        "additionalProperties": False,
    }


def _form(keys: list[str]) -> dict[str, Any]:
    files = {"type": "array", "items": {"type": "string", "format": "binary"}}
    encoded = {"type": "string", "contentMediaType": "application/json", "description": "JSON-encoded."}
    return {
        "type": "object",
        "properties": {
            "execution_key": {
                "type": "string",
                "description": "May be left out where the agent offers exactly one definition.",
                **({"enum": keys} if keys else {}),
            },
            "input": encoded,
            "limits": encoded,
            "external_id": _labels()["external_id"],
            "metadata": encoded,
            **TIMING,
            **CALLBACK,
            "files[]": {**files, "description": "For agents with file upload; `files` is the same."},
        },
        "additionalProperties": False,
    }
