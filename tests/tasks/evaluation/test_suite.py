"""The suite that ships with catalog-enrichment: large enough, in two parts, and fair."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentic import Finished, MemoryDataSet, ToolCall, play_async
from service.settings import Settings
from tasks.definitions.catalog_enrichment import enrichment
from tasks.definitions.catalog_enrichment.models import UPDATED
from tasks.definitions.catalog_enrichment.sheets import Section, described_skus, section_of
from tasks.evaluation.cases import Case, read_cases
from tasks.evaluation.command import find_definition, shipped_cases


@pytest.fixture(scope="module")
def suite() -> list[Case]:
    path = shipped_cases(find_definition("catalog-enrichment")[0])
    return asyncio.run(read_cases(path, enrichment, Settings.read({})))


def test_suite_when_counted_then_forty_cases_and_twenty_of_them_held_out(suite: list[Case]) -> None:
    assert len(suite) >= 40
    assert sum(case.held_out for case in suite) == 20
    assert all(len(case.input["skus"]) == 1 and case.attributes for case in suite)


def test_suite_when_parts_are_compared_then_held_out_cases_share_no_sheet_and_no_product(suite: list[Case]) -> None:
    def parts(held_out: bool) -> tuple[set[str], set[str]]:
        cases = [case for case in suite if case.held_out is held_out]
        return {file.filename for case in cases for file in case.files}, {case.input["skus"][0] for case in cases}

    (tuned_sheets, tuned_skus), (sheets, skus) = parts(False), parts(True)
    assert not tuned_sheets & sheets
    assert not tuned_skus & skus


def test_suite_when_a_careful_model_answers_then_the_first_answer_of_every_case_is_accepted(suite: list[Case]) -> None:
    async def first_answers() -> list[str]:
        return [case.id for case in suite if not case.expect.failure_code and not await accepted(case)]

    assert asyncio.run(first_answers()) == []


def test_suite_when_a_sheet_describes_products_then_each_of_them_is_a_case(suite: list[Case]) -> None:
    described = {sku for case in suite for sku in described_skus(case.files)}
    assert described == {case.input["skus"][0] for case in suite if not case.expect.failure_code}


async def accepted(case: Case) -> bool:
    sku = case.input["skus"][0]
    section = section_of(sku, case.files)
    assert section is not None
    answers = [ToolCall(name="upsert_products", arguments={"products": [careful(sku, section)]}), {sku: UPDATED}]
    data_set = MemoryDataSet(case.products)
    played = await play_async(enrichment, case.input, answers, files=case.files, data_set=data_set)
    return played.outcome == Finished({sku: UPDATED}, cycles=1)


def careful(sku: str, section: Section) -> dict[str, Any]:
    """What a careful person writes from a section and nothing else."""
    facts = {name: section.labels[name] for name in ("category", "material", "weight")}
    bullets = {"bullets": list(section.facts[:3])} if section.facts else {}
    text = f"The {section.name.lower()} is made of {section.labels['material']} and weighs {section.labels['weight']}."
    return {"sku": sku, "name": section.name, "description": text, **facts, **bullets}
