"""Inputs and outputs in three styles: a msgspec type, a pydantic model, a raw JSON Schema. The same comes of each."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field, field_validator, model_validator

from agentic import Input, JsonSchema
from service.definitions.schema import convert, decode, is_object, jsonable, schema_of
from service.errors import InvalidInput


class Size(msgspec.Struct, forbid_unknown_fields=True):
    """How big."""

    height: Annotated[int, msgspec.Meta(gt=0, le=1000)]
    unit: Literal["cm", "in"] = "cm"


class Parcel(Input):
    """A parcel to be sent."""

    label: Annotated[str, msgspec.Meta(min_length=1, pattern="^[a-z]*$")]
    size: Size
    codes: Annotated[list[str], msgspec.Meta(max_length=3)] = msgspec.field(default_factory=list)
    spare: Size | None = None
    due: datetime | None = None
    is_urgent: bool = False


class ModelSize(BaseModel):
    """How big."""

    height: Annotated[int, Field(gt=0, le=1000)]
    unit: Literal["cm", "in"] = "cm"


class ModelParcel(BaseModel):
    """A parcel to be sent."""

    label: Annotated[str, Field(min_length=1, pattern="^[a-z]*$")]
    size: ModelSize
    codes: Annotated[list[str], Field(max_length=3)] = []
    spare: ModelSize | None = None
    due: datetime | None = None
    is_urgent: bool = False


SIZE: dict[str, Any] = {
    "type": "object",
    "title": "Size",
    "description": "How big.",
    "properties": {
        "height": {"type": "integer", "exclusiveMinimum": 0, "maximum": 1000},
        "unit": {"enum": ["cm", "in"], "default": "cm"},
    },
    "required": ["height"],
    "additionalProperties": False,
}
RAW: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "description": "A parcel to be sent.",
    "properties": {
        "label": {"type": "string", "minLength": 1, "pattern": "^[a-z]*$"},
        "size": {"$ref": "#/$defs/Size"},
        "codes": {"type": "array", "items": {"type": "string"}, "maxItems": 3, "default": []},
        "spare": {"anyOf": [{"$ref": "#/$defs/Size"}, {"type": "null"}], "default": None},
        "due": {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}], "default": None},
        "is_urgent": {"type": "boolean", "default": False},
    },
    "required": ["label", "size"],
    "additionalProperties": False,
    "$defs": {"Size": SIZE},
}
STYLES: dict[str, Any] = {"msgspec": Parcel, "pydantic": ModelParcel, "raw": JsonSchema(RAW, title="Parcel")}

each_style = pytest.mark.parametrize("style", STYLES)


def errors_of(type_: Any, value: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as raised:
        decode(type_, value)
    return {error.field: error.message for error in raised.value.errors}


def same(schema: Any) -> Any:
    """A schema without what one library adds: its own names and formats, types beside enums, the order of members."""
    if isinstance(schema, list):
        return sorted((same(part) for part in schema), key=str)
    if not isinstance(schema, dict):
        return schema
    return {
        key: same(part)
        for key, part in schema.items()
        if not (key == "title" and str(part).endswith(("Parcel", "Size")))
        and not (key == "type" and "enum" in schema)
        and key != "format"
    }


@each_style
def test_schema_of_when_a_type_is_written_in_another_style_then_it_is_the_same(style: str) -> None:
    made = schema_of(STYLES[style])
    assert same(made) == same(schema_of(Parcel))
    assert made["title"].endswith("Parcel")
    assert "$" not in json.dumps(made).replace("]*$", "")
    assert list(made) == list(schema_of(Parcel))


@each_style
def test_decode_when_fields_are_left_out_then_defaults_are_filled_in_order(style: str) -> None:
    value = decode(STYLES[style], {"is_urgent": True, "size": {"height": 2}, "label": "a"})
    assert json.dumps(value) == json.dumps(
        {
            "label": "a",
            "size": {"height": 2, "unit": "cm"},
            "codes": [],
            "spare": None,
            "due": None,
            "is_urgent": True,
        }
    )


@each_style
def test_decode_when_many_things_are_wrong_then_all_are_named_alike(style: str) -> None:
    wrong = {"label": 1, "size": {"unit": "m", "depth": 1}, "codes": ["a", 1], "is_urgent": "true", "more": 1}
    assert errors_of(STYLES[style], wrong) == {
        "input.label": "must be a string, got a number",
        "input.size.height": "is required",
        "input.size.unit": '"m" is not one of "cm" or "in"',
        "input.size.depth": "is not a known field",
        "input.codes[1]": "must be a string, got a number",
        "input.is_urgent": "must be a boolean, got a string",
        "input.more": "is not a known field",
    }


@each_style
@pytest.mark.parametrize("text", ["x\0", "\ud800"])
def test_decode_when_the_database_could_not_keep_it_then_refused_with_the_rest(style: str, text: str) -> None:
    found = errors_of(STYLES[style], {"label": text, "size": {"height": "1"}, "codes": [float("nan")]})
    assert set(found) == {"input.label", "input.size.height", "input.codes[0]"}


@each_style
def test_decode_when_a_date_is_none_then_named(style: str) -> None:
    wrong = {"label": "a", "size": {"height": 1}, "due": "tomorrow"}
    assert set(errors_of(STYLES[style], wrong)) == {"input.due"}


wrong_values = st.sampled_from([None, True, "x", "", "ABC", 1, -5, 2.5, 10**30, [], [1], ["a"] * 5, {}, {"height": 0}])
right = {"label": "a", "size": {"height": 1}, "codes": ["a"], "spare": {"height": 3, "unit": "in"}, "is_urgent": True}
right_fields = {name: st.just(value) for name, value in right.items()}
near_parcels = st.fixed_dictionaries(
    {}, optional={name: field | wrong_values for name, field in right_fields.items()} | {"other": wrong_values}
)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(value=near_parcels)
def test_decode_when_given_the_same_then_each_style_accepts_or_refuses_the_same_places(value: object) -> None:
    def outcome(type_: Any) -> object:
        try:
            return decode(type_, value)
        except InvalidInput as error:
            return {found.field for found in error.errors}

    outcomes = {style: outcome(type_) for style, type_ in STYLES.items()}
    assert outcomes["pydantic"] == outcomes["msgspec"]
    assert outcomes["raw"] == outcomes["msgspec"]


def test_convert_when_the_type_is_a_model_then_the_value_is_one_and_can_be_read_again() -> None:
    value = {"label": "a", "size": {"height": 1}, "due": "2026-01-02T03:04:05Z"}
    made = convert(ModelParcel, value)
    assert isinstance(made, ModelParcel)
    assert isinstance(made.due, datetime)
    assert jsonable(made)["due"] == "2026-01-02T03:04:05Z"
    assert convert(ModelParcel, jsonable(made)) == made


class Order(BaseModel):
    class Line(BaseModel):
        sku: str = Field(alias="SKU")
        quantity: int

        @field_validator("quantity")
        @classmethod
        def is_some(cls, quantity: int) -> int:
            if quantity < 1:
                raise ValueError("Order at least one")
            return quantity

    lines: list[Line | str]
    note: str = ""
    when: datetime | None = None

    @computed_field
    def total(self) -> int:
        return len(self.lines)

    @model_validator(mode="after")
    def has_lines(self) -> Order:
        if not self.lines:
            raise ValueError("an order needs lines")
        return self


def test_decode_when_a_models_own_validators_object_then_they_are_named_beside_the_rest() -> None:
    wrong = {"lines": [{"SKU": "a", "quantity": 1}, {"SKU": "b", "quantity": 0}, "c"], "note": 1}
    assert errors_of(Order, wrong) == {
        "input.lines[1].quantity": "order at least one",
        "input.note": "must be a string, got a number",
    }
    assert errors_of(Order, {"lines": []}) == {"input": "an order needs lines"}


def test_decode_when_a_model_has_aliases_and_computed_fields_then_it_is_stored_as_it_is_read() -> None:
    stored = decode(Order, {"lines": [{"SKU": "a", "quantity": 1}]})
    assert stored == {"lines": [{"SKU": "a", "quantity": 1}], "note": "", "when": None}
    assert decode(Order, stored) == stored


class Tagged(BaseModel):
    kind: Literal["circle"]
    radius: int


class OtherTagged(BaseModel):
    kind: Literal["square"]
    side: int


class Drawing(BaseModel):
    shape: Tagged | OtherTagged = Field(discriminator="kind")


def test_decode_when_a_tagged_union_is_wrong_then_the_place_holds_no_tag() -> None:
    assert "input.shape.radius" in errors_of(Drawing, {"shape": {"kind": "circle", "radius": "x"}})
    assert "discriminator" not in json.dumps(schema_of(Drawing))


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class Ignoring(BaseModel):
    model_config = ConfigDict(extra="ignore")


def test_decode_when_a_model_says_what_becomes_of_unknown_fields_then_that_is_done() -> None:
    assert decode(Open, {"a": 1}) == {"a": 1}
    assert decode(Ignoring, {"a": 1}) == {}


class Node(BaseModel):
    name: str
    children: list[Node] = []


NODE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}, "default": []}},
    "required": ["name"],
}


@pytest.mark.parametrize("type_", [Node, JsonSchema(NODE, title="Node")])
def test_schema_of_when_a_type_contains_itself_then_only_that_is_referred_to(type_: Any) -> None:
    made = schema_of(type_)
    [name] = made["$defs"]
    assert made["$defs"][name]["properties"]["children"]["items"] == {"$ref": f"#/$defs/{name}"}
    assert "$" not in json.dumps(schema_of(type_, titles=False))
    assert decode(type_, {"name": "a", "children": [{"name": "b"}]})["children"] == [{"name": "b", "children": []}]
    assert set(errors_of(type_, {"name": "a", "children": [{"name": 1}]})) == {"input.children[0].name"}


class Apart(BaseModel):
    name: str = Field(validation_alias="in", serialization_alias="out")


class Opaque(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    handle: object
    stray: json.JSONDecoder


@pytest.mark.parametrize(("model", "why"), [(Apart, "different names: in, out"), (Opaque, "JsonSchema|JSON schema")])
def test_schema_of_when_a_model_cannot_be_stored_then_refused(model: Any, why: str) -> None:
    with pytest.raises(TypeError, match=why):
        schema_of(model)


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "objekt"}, '/type: "objekt" is not valid'),
        ({"properties": {"a": {"required": "x"}}}, "/properties/a/required"),
        ({"properties": {"a": {"pattern": "(?=a)b"}}}, "no look-around"),
        ({"$ref": "https://example.com/order.json"}, "Retrieval is disabled"),
        ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "Retrieval is disabled"),
        ({"$ref": "#/$defs/None"}, "does not exist"),
        ({"properties": {"a": {"$id": "https://example.com/a", "type": "string"}}}, r"uses \$id"),
        ({"$defs": {"a": {"$anchor": "a"}}}, r"uses \$anchor"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "draft-07"),
        ({"properties": {"a": {"type": "integer", "default": "x"}}}, "default that it refuses"),
        ({"default": float("nan")}, "JSON"),
        ({"properties": {"a": {"$ref": "#", "default": {}}}}, "nested without end"),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, "without a step"),
        ({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}, "without a step"),
        ({"$defs": {"a": {"if": {"$ref": "#/$defs/b"}}, "b": {"not": {"$ref": "#/$defs/a"}}}}, "without a step"),
    ],
)
def test_schema_of_when_a_raw_schema_cannot_be_used_then_the_reason_is_said(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        schema_of(JsonSchema(schema, title="Wrong"))


def test_schema_of_when_references_multiply_then_refused_before_they_grow() -> None:
    defs = {f"l{n}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/l{n + 1}"}] * 9} for n in range(9)}
    with pytest.raises(ValueError, match="more than 20000 schemas"):
        schema_of(JsonSchema({"$ref": "#/$defs/l0", "$defs": {**defs, "l9": {"type": "string"}}}))


def test_decode_when_a_pattern_would_backtrack_for_ever_then_it_answers_at_once() -> None:
    raw = JsonSchema({"type": "object", "properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    assert set(errors_of(raw, {"a": "a" * 100_000 + "!"})) == {"input.a"}


def test_decode_when_a_raw_schema_has_defaults_within_then_they_are_filled_as_far_as_objects_go() -> None:
    point = {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"default": 0}}, "required": ["x"]}
    raw = JsonSchema(
        {
            "type": "object",
            "properties": {
                "$ref": {"type": "string", "default": "a property, not a reference"},
                "at": {"$ref": "#/$defs/point", "default": {"x": 1}},
                "maybe": {"anyOf": [{"$ref": "#/$defs/point"}, {"type": "null"}]},
                "all": {"type": "array", "items": {"$ref": "#/$defs/point"}},
            },
            "additionalProperties": {"$ref": "#/$defs/point"},
            "$defs": {"point": point},
        }
    )
    value = decode(raw, {"all": [{"x": 1}], "maybe": {"x": 2}, "more": {"x": 3}})
    assert json.dumps(value) == json.dumps(
        {
            "$ref": "a property, not a reference",
            "at": {"x": 1, "y": 0},
            "maybe": {"x": 2, "y": 0},
            "all": [{"x": 1, "y": 0}],
            "more": {"x": 3, "y": 0},
        }
    )


def test_decode_when_defaults_would_break_the_schema_then_refused() -> None:
    raw = JsonSchema({"type": "object", "properties": {"a": {"default": 1}}, "maxProperties": 1})
    assert set(errors_of(raw, {"b": 1})) == {"input"}


def test_convert_when_the_schema_is_raw_then_the_value_is_a_copy() -> None:
    given_value = {"list": [{"a": 1}]}
    made = convert(JsonSchema({"type": "object"}), given_value)
    made["list"][0]["a"] = 2
    assert given_value == {"list": [{"a": 1}]}


class Names(RootModel[dict[str, str]]):
    """Names by key."""


@pytest.mark.parametrize(
    ("type_", "expected"),
    [(ModelParcel, True), (Node, True), (Names, True), (JsonSchema(RAW), True), (JsonSchema({"type": "array"}), False)],
)
def test_is_object_when_asked_then_only_objects_are(type_: Any, expected: bool) -> None:
    assert is_object(type_) is expected


def test_decode_when_a_model_is_a_root_model_then_its_value_is_stored() -> None:
    assert decode(Names, {"a": "b"}) == {"a": "b"}
    assert set(errors_of(Names, {"a": 1})) == {"input.a"}
