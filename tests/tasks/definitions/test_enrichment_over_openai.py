from __future__ import annotations

import asyncio
import json
from typing import Any

from agentic import Finished, Outcome, RunContext
from tasks import loop
from tasks.conversation import Conversation
from tasks.definitions.catalog_enrichment import enrichment
from tasks.journal import RunRecord
from tasks.testing import MemoryDataSet, MemoryJournal
from tests.tasks.definitions.enrichment_samples import BOTTLE, DONE, SHEET, TROWEL, catalogue
from tests.tasks.llm.provider import Provider, Reply, completion, serving

WRONG = {**TROWEL, "weight": "2 kg"}


def calling(*calls: tuple[str, dict[str, Any]]) -> Reply:
    """A reply that asks for these tool calls."""
    requests = [
        {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for number, (name, arguments) in enumerate(calls)
    ]
    return completion({"content": None, "tool_calls": requests}, finish="tool_calls")


def run(provider: Provider, data_set: MemoryDataSet) -> Outcome:
    from tasks.llm.openai import OpenAIModel

    async def once() -> Outcome:
        model = OpenAIModel("openai:m", model="m", key="k", base_url=provider.url)
        context = RunContext(data_set=data_set, files=[SHEET], execution_id=1)
        talk = Conversation(definition=enrichment, model=model, journal=MemoryJournal(), context=context)
        try:
            return await loop.run(enrichment, {"skus": list(DONE)}, talk, RunRecord())
        finally:
            await model.close()

    return asyncio.run(once())


def test_run_over_the_openai_wire_when_a_value_is_wrong_then_it_is_told_mended_and_finished() -> None:
    data_set = catalogue()
    replies = (
        calling(("search_files", {"query": "SKU-001"}), ("search_files", {"query": "SKU-002"})),
        calling(("upsert_products", {"products": [BOTTLE, WRONG]})),
        completion({"content": json.dumps(DONE)}),
        calling(("upsert_products", {"products": [{"sku": "SKU-002", "weight": "260 g"}]})),
        completion({"content": f"```json\n{json.dumps(DONE)}\n```"}),
    )
    with serving(*replies) as provider:
        outcome = run(provider, data_set)

    correction = provider.bodies[3]["messages"][-1]
    offered = [tool["function"]["name"] for tool in provider.bodies[0]["tools"]]
    assert outcome == Finished(DONE, cycles=2)
    assert asyncio.run(data_set.products(["SKU-002"]))[0].details["weight"] == "260 g"
    assert correction["role"] == "user"
    assert "'2 kg'" in correction["content"]
    assert "260 g" in correction["content"]
    assert offered[-1] == "stop_execution"
