"""Schemas of next answers, and values put in place."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import msgspec
import pytest

from service.definitions.schema import schema_of
from tasks.narrowing import NoSuchPlace, narrowed, patch, patchable, path_of, pinned, replaced, tightened


class Size(msgspec.Struct):
    width: int
    unit: str = "cm"


class Thing(msgspec.Struct):
    name: str
    sizes: list[Size]
    note: str | None = None
    extra: dict[str, int] = {}


SCHEMA = schema_of(Thing, titles=False)
THING = {"name": "Mat", "sizes": [{"width": 3, "unit": "cm"}, {"width": 4, "unit": "mm"}], "note": None}


def takes(schema: Any, value: object) -> bool:
    return bool(jsonschema_rs.is_valid(dict(schema), value))


@pytest.mark.parametrize(
    ("pointer", "path"),
    [("", ()), ("/", ()), ("/a/0", ("a", "0")), ("/a~1b/c~0d", ("a/b", "c~d")), ("a", ("a",)), ("/~01", ("~1",))],
)
def test_path_of_a_pointer_holds_its_steps(pointer: str, path: tuple[str, ...]) -> None:
    assert path_of(pointer) == path


@pytest.mark.parametrize(
    ("path", "new", "expected"),
    [
        ("", 1, 1),
        ("/name", "Rug", {**THING, "name": "Rug"}),
        ("/extra", {}, {**THING, "extra": {}}),
        ("/sizes/1/width", 5, {**THING, "sizes": [{"width": 3, "unit": "cm"}, {"width": 5, "unit": "mm"}]}),
        ("/sizes/2", 0, {**THING, "sizes": [*THING["sizes"], 0]}),  # type: ignore[misc]
    ],
)
def test_replaced_when_the_place_is_there_then_only_that_changes(path: str, new: object, expected: object) -> None:
    before = msgspec.json.encode(THING)
    assert replaced(THING, path_of(path), new) == expected
    assert msgspec.json.encode(THING) == before


@pytest.mark.parametrize("path", ["/none/x", "/sizes/3", "/sizes/-1", "/sizes/x", "/name/x", "/sizes/2/width"])
def test_replaced_when_the_place_is_not_there_then_says_so(path: str) -> None:
    with pytest.raises(NoSuchPlace):
        replaced(THING, path_of(path), 1)


def test_narrowed_when_a_field_is_held_then_it_is_required_and_the_rest_is_free() -> None:
    made = narrowed(SCHEMA, ("note",), {"enum": ["thin"]}, THING)
    assert takes(made, {**THING, "note": "thin"})
    assert not takes(made, {**THING, "note": None})
    assert not takes(made, {"name": "Mat", "sizes": []})
    assert takes(made, {**THING, "note": "thin", "name": "Rug"})


def test_narrowed_when_a_place_in_an_array_is_held_then_by_index_and_of_the_same_length() -> None:
    made = narrowed(SCHEMA, ("sizes", "1", "unit"), {"const": "cm"}, THING)
    right = [{"width": 3, "unit": "cm"}, {"width": 4, "unit": "cm"}]
    assert takes(made, {**THING, "sizes": right})
    assert not takes(made, THING)
    assert not takes(made, {**THING, "sizes": right[:1]})
    assert not takes(made, {**THING, "sizes": [*right, right[0]]})
    assert "items" not in made["properties"]["sizes"]


def test_narrowed_when_two_places_of_an_array_are_held_then_both_are() -> None:
    once = narrowed(SCHEMA, ("sizes", "0", "width"), {"const": 1}, THING)
    slots = narrowed(once, ("sizes", "1", "width"), {"const": 2}, THING)["properties"]["sizes"]["prefixItems"]
    assert [slot["properties"]["width"] for slot in slots] == [{"const": 1}, {"const": 2}]


def test_narrowed_when_a_key_is_the_models_own_then_it_is_held_under_its_name() -> None:
    made = narrowed({"type": "object", "additionalProperties": {"type": "integer"}}, ("a",), {"minimum": 3}, {"a": 1})
    assert takes(made, {"a": 3, "b": 0})
    assert not takes(made, {"a": 2})


@pytest.mark.parametrize("path", ["/none", "/name/x", "/sizes/7", "/sizes/x/width", "/note/deep/down"])
def test_narrowed_when_the_place_is_not_there_then_the_schema_stays(path: str) -> None:
    assert narrowed(SCHEMA, path_of(path), {"const": 1}, THING) == SCHEMA


def test_tightened_when_bounds_meet_then_the_tighter_ones_hold() -> None:
    base = {"type": "string", "minLength": 5, "maxLength": 60}
    assert tightened(base, {"minLength": 3, "maxLength": 20, "pattern": "^A"}) == {
        "type": "string",
        "minLength": 5,
        "maxLength": 20,
        "pattern": "^A",
    }


def test_tightened_when_a_value_may_be_null_and_a_type_is_wanted_then_null_is_out() -> None:
    base = {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}]}
    assert tightened(base, {"type": "string", "pattern": "^a"}) == {"type": "string", "maxLength": 9, "pattern": "^a"}


def test_tightened_when_objects_meet_then_fields_are_tightened_one_by_one() -> None:
    made = tightened(SCHEMA, {"properties": {"name": {"maxLength": 3}}, "required": ["note"]})
    assert made["properties"]["name"] == {"type": "string", "maxLength": 3}
    assert made["required"] == ["name", "sizes", "note"]


def test_tightened_when_slots_are_given_then_they_replace_items() -> None:
    made = tightened({"type": "array", "items": {"type": "string"}}, {"prefixItems": [{"const": "a"}]})
    assert made == {"type": "array", "prefixItems": [{"const": "a"}]}


@pytest.mark.parametrize(
    ("answer", "paths", "fields"),
    [
        (THING, ["/name"], ("name",)),
        (THING, ["/sizes/0/width", "/name", "/name"], ("name", "sizes")),
        (THING, [""], ()),
        (THING, ["/name", "/none"], ()),
        (THING, ["/name", "/sizes", "/note", "/extra"], ()),
        (["Mat"], ["/name"], ()),
        (None, ["/name"], ()),
    ],
)
def test_patchable_names_the_fields_that_can_be_asked_for_alone(
    answer: object, paths: list[str], fields: tuple[str, ...]
) -> None:
    assert patchable(SCHEMA, answer, [path_of(path) for path in paths]) == fields


def test_patchable_when_keys_are_the_models_own_then_there_is_no_patch() -> None:
    assert patchable(schema_of(dict[str, int]), {"a": 1, "b": 2}, [("a",)]) == ()


def test_patch_when_one_place_of_a_field_is_wrong_then_the_rest_of_it_is_held() -> None:
    made = patch(SCHEMA, ("sizes",), THING, [("sizes", "1", "width")])
    right = [{"width": 3, "unit": "cm"}, {"width": 9, "unit": "mm"}]
    assert takes(made, {"sizes": right})
    assert not takes(made, {"sizes": right, "name": "Mat"})
    assert not takes(made, {"sizes": [{"width": 9, "unit": "cm"}, right[1]]})
    assert not takes(made, {"sizes": [right[0], {"width": 9, "unit": "cm"}]})


def test_pinned_when_a_path_leads_nowhere_then_nothing_is_held() -> None:
    sizes = SCHEMA["properties"]["sizes"]
    assert pinned(sizes, THING["sizes"], [("5",)]) == sizes
    assert pinned(sizes, THING["sizes"], [()]) == sizes
    assert pinned({"type": "string"}, "x", [("a",)]) == {"type": "string"}
