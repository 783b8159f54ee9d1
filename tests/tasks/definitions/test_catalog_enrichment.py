from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import Any

import pytest

from agentic import AttachedFile, Failed, Finished, MemoryDataSet, Product, ToolCall, ToolFailed, play
from tasks.definitions.catalog_enrichment import enrichment
from tasks.definitions.catalog_enrichment.models import NO_DATA, REJECTED, UPDATED
from tasks.definitions.catalog_enrichment.quality import FORBIDDEN
from tests.guide.examples import DEFINITIONS
from tests.tasks.definitions.enrichment_samples import (
    BOTH,
    BOTTLE,
    DONE,
    SHEET,
    TROWEL,
    catalogue,
    complaints,
    played,
    search,
    upsert,
)

GUIDE_INPUT_SCHEMA = DEFINITIONS[0]["input_schema"]


def test_input_schema_when_published_then_it_equals_the_guides() -> None:
    assert enrichment.input_schema == GUIDE_INPUT_SCHEMA


def test_definition_when_imported_then_nothing_heavy_is_loaded() -> None:
    code = "import sys, tasks.definitions.catalog_enrichment; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    heavy = {"httpx", "openai", "pydantic_ai", "xllamacpp", "litestar", "procrastinate", "psycopg", "pypdfium2"}
    assert heavy.isdisjoint(done.stdout.split())


def test_run_when_everything_is_written_in_one_call_then_it_finishes_and_the_catalogue_has_it() -> None:
    data_set = catalogue()
    run = played([[search("SKU-001"), search("SKU-002")], upsert(BOTTLE, TROWEL), DONE], data_set=data_set)

    (bottle,) = asyncio.run(data_set.products(["SKU-001"]))
    assert run.outcome == Finished(DONE, cycles=1)
    assert bottle.description == BOTTLE["description"]
    assert bottle.details == {key: BOTTLE[key] for key in ("category", "material", "weight", "bullets")}


def test_run_when_a_correction_writes_one_field_then_what_was_written_before_stays() -> None:
    wrong = {**BOTTLE, "description": "A kitchen item that keeps drinks cold for 24 hours."}
    mended = {"sku": "SKU-001", "description": BOTTLE["description"]}
    data_set = catalogue()
    run = played([upsert(wrong, TROWEL), DONE, upsert(mended), DONE], data_set=data_set)

    (bottle,) = asyncio.run(data_set.products(["SKU-001"]))
    assert run.outcome == Finished(DONE, cycles=2)
    assert bottle.details["weight"] == "320 g"


def test_run_when_answer_lacks_a_sku_then_every_sku_is_answered_speaks() -> None:
    run = played([upsert(BOTTLE, TROWEL), {"SKU-001": UPDATED}, DONE])

    assert complaints(run) == {"every_sku_is_answered"}
    assert "/SKU-002" in run.issues(1)[0]
    assert isinstance(run.outcome, Finished)


def test_run_when_answer_has_a_sku_that_nobody_asked_for_then_every_sku_is_answered_speaks() -> None:
    bare = [{"sku": sku, "description": "It lasts for many years."} for sku in BOTH]
    run = played([upsert(*bare), {**DONE, "SKU-003": NO_DATA}, DONE], files=())

    assert complaints(run) == {"every_sku_is_answered"}


def test_run_when_answer_says_no_known_outcome_then_every_sku_is_answered_speaks() -> None:
    run = played([upsert(BOTTLE), {"SKU-001": "Hm."}, {"SKU-001": f"{UPDATED}: all fields"}], skus=["SKU-001"])

    assert "every_sku_is_answered" in complaints(run)
    assert isinstance(run.outcome, Finished)


def test_run_when_a_sku_was_not_attempted_then_that_is_told_beside_the_false_claim() -> None:
    run = played([upsert(BOTTLE), DONE, upsert(TROWEL), DONE])

    assert complaints(run) == {"every_sku_was_attempted", "claims_are_true"}
    assert run.outcome == Finished(DONE, cycles=2)


def test_run_when_success_is_claimed_without_the_tool_and_no_skus_were_given_then_it_is_caught() -> None:
    run = played([{"SKU-001": UPDATED}, upsert(BOTTLE), {"SKU-001": UPDATED}], skus=None)

    assert complaints(run) == {"claims_are_true"}
    assert isinstance(run.outcome, Finished)


def test_run_when_nothing_was_done_and_no_skus_were_given_then_it_is_caught() -> None:
    run = played([{}, upsert(BOTTLE), {"SKU-001": UPDATED}], skus=None)

    assert complaints(run) == {"every_sku_was_attempted"}


def test_run_when_an_upsert_failed_then_success_cannot_be_claimed() -> None:
    fails = {"upsert_products": ToolFailed("the catalogue is closed")}
    run = played([upsert(BOTTLE), {"SKU-001": UPDATED}] * 4, skus=["SKU-001"], tools=fails)

    assert complaints(run) == {"every_upsert_succeeded", "claims_are_true"}
    assert isinstance(run.outcome, Failed)
    assert run.outcome.code == "max_retries_exceeded"
    assert "the catalogue is closed" in run.outcome.explanation


def test_run_when_an_upsert_failed_and_that_is_admitted_then_it_is_asked_again() -> None:
    unknown = {**TROWEL, "sku": "SKU-999"}
    run = played(
        [upsert(BOTTLE, unknown), {"SKU-001": REJECTED}, upsert(BOTTLE), {"SKU-001": UPDATED}], skus=["SKU-001"]
    )

    assert complaints(run) >= {"every_upsert_succeeded"}


def test_run_when_an_upsert_failed_and_the_next_succeeded_then_it_counts() -> None:
    run = played([upsert({**BOTTLE, "weight": 5}), upsert(BOTTLE), {"SKU-001": UPDATED}], skus=["SKU-001"])

    assert run.outcome == Finished({"SKU-001": UPDATED}, cycles=1)


def test_run_when_success_is_denied_then_claims_are_true_speaks() -> None:
    run = played([upsert(BOTTLE), {"SKU-001": REJECTED}, {"SKU-001": UPDATED}], skus=["SKU-001"])

    assert complaints(run) == {"claims_are_true"}
    assert isinstance(run.outcome, Finished)


def test_run_when_data_is_said_to_lack_but_the_file_has_it_then_that_is_told() -> None:
    run = played([{"SKU-001": NO_DATA}, upsert(BOTTLE), {"SKU-001": UPDATED}], skus=["SKU-001"])

    assert complaints(run) == {"every_sku_was_attempted", "missing_data_is_missing"}


def test_run_when_one_sku_is_unknown_then_saying_so_is_right() -> None:
    answer = {"SKU-001": UPDATED, "SKU-404": NO_DATA}
    run = played([upsert(BOTTLE), answer], skus=["SKU-001", "SKU-404"])

    assert run.outcome == Finished(answer, cycles=1)


def test_run_when_the_upsert_of_an_unknown_sku_failed_and_that_is_said_then_it_is_right() -> None:
    answer = {"SKU-001": UPDATED, "SKU-404": NO_DATA}
    calls = [upsert(BOTTLE, {"sku": "SKU-404", "name": "Kettle"}), upsert(BOTTLE)]

    assert played([*calls, answer], skus=["SKU-001", "SKU-404"]).outcome == Finished(answer, cycles=1)


def test_run_when_no_sku_is_known_then_it_ends_with_no_product_data() -> None:
    run = played([{"SKU-404": NO_DATA}], skus=["SKU-404"])

    assert isinstance(run.outcome, Failed)
    assert (run.outcome.code, run.outcome.cycles) == ("no_product_data", 1)
    assert "SKU-404" in run.outcome.explanation


def test_run_when_nothing_is_given_and_the_catalogue_is_empty_then_it_ends_with_no_product_data() -> None:
    run = played([{}], skus=None, files=(), data_set=MemoryDataSet())

    assert isinstance(run.outcome, Failed)
    assert run.outcome.code == "no_product_data"


def test_run_when_no_product_is_asked_for_then_an_empty_answer_is_right() -> None:
    assert played([{}], skus=[]).outcome == Finished({}, cycles=1)


def test_run_when_model_stops_then_it_is_validation_failed_with_the_reason() -> None:
    stop = ToolCall(name="stop_execution", arguments={"reason": "No product data found for SKU SKU-002."})
    run = played([stop])

    assert isinstance(run.outcome, Failed)
    assert (run.outcome.code, run.outcome.explanation) == (
        "validation_failed",
        "No product data found for SKU SKU-002.",
    )


QUALITY: list[tuple[str, dict[str, Any]]] = [
    ("is_complete", {"weight": None}),
    ("is_complete", {"bullets": None}),
    ("is_complete", {"description": None}),
    ("copies_values", {"material": "steel"}),
    ("copies_values", {"name": "Water Bottle"}),
    ("names_product", {"description": "The kitchen item of steel holds 750 ml and keeps drinks cold."}),
    ("is_full_sentence", {"description": "The bottle holds 750 ml."}),
    ("is_full_sentence", {"description": f"The bottle keeps drinks cold {'and cold ' * 15}for 24 hours."}),
    ("is_full_sentence", {"description": "The steel water bottle keeps drinks cold for 24 hours"}),
    ("is_full_sentence", {"description": "The steel water bottle keeps drinks cold and."}),
    ("is_full_sentence", {"description": "The bottle holds 750 ml. It keeps drinks cold."}),
    ("avoids_forbidden_words", {"description": "The perfect bottle holds 750 ml and keeps drinks cold."}),
    ("numbers_are_in_file", {"description": "The bottle holds 800 ml and keeps drinks cold."}),
    ("bullets_are_in_file", {"bullets": ["holds 750 ml", "zip cap", "leak-proof screw cap of titanium"]}),
    ("bullets_are_in_file", {"bullets": ["holds 750 ml", "leak-proof screw cap"]}),
    ("bullets_are_in_file", {"bullets": ["holds 800 ml", "leak-proof screw cap", "fits most car cup holders"]}),
    ("bullets_are_distinct", {"bullets": ["holds 750 ml", "Holds 750 ml", "leak-proof screw cap"]}),
]


@pytest.mark.parametrize(("validator", "changes"), QUALITY)
def test_run_when_a_rule_is_broken_then_its_validator_alone_speaks(validator: str, changes: dict[str, Any]) -> None:
    broken = {key: value for key, value in {**BOTTLE, **changes}.items() if value is not None}
    run = played([upsert(broken), {"SKU-001": UPDATED}, upsert(BOTTLE), {"SKU-001": UPDATED}], skus=["SKU-001"])

    assert complaints(run) == {validator}
    assert run.outcome == Finished({"SKU-001": UPDATED}, cycles=2)


def test_run_when_the_files_have_no_section_then_quality_is_not_judged() -> None:
    data_set = MemoryDataSet([Product(sku="SKU-777", name="Kettle")])
    plain = {"sku": "SKU-777", "description": "the best kettle"}
    run = played([upsert(plain), {"SKU-777": UPDATED}], skus=["SKU-777"], data_set=data_set)

    assert isinstance(run.outcome, Finished)


@pytest.mark.parametrize(
    ("changes", "lacks"),
    [
        ({"description": "The kettle boils 17 litres."}, "'17' of its description"),
        ({"name": "Copper Kettle"}, "'copper' of its name"),
        ({"material": "stainless steel"}, "'stainless' and 'steel' of its material"),
        ({"bullets": ["holds water", "boils fast"]}, "'boils' and 'fast' and 'holds' and 'water' of its bullets"),
        ({"details": {"power": "2200 W"}}, "'2200' of its details"),
    ],
)
def test_run_when_nothing_is_known_that_supports_what_is_written_then_nothing_is(
    changes: dict[str, Any], lacks: str
) -> None:
    data_set = MemoryDataSet([Product(sku="SKU-777", name="Kettle")])
    answers = [upsert({"sku": "SKU-777", **changes}), {"SKU-777": REJECTED}] * 4
    run = played(answers, skus=["SKU-777"], files=[SHEET], data_set=data_set)

    assert isinstance(run.outcome, Failed)
    assert run.outcome.code == "max_retries_exceeded"
    assert lacks in run.outcome.explanation
    assert asyncio.run(data_set.products(["SKU-777"])) == [Product(sku="SKU-777", name="Kettle")]


def test_run_when_catalogue_prose_and_wishes_support_what_is_written_then_it_is() -> None:
    data_set = MemoryDataSet([Product(sku="SKU-777", name="Kettle", details={"litres": 1.7})])
    letter = AttachedFile("letter.txt", "text/plain", "About our kettle:\n\nIt is made of brushed steel, 2,200 watts.")
    product = {
        "sku": "SKU-777",
        "category": "kitchenware",
        "material": "brushed steel",
        "description": "The kettle holds 1.7 litres at 2,200 watts.",
    }
    asked = {"skus": ["SKU-777"], "additional_instructions": "Put it into the category kitchenware."}
    run = play(enrichment, asked, [upsert(product), {"SKU-777": UPDATED}], files=[letter], data_set=data_set)

    assert run.outcome == Finished({"SKU-777": UPDATED}, cycles=1)


def test_run_when_skus_hold_a_slash_then_paths_are_json_pointers() -> None:
    data_set = MemoryDataSet([Product(sku="A/1~2", name="Kettle")])
    run = played([{"A/1~2": UPDATED}, upsert({"sku": "A/1~2"}), {"A/1~2": UPDATED}], skus=["A/1~2"], data_set=data_set)

    assert any("/A~11~02" in issue for issue in run.issues(1))


def test_instructions_when_a_capable_model_is_asked_then_every_rule_is_told() -> None:
    run = played([upsert(BOTTLE, TROWEL), DONE])
    told = " ".join(message.text for message in run.turns[0].start.added)

    assert all(word in told for word in FORBIDDEN)
    rules = (
        "to the letter",
        "3 different facts",
        "at most 60",
        "30 to 150",
        "full stop",
        "last word",
        "one sentence",
    )
    assert all(rule in told for rule in rules)
    assert all(outcome in told for outcome in (UPDATED, NO_DATA, REJECTED))
    assert all(sku in told for sku in BOTH)
    assert SHEET.filename in told


def test_instructions_when_a_file_was_cut_or_not_read_then_that_is_told() -> None:
    cut = AttachedFile("long.txt", "text/plain", "SKU-001 Bottle", is_cut=True)
    broken = AttachedFile("scan.pdf", "application/pdf", problem="its pages hold no text")
    run = played([{"SKU-001": NO_DATA}] * 4, skus=["SKU-001"], files=[cut, broken])
    told = run.turns[0].start.added[-1].text

    assert "long.txt (only its beginning was read), scan.pdf (could not be read: its pages hold no text)" in told


def test_search_products_when_called_then_products_come_back_as_they_are() -> None:
    find = ToolCall(name="search_products", arguments={"query": "Trowel"})
    undescribed = ToolCall(name="list_products_without_description", arguments={})
    run = played([[find, undescribed], upsert(BOTTLE, TROWEL), DONE])

    found, lacking = (call.result for call in run.tool_calls[:2])
    assert [product["sku"] for product in found] == ["SKU-002"]
    assert [product["sku"] for product in lacking] == BOTH
    assert json.dumps(found)
