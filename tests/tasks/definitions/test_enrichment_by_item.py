from __future__ import annotations

import asyncio
from typing import Any

import jsonschema_rs
import pytest

from agentic import Failed, Finished, MemoryDataSet, Outcome, Product, RunContext, Step, ToolCall
from service.definitions.definition import Item
from service.definitions.failures import MEANINGS
from tasks import loop
from tasks.conversation import Conversation
from tasks.definitions.catalog_enrichment import enrichment, quality
from tasks.definitions.catalog_enrichment.definition import products_to_enrich
from tasks.definitions.catalog_enrichment.models import UPDATED, CatalogEnrichmentAgenticExecutionInput
from tasks.definitions.catalog_enrichment.offers import next_offer
from tasks.definitions.catalog_enrichment.quality import FORBIDDEN, Written, narrow_bullets, narrow_description
from tasks.definitions.catalog_enrichment.sheets import section_of
from tasks.journal import RunRecord
from tasks.llm.local import open_smollm2
from tasks.testing import MemoryJournal
from tests.tasks.definitions.enrichment_samples import (
    BOTTLE,
    DONE,
    SHEET,
    SMALL,
    TROWEL,
    catalogue,
    complaints,
    played,
    search,
    upsert,
)

ASKED = CatalogEnrichmentAgenticExecutionInput(skus=["SKU-001"])
ITEM = Item("SKU-001", "Enrich: SKU-001 Steel Water Bottle")


def written(**changes: Any) -> Written:
    section = section_of("SKU-001", [SHEET])
    assert section is not None
    return Written(sku="SKU-001", details={**BOTTLE, **changes}, section=section)


def items(skus: list[str] | None, data_set: MemoryDataSet, *, with_sheet: bool = True) -> list[str]:
    context = RunContext(data_set=data_set, files=[SHEET] if with_sheet else [])
    found = asyncio.run(products_to_enrich(CatalogEnrichmentAgenticExecutionInput(skus=skus), context))
    return [item.instructions for item in found]


def test_items_when_skus_are_given_then_each_once_with_the_name_of_catalogue_or_file() -> None:
    asked = ["SKU-002", "SKU-001", "SKU-002", "SKU-004", "SKU-404"]

    assert items(asked, catalogue()) == [
        "Enrich: SKU-002 Garden Trowel",
        "Enrich: SKU-001 Steel Water Bottle",
        "Enrich: SKU-004 Yoga Mat",
        "Enrich: SKU-404",
    ]


def test_items_when_no_skus_are_given_then_the_products_that_the_files_describe() -> None:
    assert items(None, catalogue()) == ["Enrich: SKU-001 Steel Water Bottle", "Enrich: SKU-002 Garden Trowel"]


def test_items_when_there_are_no_files_either_then_at_most_twenty_without_description() -> None:
    products = [Product(sku=f"S-{n:02}", description="" if n else "has one") for n in range(30)]

    found = items(None, MemoryDataSet(products), with_sheet=False)

    assert found == [f"Enrich: S-{n:02}" for n in range(1, 21)]


def test_items_when_the_files_alone_know_products_then_those() -> None:
    assert items(None, MemoryDataSet())[0] == "Enrich: SKU-001 Steel Water Bottle"


def test_run_by_item_when_nothing_is_left_to_describe_then_no_product_data_not_retryable() -> None:
    described = MemoryDataSet([Product(sku="SKU-001", description="has one")])
    outcome = played([], skus=None, files=(), data_set=described, profile=SMALL).outcome

    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("no_product_data", False)
    assert "none without a description" in outcome.explanation


def test_run_by_item_when_one_product_is_wrong_then_only_that_one_is_asked_again() -> None:
    wrong = {**BOTTLE, "bullets": ["double wall", "double wall", "leak-proof screw cap"]}
    answers = [
        search("SKU-001 Steel Water Bottle"),
        upsert(wrong),
        {"SKU-001": UPDATED},
        search("SKU-002 Garden Trowel"),
        upsert(TROWEL),
        {"SKU-002": UPDATED},
        upsert({"sku": "SKU-001", "bullets": BOTTLE["bullets"]}),
        {"SKU-001": UPDATED},
    ]
    run = played(answers, profile=SMALL)

    assert complaints(run) == {"bullets_are_distinct"}
    assert run.outcome == Finished(DONE, cycles=2)
    assert [turn.start.item for turn in run.turns][-2:] == ["SKU-001", "SKU-001"]
    kept = [message.text for message in run.turns[6].start.added if message.role == "tool"]
    assert "SKU-001  Steel Water Bottle" in kept[-1]


def test_offer_when_nothing_was_done_then_search_or_answer() -> None:
    offer = next_offer(Step(input=ASKED, item=ITEM, cycle=1))

    assert list(offer.tools) == ["search_files"]
    assert offer.answer


def test_offer_when_something_was_searched_then_search_write_or_answer_under_the_sku() -> None:
    offer = next_offer(Step(input=ASKED, item=ITEM, cycle=1, tool_calls=[search("SKU-001")]))

    assert list(offer.tools) == ["search_files", "upsert_products"]
    assert offer.answer
    upsert_schema = offer.tools["upsert_products"]
    assert upsert_schema is not None
    assert jsonschema_rs.is_valid(upsert_schema, {"products": [BOTTLE]})
    assert not jsonschema_rs.is_valid(upsert_schema, {"products": [{**BOTTLE, "sku": "SKU-002"}]})


def test_offer_when_there_is_nothing_to_copy_and_a_write_was_refused_then_a_sentence_without_numbers() -> None:
    nothing = ToolCall(name="search_files", arguments={}, result="No passage")
    refused = ToolCall(name="upsert_products", arguments={}, result={"error": "nothing was written"}, succeeded=False)
    schema = next_offer(Step(input=ASKED, item=ITEM, cycle=1, tool_calls=[nothing, refused])).tools["upsert_products"]

    assert schema is not None
    assert list(schema["properties"]["products"]["items"]["properties"]) == ["sku", "description", "name"]


@pytest.mark.parametrize("sku", ["SKU-001", "A.1/b (x)"])
def test_offer_when_it_searches_then_for_its_own_sku(sku: str) -> None:
    offer = next_offer(Step(input=ASKED, item=Item(sku, f"Enrich: {sku}"), cycle=1))

    schema = offer.tools["search_files"]
    assert schema is not None
    assert jsonschema_rs.is_valid(schema, {"query": sku})
    assert jsonschema_rs.is_valid(schema, {"query": f"{sku} Steel Water Bottle"})
    assert not jsonschema_rs.is_valid(schema, {"query": "SKU-117 Running Belt"})
    assert not jsonschema_rs.is_valid(schema, {"query": f"{sku}7"})


def test_offer_when_the_name_was_told_then_only_that_is_written_as_the_name() -> None:
    told, untold = ITEM, Item("SKU-001", "Enrich: SKU-001")
    for item, takes_another in ((told, False), (untold, True)):
        offer = next_offer(Step(input=ASKED, item=item, cycle=1, tool_calls=[search("SKU-001")]))
        schema = offer.tools["upsert_products"]
        assert schema is not None
        assert jsonschema_rs.is_valid(schema, {"products": [BOTTLE]})
        assert jsonschema_rs.is_valid(schema, {"products": [{**BOTTLE, "name": "Bicycle"}]}) is takes_another


def writes(found: str, **changes: Any) -> bool:
    """Whether the bottle with these changes may be written after a search that found this text."""
    calls = [ToolCall(name="search_files", arguments={}, result=found)]
    schema = next_offer(Step(input=ASKED, item=ITEM, cycle=1, tool_calls=calls)).tools["upsert_products"]
    assert schema is not None
    return jsonschema_rs.is_valid(schema, {"products": [{**BOTTLE, **changes}]})


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"material": "kitchen"}, True),  # a value of the section: which one is right is for the model to say
        ({"material": "stainless steal"}, False),
        ({"bullets": ["holds 750 ml"] * 3}, True),
        ({"bullets": ["holds 750 ml", "leak-proof screw cap", "has a handle"]}, False),
    ],
)
def test_offer_when_the_section_was_found_then_what_is_copied_is_held_to_it(changes: Any, may: bool) -> None:
    section = section_of("SKU-001", [SHEET])
    assert section is not None
    assert writes(section.text, **changes) is may


@pytest.mark.parametrize(
    "found",
    ["No passage of the attached files holds a word of the query.", "SKU-002  Garden Trowel", "SKU-001  Bottle"],
)
def test_offer_when_no_such_section_was_found_then_nothing_is_held_to_it(found: str) -> None:
    assert writes(found, material="tin", bullets=["holds tea", "has a lid", "is blue"])


def test_offer_when_a_fact_is_longer_than_a_bullet_may_be_then_it_is_not_among_them() -> None:
    facts = ["holds 750 ml", "leak-proof screw cap", "fits most car cup holders", "x" * 61]
    found = "\n".join(["SKU-001  Steel Water Bottle", *(f"- {fact}" for fact in facts)])
    assert writes(found)
    assert not writes(found, bullets=[facts[0], facts[1], facts[3]])


def test_offer_when_it_was_written_then_only_an_answer() -> None:
    calls = [search("x"), upsert(BOTTLE)]
    offer = next_offer(Step(input=ASKED, item=ITEM, cycle=1, tool_calls=calls))

    assert (offer.tools, offer.answer) == ({}, True)
    assert offer.answer_schema is not None
    assert jsonschema_rs.is_valid(offer.answer_schema, {"SKU-001": UPDATED})


@pytest.mark.parametrize(("name", "left"), [("search_files", ["upsert_products"]), ("upsert_products", [])])
def test_offer_when_a_call_was_repeated_in_vain_then_it_is_not_on_offer_again(name: str, left: list[str]) -> None:
    calls = [ToolCall(name=name, succeeded=False)] * 2

    assert list(next_offer(Step(input=ASKED, item=ITEM, cycle=1, tool_calls=calls)).tools) == left


def test_offer_when_fields_are_wrong_then_only_those_in_the_order_facts_first() -> None:
    bad = written(material="steel", description="The bottle is the best.")
    issues = [bad.issue("description", "x"), bad.issue("material", "y")]
    offer = next_offer(Step(input=ASKED, item=ITEM, cycle=2, issues=issues))

    schema = offer.tools["upsert_products"]
    assert schema is not None
    fields = schema["properties"]["products"]["items"]["properties"]
    assert list(fields) == ["sku", "material", "description"]
    assert fields["material"] == {"const": "stainless steel"}
    assert not offer.answer


def test_offer_when_success_was_claimed_without_writing_then_no_answer_before_it_is_written() -> None:
    run = played([{"SKU-001": UPDATED}, upsert(BOTTLE), {"SKU-001": UPDATED}], skus=["SKU-001"], profile=SMALL)

    assert complaints(run) == {"every_sku_was_attempted", "claims_are_true"}
    assert run.outcome == Finished({"SKU-001": UPDATED}, cycles=2)


def test_offer_when_only_the_answer_was_wrong_then_only_the_answer_is_asked() -> None:
    answers = [upsert(BOTTLE), {"SKU-001": "Update was rejected"}, {"SKU-001": UPDATED}]
    run = played(answers, skus=["SKU-001"], profile=SMALL)

    assert run.outcome == Finished({"SKU-001": UPDATED}, cycles=2)
    assert len(run.tool_calls) == 1


def test_narrow_bullets_when_some_are_wrong_then_good_ones_stay_and_bad_ones_come_from_the_file() -> None:
    schema = narrow_bullets(written(bullets=["holds 750 ml", "zipped cap", "holds 750 ml"]), "bullets")

    assert schema["prefixItems"] == [
        {"const": "holds 750 ml"},
        {"enum": ["double wall keeps drinks cold for 24 hours", "fits most car cup holders"]},
        {"enum": ["leak-proof screw cap"]},
    ]


@pytest.mark.parametrize(("number", "takes_digits"), [("750", True), ("800", False)])
def test_narrow_description_when_a_number_was_wrong_then_digits_are_not_taken(number: str, takes_digits: bool) -> None:
    schema = narrow_description(written(description=f"The bottle holds {number} ml of water every day."), "description")

    assert jsonschema_rs.is_valid(schema, "The steel water bottle keeps drinks cold all day long.")
    assert jsonschema_rs.is_valid(schema, "The steel water bottle holds 750 ml of cold drinks.") is takes_digits


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_smollm2_when_it_enriches_a_product_then_there_is_a_final_state_with_a_full_record() -> None:
    async def once() -> tuple[Outcome, MemoryJournal]:
        model, journal = open_smollm2(1 << 20), MemoryJournal()
        context = RunContext(data_set=catalogue(), files=[SHEET], execution_id=1)
        talk = Conversation(definition=enrichment, model=model, journal=journal, context=context)
        try:
            return await loop.run(enrichment, {"skus": ["SKU-001"]}, talk, RunRecord()), journal
        finally:
            await model.close()

    outcome, journal = asyncio.run(once())

    assert isinstance(outcome, Finished) or (outcome.code in MEANINGS and outcome.explanation)
    # A machine so busy that the model does not answer in time ends a cycle before it is judged, and says so.
    too_slow = not isinstance(outcome, Finished) and outcome.code != "validation_failed"
    judged = {verdict.cycle for verdict in journal.verdicts}
    assert judged | ({outcome.cycles} if too_slow else set()) == set(range(1, outcome.cycles + 1)), outcome
    if too_slow:
        return
    last = [verdict.kind for verdict in journal.verdicts if verdict.cycle == outcome.cycles]
    assert (set(last) == {"accept"}) is isinstance(outcome, Finished)
    assert all(turn.answer and turn.answer.usage.output_tokens for turn in journal.turns.values())
    calls = [call for turn in journal.turns.values() for call in turn.calls]
    assert {call.start.name for call in calls} == {"search_files", "upsert_products"}
    assert all(call.result is not None for call in calls)


def test_examples_when_shown_then_they_keep_the_rules_they_teach() -> None:
    for example in enrichment.examples:
        find, write = example.calls
        details = write.arguments["products"][0]
        section = section_of(details["sku"], [SHEET.__class__("x.txt", "text/plain", find.result)])
        assert section is not None
        shown = Written(sku=details["sku"], details=details, section=section)
        rules = (
            quality.is_complete,
            quality.copies_values,
            quality.names_product,
            quality.is_full_sentence,
            quality.avoids_forbidden_words,
            quality.numbers_are_in_file,
            quality.bullets_are_in_file,
            quality.bullets_are_distinct,
        )
        assert [issue for rule in rules for issue in rule(shown)] == []
        assert not set(FORBIDDEN) & set(details["description"].split())
