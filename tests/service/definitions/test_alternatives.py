"""Alternatives in the three styles: forms told apart by a tag, and those that contain themselves."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import pytest
from pydantic import BaseModel

from agentic import JsonSchema
from service.definitions import field_schema
from service.definitions.problems import ENTANGLED
from service.definitions.schema import Undecodable, convert


class Leaf(msgspec.Struct, tag="leaf"):
    size: int


class Pair(msgspec.Struct, tag="pair"):
    left: Leaf | Pair | Twin
    right: Leaf | Pair | Twin


class Twin(msgspec.Struct, tag="twin"):
    left: Leaf | Pair | Twin
    right: Leaf | Pair | Twin


class Tree(msgspec.Struct):
    trunk: Leaf | Pair | Twin


class ModelLeaf(BaseModel):
    type: Literal["leaf"]
    size: int


class ModelPair(BaseModel):
    type: Literal["pair"]
    left: ModelLeaf | ModelPair | ModelTwin
    right: ModelLeaf | ModelPair | ModelTwin


class ModelTwin(BaseModel):
    type: Literal["twin"]
    left: ModelLeaf | ModelPair | ModelTwin
    right: ModelLeaf | ModelPair | ModelTwin


class ModelTree(BaseModel):
    trunk: ModelLeaf | ModelPair | ModelTwin


def raw_form(tag: str, *fields: str) -> dict[str, Any]:
    inner = {name: {"$ref": "#/$defs/any"} for name in fields} or {"size": {"type": "integer"}}
    return {"type": "object", "properties": {"type": {"const": tag}, **inner}, "required": list(inner)}


RAW: dict[str, Any] = {
    "type": "object",
    "properties": {"trunk": {"$ref": "#/$defs/any"}},
    "$defs": {
        "any": {"anyOf": [raw_form("leaf"), raw_form("pair", "left", "right"), raw_form("twin", "left", "right")]}
    },
}
STYLES: dict[str, Any] = {"msgspec": Tree, "pydantic": ModelTree, "raw": JsonSchema(RAW)}

each_style = pytest.mark.parametrize("style", STYLES)


def leaf(size: object) -> dict[str, Any]:
    return {"type": "leaf", "size": size}


def deep(levels: int, innermost: dict[str, Any]) -> dict[str, Any]:
    made = innermost
    for _ in range(levels):
        made = {"type": "pair", "left": made, "right": leaf(1)}
    return {"trunk": made}


def found(type_: Any, value: object) -> dict[str, str]:
    with pytest.raises(Undecodable) as raised:
        convert(type_, value)
    return {problem.pointer: problem.message for problem in raised.value.problems}


@each_style
def test_convert_when_a_form_is_told_by_its_tag_then_what_is_wrong_in_it_is_said(style: str) -> None:
    said = found(STYLES[style], {"trunk": {"type": "pair", "left": leaf("x"), "right": leaf(1)}})

    assert said["/trunk/left/size"] == "must be an integer, got a string"
    assert "fits none" not in " ".join(said.values())


@each_style
def test_convert_when_alternatives_contain_themselves_many_levels_deep_then_it_answers_at_once(style: str) -> None:
    said = found(STYLES[style], deep(40, leaf("x")))

    if style == "msgspec":  # it knows the form by its tag, and says its first finding
        assert said == {f"/trunk{'/left' * 40}/size": "expected `int`, got `str`"}
    else:
        assert said == {"": ENTANGLED.message}


@each_style
def test_convert_when_alternatives_contain_themselves_a_few_levels_deep_then_it_is_read(style: str) -> None:
    convert(STYLES[style], deep(3, leaf(1)))


def test_convert_when_a_list_of_recursive_forms_is_long_then_it_is_read() -> None:
    forms = {"type": "array", "items": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "string"}]}}
    node: dict[str, Any] = {
        "type": "object",
        "properties": {"all": forms},
        "$defs": {"node": {"properties": {"all": forms}}},
    }
    value = {"all": [{"all": ["a", {"all": []}]}] * 1500}

    assert convert(JsonSchema(node), value) == value


def test_field_schema_when_a_default_would_be_tried_in_too_many_ways_then_it_is_refused() -> None:
    many = {"anyOf": [{"$ref": "#"}] * 100}
    schema = {"type": "object", "properties": {"a": {**many, "default": {"a": {"a": {"a": {"a": 1}}}}}}}

    [problem] = field_schema.problems_of(schema)
    assert "alternatives that contain themselves" in problem.message
