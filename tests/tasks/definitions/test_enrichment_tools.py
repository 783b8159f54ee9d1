from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from agentic import AttachedFile, MemoryDataSet, ToolContext, ToolFailed
from tasks.definitions.catalog_enrichment.models import ProductDetails
from tasks.definitions.catalog_enrichment.sheets import described_skus, mentions, passages, section_of
from tasks.definitions.catalog_enrichment.tools import search_files, upsert_products
from tests.tasks.definitions.enrichment_samples import SHEET, catalogue


def context(*files: AttachedFile, data_set: MemoryDataSet | None = None) -> ToolContext:
    return ToolContext(data_set=data_set or catalogue(), files=files, idempotency_key="1-1-1")


def searched(query: str, *files: AttachedFile, limit: int = 1) -> str:
    return str(asyncio.run(search_files(context(*files), query, limit)))


def upserted(products: Sequence[ProductDetails], *files: AttachedFile, data_set: MemoryDataSet | None = None) -> Any:
    return asyncio.run(upsert_products(context(*files, data_set=data_set), list(products)))


def text_file(text: str, filename: str = "sheet.txt") -> AttachedFile:
    return AttachedFile(filename, "text/plain", text)


def test_search_files_when_sku_and_name_are_asked_then_the_whole_section_comes_back() -> None:
    found = searched("SKU-003 Desk Lamp", SHEET)

    assert found.startswith("SKU-003  Desk Lamp")
    assert found.endswith("LED rated for 25000 hours")


def test_search_files_when_more_passages_are_wanted_then_the_best_come_first() -> None:
    first, second = searched("steel bottle", SHEET, limit=2).split("\n\n")

    assert first.startswith("SKU-001")
    assert "steel" in second


def test_search_files_when_no_word_is_shared_then_it_says_so() -> None:
    assert "No passage" in searched("zeppelin", SHEET)


def test_search_files_when_a_file_was_cut_or_not_read_then_it_says_so() -> None:
    cut = AttachedFile("long.txt", "text/plain", "SKU-1 Chair", is_cut=True)
    broken = AttachedFile("scan.pdf", "application/pdf", problem="its pages hold no text")
    found = searched("SKU-1", cut, broken)

    assert "scan.pdf could not be read: its pages hold no text" in found
    assert "Only the beginning of long.txt was read." in found


def test_search_files_when_a_passage_is_huge_then_it_is_cut() -> None:
    found = searched("chair", text_file("chair " * 10_000))

    assert len(found) < 5000
    assert found.endswith("(cut)")


def test_upsert_products_when_a_sku_is_nowhere_known_then_nothing_is_written() -> None:
    data_set = catalogue()
    with pytest.raises(ToolFailed, match="SKU-404"):
        upserted(
            [ProductDetails(sku="SKU-001", description="x"), ProductDetails(sku="SKU-404")], SHEET, data_set=data_set
        )

    assert asyncio.run(data_set.products(["SKU-001"]))[0].description == ""


def test_upsert_products_when_only_a_file_knows_the_sku_then_the_product_is_made() -> None:
    data_set = MemoryDataSet()
    upserted([ProductDetails(sku="SKU-004", name="Yoga Mat", details={"colour": "blue"})], SHEET, data_set=data_set)

    assert asyncio.run(data_set.products(["SKU-004"]))[0].details == {"colour": "blue"}


@pytest.mark.parametrize("skus", [[], ["SKU-001", "SKU-001"], [f"S-{n}" for n in range(201)]])
def test_upsert_products_when_the_list_is_wrong_then_it_fails(skus: list[str]) -> None:
    with pytest.raises(ToolFailed):
        upserted([ProductDetails(sku=sku) for sku in skus], SHEET)


def test_section_of_when_lines_have_no_blank_between_products_then_each_has_its_own() -> None:
    files = [text_file("Range\nSKU-1 Chair\nMaterial: oak\n- folds\nSKU-2 Table\nMaterial: pine")]
    section = section_of("SKU-1", files)

    assert section is not None
    assert (section.name, section.labels, section.facts) == ("Chair", {"material": "oak"}, ("folds",))


def test_section_of_when_file_is_csv_then_a_row_is_a_section() -> None:
    section = section_of("SKU-1", [text_file('SKU,Name,Material\nSKU-1,"Chair, small",oak\n', "p.csv")])

    assert section is not None
    assert (section.name, section.labels) == ("Chair, small", {"material": "oak"})


@pytest.mark.parametrize("separator", [";", "\t"])
def test_section_of_when_csv_has_another_separator_then_a_row_is_a_section(separator: str) -> None:
    text = "\r\n".join(
        separator.join(row) for row in (["SKU", "Name, long", "Material"], ["SKU-1", "Chair", "oak, ash"])
    )
    section = section_of("SKU-1", [text_file(text, "p.csv")])

    assert section is not None
    assert section.labels["material"] == "oak, ash"


def test_section_of_when_a_csv_cannot_be_read_as_one_then_its_paragraphs_are_passages() -> None:
    hostile = text_file(f"sku,name\nSKU-1 Chair\nMaterial: oak\n\n{'x' * 140_000}", "p.csv")
    section = section_of("SKU-1", [hostile])

    assert section is not None
    assert section.labels == {"material": "oak"}


def test_section_of_when_sku_is_only_mentioned_then_there_is_none() -> None:
    assert section_of("SKU-1", [text_file("Goes well with SKU-1.")]) is None


def test_section_of_when_a_longer_sku_begins_alike_then_it_is_not_taken_for_it() -> None:
    assert section_of("SKU-1", [text_file("SKU-10 Chair\n\nSKU-1-B Table")]) is None


MENTIONS = [("see SKU-1.", True), ("SKU-1", True), ("SKU-10", False), ("X-SKU-1", False), ("", False)]


@pytest.mark.parametrize(("text", "is_mentioned"), MENTIONS)
def test_mentions_when_the_sku_is_a_word_of_its_own_then_true(text: str, is_mentioned: bool) -> None:
    assert mentions("SKU-1", [text_file(text)]) is is_mentioned


def test_described_skus_when_the_sample_is_read_then_all_six_in_order() -> None:
    assert described_skus([SHEET]) == [f"SKU-00{n}" for n in range(1, 7)]


def test_passages_when_file_is_empty_then_there_are_none() -> None:
    assert list(passages([text_file(""), text_file("", "p.csv")])) == []
