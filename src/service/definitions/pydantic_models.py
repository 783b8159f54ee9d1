"""Pydantic models as types of inputs and outputs. Pydantic is imported only where a definition has brought a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeGuard

from service.definitions.inlining import every_schema

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Path = tuple[str | int, ...]

ABSENT = frozenset({"missing", "extra_forbidden"})
"""Findings about a field that is not there, or not in the model."""


def is_model(type_: Any) -> TypeGuard[type[BaseModel]]:
    """Whether a type is a pydantic model. Without pydantic in the process there is none."""
    known = sys.modules.get("pydantic")
    return known is not None and isinstance(type_, type) and issubclass(type_, known.BaseModel)


def model_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema of what the model reads: closed where the model does not say what becomes of unknown fields.

    Raises TypeError for what JSON cannot carry, and for fields that are read and written under different names: what is
    stored is read again.
    """
    from pydantic.errors import PydanticUndefinedAnnotation, PydanticUserError
    from pydantic.json_schema import GenerateJsonSchema

    class Closed(GenerateJsonSchema):
        def model_schema(self, schema: Any) -> Any:
            made = super().model_schema(schema)
            if "extra" not in schema["cls"].model_config and not schema.get("root_model"):
                made.setdefault("additionalProperties", False)
            return made

    try:
        read = model.model_json_schema(mode="validation", schema_generator=Closed)
        written = model.model_json_schema(mode="serialization")
    except (PydanticUndefinedAnnotation, PydanticUserError) as error:
        raise TypeError(str(error).splitlines()[0]) from error
    if apart := _names(read) ^ _names(written):
        raise TypeError(f"reads and writes fields under different names: {', '.join(sorted(apart))}")
    return read


def read_model(model: type[BaseModel], value: object) -> tuple[BaseModel | None, list[tuple[Path, str]]]:
    """A JSON value as the model, strictly as JSON has it: dates are texts, "1" is no number.

    Where it is none: everything that pydantic found, as place in the value and message.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate_json(json.dumps(value), strict=True), []
    except ValidationError as error:
        return None, list(_findings(error, value))


def dumped(value: Any) -> Any:
    """The model as JSON values that the same model reads: by alias, without computed fields."""
    return value.model_dump(mode="json", by_alias=True, round_trip=True)


def _findings(error: ValidationError, value: object) -> Iterator[tuple[Path, str]]:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    places = [_place(each["loc"], value, is_whole=each["type"] in ABSENT) for each in found]
    looked_into = {place[:length] for place in places for length in range(len(place))}
    for each, place in zip(found, places, strict=True):
        # The branch of a union that wanted another type was not meant where another branch has looked inside.
        if not (place in looked_into and each["type"].endswith("_type")):
            yield place, _lowered(each["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, "))


def _names(schema: dict[str, Any]) -> set[str]:
    """The names of all fields in a schema but those that are computed."""
    return {
        name
        for part in every_schema(schema)
        for name, inner in part.get("properties", {}).items()
        if not (isinstance(inner, dict) and inner.get("readOnly"))
    }


def _place(location: Path, value: Any, *, is_whole: bool) -> Path:
    """The steps of pydantic's location that lead through the value; the others name branches of unions and the like.

    `is_whole`: the last step counts whether or not it is there.
    """
    place: list[str | int] = []
    for number, step in enumerate(location, start=1):
        if is_whole and number == len(location):
            return (*place, step)
        is_index = isinstance(value, list) and isinstance(step, int) and step < len(value)
        if is_index or (isinstance(value, dict) and step in value):
            value = value[step]
            place.append(step)
    return tuple(place)


def _lowered(message: str) -> str:
    """A message in the middle of a sentence; one that begins with a name in capitals stays."""
    return message[:1].lower() + message[1:] if message[1:2].islower() else message
