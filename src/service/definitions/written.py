"""The JSON Schema of a type as its own library writes it, and the validator that follows it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import jsonschema_rs
import msgspec

from service.definitions.inlining import inlined
from service.definitions.json_schema import JsonSchema, raw_validator
from service.definitions.pydantic_models import is_model, model_schema


def written(type_: Any) -> dict[str, Any]:
    """The schema, references and all, not to be changed. Raises TypeError or ValueError where there is none."""
    return _written_once(type_) if isinstance(type_, JsonSchema) or is_model(type_) else _of_msgspec(type_)


@lru_cache(maxsize=256)
def validator(type_: Any) -> Any:
    """A validator of the schema. Only for a raw schema are formats its to check; types check theirs themselves."""
    schema = written(type_)
    return raw_validator(schema) if isinstance(type_, JsonSchema) else jsonschema_rs.validator_for(schema)


@lru_cache(maxsize=256)
def recursive_schema(type_: Any) -> dict[str, Any] | None:
    """The schema of a type that contains itself, not to be changed; None for every other type."""
    schema = written(type_)
    return schema if "$defs" in inlined(schema) else None


@lru_cache(maxsize=256)
def inlined_once(type_: JsonSchema[Any]) -> dict[str, Any]:
    """A raw schema without references, not to be changed."""
    return inlined(written(type_))


@lru_cache(maxsize=256)
def _written_once(type_: Any) -> dict[str, Any]:
    return type_.written() if isinstance(type_, JsonSchema) else model_schema(type_)


def _of_msgspec(type_: Any) -> dict[str, Any]:
    try:
        return msgspec.json.schema(type_)
    except NameError as error:
        raise TypeError(f"an annotation cannot be read: {error}") from error
