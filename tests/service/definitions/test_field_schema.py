"""Which JSON Schemas an agent may have for the details of its products, and what is said of others."""

from __future__ import annotations

from typing import Any

import pytest

from service.definitions.field_schema import MOST_BYTES, problems_of


def schema(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields}


def said(given: dict[str, Any]) -> dict[str, str]:
    return {problem.field("field_schema"): problem.message for problem in problems_of(given)}


@pytest.mark.parametrize(
    "given",
    [
        schema(colour={"enum": ["red", "blue"]}),
        {**schema(size={"$ref": "#/$defs/size"}), "$defs": {"size": {"type": "integer"}}, "required": ["size"]},
        {**schema(parts={"$ref": "#"}), "additionalProperties": False},
        {**schema(a={}), "$schema": "https://json-schema.org/draft/2020-12/schema"},
    ],
)
def test_field_schema_when_it_can_be_used_then_nothing_is_said(given: dict[str, Any]) -> None:
    assert problems_of(given) == []


@pytest.mark.parametrize(
    ("given", "place", "words"),
    [
        ({"type": "array"}, "field_schema.type", "'object'"),
        ({"properties": {"a": {}}}, "field_schema.type", "'object'"),
        ({"type": "object"}, "field_schema.properties", "1 to 50 fields"),
        (schema(), "field_schema.properties", "1 to 50 fields"),
        (schema(**{f"a{number}": {} for number in range(51)}), "field_schema.properties", "1 to 50 fields"),
        ({**schema(a={}), "required": "a"}, "field_schema.required", "array"),
        ({**schema(a={}), "$schema": "http://json-schema.org/draft-07/schema#"}, "field_schema", "draft/2020-12"),
        ({**schema(a={}), "description": "x" * MOST_BYTES}, "field_schema", "bytes"),
        (schema(a={"not": {"not": {"not": {"not": {"not": {"not": {}}}}}}}), "field_schema", "levels"),
        (schema(a={"const": "\0"}), "field_schema.properties.a.const", "U+0000"),
    ],
)
def test_field_schema_when_it_cannot_be_used_then_it_is_said_where(
    given: dict[str, Any], place: str, words: str
) -> None:
    found = said(given)

    assert list(found) == [place]
    assert words in found[place]


def test_field_schema_when_several_fields_are_wrong_then_each_is_named() -> None:
    found = said(
        schema(
            fine={"type": "string"},
            kind={"type": "strin"},
            pattern={"type": "string", "pattern": "(?=x)"},
            remote={"$ref": "https://example.org/colour"},
            lost={"$ref": "#/$defs/lost"},
            default={"type": "integer", "default": "x"},
        )
    )

    assert list(found) == [
        f"field_schema.properties.{place}" for place in ("kind.type", "pattern.pattern", "remote", "lost", "default")
    ]
    assert "look-around" in found["field_schema.properties.pattern.pattern"]


def test_field_schema_when_its_references_stand_for_too_much_then_it_is_refused() -> None:
    parts: dict[str, Any] = {"p0": {"type": "string", "description": "x" * 100}}
    for number in range(1, 9):
        inner = {"$ref": f"#/$defs/p{number - 1}"}
        parts[f"p{number}"] = {"type": "object", "properties": {"left": inner, "right": inner}}

    found = said({**schema(a={"$ref": "#/$defs/p8"}), "$defs": parts})

    assert list(found) == ["field_schema"]
    assert "once its references are replaced" in found["field_schema"]
