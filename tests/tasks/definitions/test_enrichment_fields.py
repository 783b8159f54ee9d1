"""catalog-enrichment by an agent that says which details its products get."""

from __future__ import annotations

import asyncio
from typing import Any

import jsonschema_rs
import pytest

from agentic import Finished, Issue, Step
from service.definitions.definition import Item
from tasks.definitions.catalog_enrichment.models import UPDATED, CatalogEnrichmentAgenticExecutionInput
from tasks.definitions.catalog_enrichment.offers import next_offer
from tests.tasks.definitions.enrichment_samples import BOTTLE, SMALL, catalogue, complaints, played, search, upsert

FIELDS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "colour": {"enum": ["steel", "red"]},
        "capacity": {"type": "integer", "minimum": 1},
        "parts": {"type": "array", "items": {"$ref": "#/$defs/part"}},
    },
    "required": ["colour", "capacity"],
    "additionalProperties": False,
    "$defs": {"part": {"type": "object", "properties": {"count": {"type": "integer"}}, "required": ["count"]}},
}
GOOD = {
    "sku": "SKU-001",
    "name": BOTTLE["name"],
    "description": BOTTLE["description"],
    "details": {"colour": "steel", "capacity": 750},
}
ANSWER = {"SKU-001": UPDATED}
ASKED = CatalogEnrichmentAgenticExecutionInput(skus=["SKU-001"])
ITEM = Item("SKU-001", "Enrich: SKU-001 Steel Water Bottle")


def line(most: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": most, "minLength": 1}


def optional(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}], "default": None}


WITHOUT_A_FIELD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "products": {
            "items": {
                "description": "What to write about one product. What is left out stays as it is.",
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "sku": line(100),
                    "category": optional(line(200)),
                    "material": optional(line(200)),
                    "weight": optional(line(200)),
                    "bullets": optional({"items": line(200), "type": "array", "maxItems": 20, "minItems": 1}),
                    "name": optional(line(200)),
                    "description": optional(line(4000)),
                    "details": {"type": "object", "additionalProperties": line(200), "default": {}},
                },
                "required": ["sku"],
            },
            "type": "array",
        }
    },
    "required": ["products"],
}


def product_schema(step: Step[CatalogEnrichmentAgenticExecutionInput]) -> dict[str, Any]:
    """What a product of upsert_products is in this step."""
    schema = next_offer(step).tools["upsert_products"]
    assert schema is not None
    product: dict[str, Any] = schema["properties"]["products"]["items"]
    return product


def run(*answers: Any, **given: Any) -> Any:
    return played(answers, skus=["SKU-001"], field_schema=FIELDS, **given)


def changed(**details: Any) -> dict[str, Any]:
    return {**GOOD, "details": {**GOOD["details"], **details}}


def test_offer_when_there_is_no_field_schema_then_the_tool_is_as_ever() -> None:
    assert next_offer(Step(input=ASKED, item=None, cycle=1)).tools["upsert_products"] == WITHOUT_A_FIELD_SCHEMA


def test_offer_when_there_is_a_field_schema_then_details_are_its_own_and_ours_are_not_on_offer() -> None:
    product = product_schema(Step(input=ASKED, item=None, cycle=1, field_schema=FIELDS))

    assert list(product["properties"]) == ["sku", "name", "description", "details"]
    assert jsonschema_rs.is_valid(product, changed(parts=[{"count": 2}]))
    assert not jsonschema_rs.is_valid(product, changed(parts=[{}]))
    assert not jsonschema_rs.is_valid(product, {**GOOD, "category": "kitchen"})


def test_instructions_when_there_is_a_field_schema_then_they_say_it_and_nothing_of_our_fields() -> None:
    told = [run(upsert(GOOD), ANSWER), played([upsert(BOTTLE), ANSWER], skus=["SKU-001"])]
    own, ours = ("\n".join(message.text for message in each.turns[0].start.added) for each in told)

    assert '"capacity": {"type": "integer", "minimum": 1}' in own
    assert "- bullets are" not in own
    assert "- bullets are" in ours
    assert "- description is one sentence" in own


def test_run_when_details_are_what_the_schema_asks_for_then_it_finishes_and_the_catalogue_has_them() -> None:
    data_set = catalogue()
    done = run([search("SKU-001")], upsert(changed(parts=[{"count": 2}])), ANSWER, data_set=data_set)

    (bottle,) = asyncio.run(data_set.products(["SKU-001"]))
    assert done.outcome == Finished(ANSWER, cycles=1)
    assert bottle.details == {"colour": "steel", "capacity": 750, "parts": [{"count": 2}]}


@pytest.mark.parametrize(
    ("product", "refusal"),
    [
        (changed(colour="green"), "details.colour"),
        (changed(capacity="750 ml"), "details.capacity must be an integer"),
        (changed(parts=[{"count": 1}, {}]), "details.parts[1].count is required"),
        (changed(price="1"), "details.price is not a known field"),
        ({**GOOD, "category": "kitchen"}, "details.category is not a known field"),
    ],
)
def test_upsert_when_a_detail_is_not_what_the_schema_asks_for_then_nothing_is_written(
    product: dict[str, Any], refusal: str
) -> None:
    data_set = catalogue()
    done = run(upsert(product), upsert(GOOD), ANSWER, data_set=data_set)

    assert [call.succeeded for call in done.tool_calls] == [False, True]
    assert refusal in str(done.tool_calls[0].result)
    (bottle,) = asyncio.run(data_set.products(["SKU-001"]))
    assert bottle.details == GOOD["details"]


def test_upsert_when_there_is_no_field_schema_then_other_details_are_texts() -> None:
    done = played([upsert({**BOTTLE, "details": {"capacity": 750}}), upsert(BOTTLE), ANSWER], skus=["SKU-001"])

    assert "details.capacity must be a string" in str(done.tool_calls[0].result)
    assert done.outcome == Finished(ANSWER, cycles=1)


def test_run_when_required_details_are_missing_then_each_is_named_and_a_part_mends_it() -> None:
    bare = {**GOOD, "details": {}}
    rest = {"sku": "SKU-001", "details": {"capacity": 750}}
    done = run(upsert(bare), ANSWER, upsert({**rest, "details": {"colour": "red"}}), upsert(rest), ANSWER)

    assert done.issues(1) == [
        "details_satisfy_the_schema: /SKU-001/details/colour is required",
        "details_satisfy_the_schema: /SKU-001/details/capacity is required",
    ]
    assert done.outcome == Finished(ANSWER, cycles=2)


def test_run_when_the_schema_asks_for_something_of_the_whole_then_it_is_judged_at_the_end() -> None:
    whole = {"type": "object", "properties": {"a": {}, "b": {}}, "minProperties": 2}
    a, b = ({"sku": "SKU-001", "details": {name: 1}} for name in "ab")
    answers = [upsert({**GOOD, **a}), ANSWER, upsert(b), ANSWER]
    done = played(answers, skus=["SKU-001"], field_schema=whole)

    assert complaints(done) == {"details_satisfy_the_schema"}
    assert done.issues(1)[0].startswith("details_satisfy_the_schema: /SKU-001/details ")
    assert done.outcome == Finished(ANSWER, cycles=2)


def test_small_offer_when_something_was_searched_then_details_are_the_agents() -> None:
    step = Step(input=ASKED, item=ITEM, cycle=1, tool_calls=[search("SKU-001")], field_schema=FIELDS)
    product = product_schema(step)

    assert list(product["properties"]) == ["sku", "details", "name", "description"]
    assert product["properties"]["name"] == {"const": "Steel Water Bottle"}
    assert jsonschema_rs.is_valid(product, GOOD)
    assert not jsonschema_rs.is_valid(product, changed(colour="green"))


@pytest.mark.parametrize(
    ("paths", "fields"),
    [
        (["/SKU-001/details/capacity"], ["capacity"]),
        (["/SKU-001/details/parts/0/count", "/SKU-001/details/colour"], ["parts", "colour"]),
        (["/SKU-001/details"], ["colour", "capacity", "parts"]),
        (["/SKU-001/details/colour", "/SKU-001/details/other"], ["colour", "capacity", "parts"]),
    ],
)
def test_small_offer_when_details_failed_then_only_those_are_asked_for(paths: list[str], fields: list[str]) -> None:
    issues = [Issue(path, "is wrong") for path in paths]
    product = product_schema(Step(input=ASKED, item=ITEM, cycle=2, issues=issues, field_schema=FIELDS))

    assert list(product["properties"]) == ["sku", "details"]
    assert list(product["properties"]["details"]["properties"]) == fields


def test_small_run_when_a_detail_is_missing_then_one_narrow_write_mends_it() -> None:
    mend = {"sku": "SKU-001", "details": {"capacity": 750}}
    first = {**GOOD, "details": {"colour": "steel"}}
    done = run(search("SKU-001"), upsert(first), ANSWER, upsert(mend), ANSWER, profile=SMALL)

    assert complaints(done) == {"details_satisfy_the_schema"}
    assert done.outcome == Finished(ANSWER, cycles=2)
