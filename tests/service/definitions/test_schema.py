"""JSON Schemas as clients see them, and decoding with every error at once."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agentic import Input, JsonSchema
from service.definitions.problems import NOT_BLANK
from service.definitions.schema import Undecodable, convert, decode, is_clean, is_object, schema_of
from service.errors import FieldError, InvalidInput

GUIDE_SCHEMA = """
{
"title": "CatalogEnrichmentAgenticExecutionInput",
"description": "Input for the catalog enrichment agentic execution.",
"type": "object",
"additionalProperties": false,
"properties": {
"additional_instructions": {
"title": "Additional Instructions",
"anyOf": [{ "type": "string" }, { "type": "null" }],
"default": null
},
"skus": {
"title": "Skus",
"anyOf": [{ "items": { "type": "string" }, "type": "array" }, { "type": "null" }],
"default": null
}
}
}
"""


class CatalogEnrichmentAgenticExecutionInput(Input):
    """Input for the catalog enrichment agentic execution."""

    additional_instructions: str | None = None
    skus: list[str] | None = None


class Size(msgspec.Struct, forbid_unknown_fields=True):
    """How big."""

    height: Annotated[float, msgspec.Meta(gt=0)]
    unit: Literal["cm", "in"] = "cm"


class Parcel(Input):
    label: Annotated[str, msgspec.Meta(min_length=1, title="Sticker")]
    size: Size
    sizes: list[Size] = msgspec.field(default_factory=list)
    spare: Size | None = None
    weight: int | str | None = None
    due: datetime | None = None
    notes: dict[str, Any] = msgspec.field(default_factory=dict)


class Circle(msgspec.Struct, tag=True):
    radius: int


class Square(msgspec.Struct, tag=True):
    side: int


class Drawing(Input):
    shape: Circle | Square


class Tree(msgspec.Struct):
    children: list[Tree] = []


def test_schema_of_when_the_type_is_the_guides_then_it_is_the_guides_json_in_its_order() -> None:
    made = schema_of(CatalogEnrichmentAgenticExecutionInput)
    assert json.dumps(made) == json.dumps(json.loads(GUIDE_SCHEMA))


def test_schema_of_when_types_are_nested_then_no_reference_is_left() -> None:
    made = schema_of(Parcel)
    assert "$" not in json.dumps(made)
    assert made["required"] == ["label", "size"]
    assert made["properties"]["label"]["title"] == "Sticker"
    assert made["properties"]["sizes"]["items"] == made["properties"]["size"]
    assert made["properties"]["size"]["properties"]["unit"]["default"] == "cm"


def test_schema_of_when_the_type_is_a_tagged_union_then_both_forms_are_there_without_references() -> None:
    made = schema_of(Drawing)
    assert [form["title"] for form in made["properties"]["shape"]["anyOf"]] == ["Circle", "Square"]
    assert "$" not in json.dumps(made)


def test_schema_of_when_any_object_is_taken_then_it_has_the_given_title() -> None:
    assert schema_of(dict[str, Any], title="Echo Input") == {"title": "Echo Input", "type": "object"}


def test_schema_of_when_it_is_for_a_model_then_it_has_no_titles() -> None:
    assert "title" not in json.dumps(schema_of(Parcel, titles=False))


def test_schema_of_when_a_type_contains_itself_then_it_alone_is_referred_to() -> None:
    made = schema_of(Tree)
    assert made["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert made["$defs"]["Tree"]["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}


def test_schema_of_when_it_is_for_a_model_and_contains_itself_then_it_ends_in_an_open_object() -> None:
    made = schema_of(Tree, titles=False)
    assert "$" not in json.dumps(made)
    assert made["properties"]["children"]["items"] == {"type": "object"}


@pytest.mark.parametrize(
    ("type_", "expected"), [(Parcel, True), (dict[str, int], True), (list[str], False), (str, False), (int, False)]
)
def test_is_object_when_asked_then_only_objects_are(type_: Any, expected: bool) -> None:
    assert is_object(type_) is expected


def errors_of(type_: Any, value: object) -> list[tuple[str, str]]:
    with pytest.raises(InvalidInput) as raised:
        decode(type_, value)
    return [(error.field, error.message) for error in raised.value.errors]


def test_decode_when_fields_are_left_out_then_defaults_are_filled_in_the_types_order() -> None:
    value = decode(CatalogEnrichmentAgenticExecutionInput, {"skus": ["a"]})
    assert json.dumps(value) == '{"additional_instructions": null, "skus": ["a"]}'


def test_decode_when_many_things_are_wrong_then_all_are_named_with_their_paths() -> None:
    wrong = {"skus": ["a", 1, None], "additional_instructions": 5, "extra": 1, "more": 2}
    assert sorted(errors_of(CatalogEnrichmentAgenticExecutionInput, wrong)) == [
        ("input.additional_instructions", "must be a string or null, got a number"),
        ("input.extra", "is not a known field"),
        ("input.more", "is not a known field"),
        ("input.skus[1]", "must be a string, got a number"),
        ("input.skus[2]", "must be a string, got null"),
    ]


def test_decode_when_nested_things_are_wrong_then_all_are_named() -> None:
    wrong = {"size": {"height": 0, "unit": "m"}, "sizes": [{"unit": "cm"}], "spare": {"height": "x"}, "weight": []}
    assert dict(errors_of(Parcel, wrong)) == {
        "input.label": "is required",
        "input.size.height": "0 is less than or equal to the minimum of 0",
        "input.size.unit": '"m" is not one of "cm" or "in"',
        "input.sizes[0].height": "is required",
        "input.spare.height": "must be a number, got a string",
        "input.weight": "must be an integer or a string or null, got an array",
    }


def test_decode_when_only_msgspec_sees_what_is_wrong_then_its_path_is_ours() -> None:
    wrong = {"label": "x", "size": {"height": 1}, "due": "tomorrow"}
    assert errors_of(Parcel, wrong) == [("input.due", "invalid RFC3339 encoded datetime")]


@pytest.mark.parametrize("value", [None, [], "text", 5, True])
def test_decode_when_the_value_is_no_object_then_refused(value: object) -> None:
    [(field, message)] = errors_of(CatalogEnrichmentAgenticExecutionInput, value)
    assert field == "input"
    assert message.startswith("must be an object, got ")


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        ({"a": "x\0"}, "input.a", "must not contain the character U+0000"),
        ({"a": ["\ud800"]}, "input.a[0]", "must not contain a lone surrogate"),
        ({"a": {"b": float("nan")}}, "input.a.b", "must be a finite number within range"),
        ({"a": float("inf")}, "input.a", "must be a finite number within range"),
        ({"b\0": 1}, "input", "must not contain the character U+0000"),
    ],
)
def test_decode_when_the_database_could_not_keep_it_then_refused(value: object, field: str, message: str) -> None:
    assert errors_of(dict[str, Any], value) == [(field, message)]


def test_decode_when_unclean_and_mistyped_then_both_are_named() -> None:
    wrong = {"skus": ["\0"], "additional_instructions": 5}
    assert len(errors_of(CatalogEnrichmentAgenticExecutionInput, wrong)) == 2


def test_decode_when_nested_too_deep_then_refused() -> None:
    value: dict[str, Any] = {}
    for _ in range(10_000):
        value = {"a": value}
    [(field, message)] = errors_of(dict[str, Any], value)
    assert (field, message) == ("input.a.a.a", "is nested more than 100 levels deep")


def test_decode_when_types_only_look_alike_then_nothing_is_coerced() -> None:
    assert errors_of(dict[str, int], {"a": "1"}) == [("input.a", "must be an integer, got a string")]
    assert errors_of(dict[str, int], {"b": True}) == [("input.b", "must be an integer, got a boolean")]


def test_convert_when_a_key_has_slashes_then_its_pointer_escapes_them() -> None:
    with pytest.raises(Undecodable) as raised:
        convert(dict[str, int], {"a/b~c": "x"})
    assert [problem.pointer for problem in raised.value.problems] == ["/a~1b~0c"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)
near_parcels = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("label", "size", "sizes", "spare", "weight", "due", "notes", "x"), json_values)
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(value=json_values | near_parcels)
def test_decode_when_given_anything_then_clean_json_or_named_errors(value: object) -> None:
    errors: list[FieldError] = []
    try:
        decoded = decode(Parcel, value)
    except InvalidInput as refused:
        errors = refused.errors
    else:
        assert is_clean(decoded)
        assert decode(Parcel, decoded) == decoded
        return
    assert errors
    assert all(found.field.startswith("input") and found.message for found in errors)
    assert is_clean([[found.field, found.message] for found in errors])


class SizeModel(BaseModel):
    height: int


SIZE_SCHEMA = JsonSchema({"type": "object", "properties": {"height": {"type": "integer"}}})


@pytest.mark.parametrize("type_", [dict[str, int], SizeModel, SIZE_SCHEMA], ids=["msgspec", "pydantic", "raw"])
def test_decode_when_a_number_has_more_digits_than_can_be_written_then_it_is_refused(type_: Any) -> None:
    assert errors_of(type_, {"height": 10**5000}) == [("input.height", "must be a number of at most 4200 digits")]
    assert decode(type_, {"height": 10**4000}) == {"height": 10**4000}


@pytest.mark.parametrize("text", ["", " \n"])
def test_decode_when_a_text_must_not_be_blank_then_said_in_words(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode(Annotated[str, msgspec.Meta(pattern=NOT_BLANK)], text)
    assert [error.message for error in caught.value.errors] == ["must not be blank"]
