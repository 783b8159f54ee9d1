"""What models say that is no answer, to each of the reference definitions: a documented end, and nothing written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agentic import Failed, MemoryDataSet, Played, Product, ToolCall, play
from service.definitions.failures import FailureCode
from tasks.definitions.catalog_enrichment import enrichment
from tasks.definitions.catalog_web_import import web_import
from tasks.definitions.invoice_scanning import invoice_scanning
from tasks.definitions.order_intake import order_intake
from tasks.llm.protocol import Answer, ToolRequest
from tests.tasks.definitions import invoice_samples, order_samples
from tests.tasks.definitions.enrichment_samples import SHEET, SMALL

PRODUCTS = [Product(sku=sku, name=sku) for sku in ("SKU-001", "MUG-1", "POT-1")]
URL = "https://shop.test/lamp"
TURNS = 20
"""More than the corrections of any of the four take."""


def raw_call(arguments: str) -> Answer:
    """A call of a tool that half of them have, with these arguments as the model wrote them."""
    request = ToolRequest(call_id="1", name="upsert_products", arguments=arguments)
    return Answer(tool_requests=(request,), finish_reason="tool_calls")


ANSWERS: dict[str, list[Any]] = {
    "prose": ["I looked everywhere, and I am afraid that nothing was found."],
    "half": ['{"SKU-001": "Product upda'],
    "types": [{"SKU-001": 5, "lines": "none", "number": []}],
    "nul": ['{"SKU-001": "a\\u0000", "\\u0000": 1}'],
    "nan": ['{"SKU-001": NaN, "total": Infinity}'],
    "digits": [f'{{"SKU-001": {"9" * 5000}}}'],
    "nothing": [""],
    "huge": ['{"SKU-001": "' + "x" * (1 << 20)],
    "calls": [
        ToolCall(name="drop_table", arguments={"name": "x"}),
        raw_call('{"products": [{"sku": "SK'),
        raw_call('{"products": NaN}'),
        raw_call(f'{{"products": {"9" * 5000}}}'),
        "",
    ],
}

Run = Callable[[list[Any], MemoryDataSet], Played]


def run_of(definition: Any, given: Mapping[str, Any], **options: Any) -> Run:
    return lambda answers, data_set: play(definition, given, answers * TURNS, data_set=data_set, **options)


PAGES = {URL: "Desk Lamp DL-7"}
RUNS: dict[str, Run] = {
    "enrichment": run_of(enrichment, {"skus": ["SKU-001"]}, files=[SHEET]),
    "enrichment by item": run_of(enrichment, {"skus": ["SKU-001"]}, files=[SHEET], profile=SMALL),
    "import": run_of(web_import, {"urls": [URL]}, pages=PAGES),
    "invoice": run_of(invoice_scanning, {}, files=[invoice_samples.PAPER]),
    "order": run_of(order_intake, {}, files=[order_samples.PAPER]),
}
REVEALS = re.compile(r"Traceback|File \"|\bSELECT\b|\bINSERT\b|set_int_max|Error:|The script has ended|\x00")


@pytest.mark.parametrize("said", ANSWERS)
@pytest.mark.parametrize("name", RUNS)
def test_run_when_a_model_never_gives_an_answer_then_it_ends_in_a_documented_code_and_writes_nothing(
    name: str, said: str
) -> None:
    data_set = MemoryDataSet(PRODUCTS)
    outcome = RUNS[name](ANSWERS[said], data_set).outcome

    assert isinstance(outcome, Failed)
    assert outcome.code == FailureCode.MAX_RETRIES_EXCEEDED, outcome.explanation
    assert 20 < len(outcome.explanation) <= 2000
    assert not REVEALS.search(outcome.explanation)
    assert asyncio.run(data_set.products([product.sku for product in PRODUCTS])) == PRODUCTS
