"""catalog-web-import by an agent that says which details its products get."""

from __future__ import annotations

from typing import Any

import pytest

from agentic import Finished, Step
from service.definitions.definition import Item
from tasks.definitions.catalog_web_import.facts import invented
from tasks.definitions.catalog_web_import.models import CatalogWebImportInput
from tasks.definitions.catalog_web_import.offers import next_offer
from tests.tasks.definitions.enrichment_samples import complaints
from tests.tasks.definitions.test_enrichment_fields import WITHOUT_A_FIELD_SCHEMA
from tests.tasks.definitions.test_web_import import DONE, LAMP, LAMP_URL, PRODUCT, fetch, played, upsert

FIELDS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "price": {"type": "number"},
        "light": {"type": "object", "properties": {"levels": {"type": "integer"}}},
    },
    "required": ["price"],
    "additionalProperties": False,
}
ASKED = CatalogWebImportInput(urls=[LAMP_URL])


def lamp(**details: Any) -> dict[str, Any]:
    return {**PRODUCT, "details": details}


def test_offer_when_there_is_no_field_schema_then_the_tool_is_as_ever() -> None:
    schema = next_offer(Step(input=ASKED, item=None, cycle=1)).tools["upsert_products"]

    assert schema is not None
    assert schema["properties"]["products"] == WITHOUT_A_FIELD_SCHEMA["properties"]["products"]


@pytest.mark.parametrize("item", [None, Item(LAMP_URL, "Import it")])
def test_offer_when_there_is_a_field_schema_then_details_are_its_own(item: Item | None) -> None:
    schema = next_offer(Step(input=ASKED, item=item, cycle=2, field_schema=FIELDS)).tools["upsert_products"]

    assert schema is not None
    product = schema["properties"]["products"]["items"]["properties"]
    assert list(product) == ["sku", "name", "description", "details"]
    assert product["details"] == FIELDS


def test_run_when_details_are_what_the_schema_asks_for_then_it_finishes() -> None:
    done = played([fetch(), upsert(lamp(price=1299, light={"levels": 3})), DONE], field_schema=FIELDS)

    assert done.outcome == Finished(DONE, cycles=1)
    assert "details are what this JSON Schema asks for" in done.turns[0].start.added[-1].text


def test_upsert_when_a_detail_is_not_what_the_schema_asks_for_then_nothing_is_written() -> None:
    done = played([fetch(), upsert(PRODUCT), upsert(lamp(price=1299)), DONE], field_schema=FIELDS)

    assert [call.succeeded for call in done.tool_calls] == [True, False, True]
    assert "details.price must be a number" in str(done.tool_calls[1].result)
    assert "details.currency is not a known field" in str(done.tool_calls[1].result)


def test_run_when_a_required_detail_is_missing_then_it_is_named_and_a_part_mends_it() -> None:
    done = played(
        [fetch(), upsert(lamp(light={"levels": 3})), DONE, upsert({"sku": "DL-7", "details": {"price": 1299}}), DONE],
        field_schema=FIELDS,
    )

    assert complaints(done) == {"details_satisfy_the_schema"}
    assert done.issues(1)[0].endswith("DL-7: details.price is required")
    assert done.outcome == Finished(DONE, cycles=2)


@pytest.mark.parametrize(
    ("details", "wrong"),
    [
        ({"price": 1299}, None),
        ({"price": 1299.0}, None),
        ({"on_sale": True, "note": None}, None),
        ({"light": {"levels": 3}}, None),
        ({"light": {"levels": 5}}, "5"),
        ({"sizes": [40, 41]}, "41"),
        ({"price": 1.3}, "1.3"),
        ({"below": -40}, None),
        ({"notes": [{"text": "costs 99 EUR"}]}, "99"),
    ],
)
def test_facts_when_details_are_no_mere_texts_then_their_numbers_are_on_the_page_too(
    details: dict[str, Any], wrong: str | None
) -> None:
    problems = list(invented(lamp(**details), LAMP, LAMP_URL))

    assert problems == ([] if wrong is None else [f"the page lacks these numbers, to the digit: {wrong}"])
