"""Products, files and tool calls that the tests of catalog-enrichment share: two products written by the rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentic import AttachedFile, MemoryDataSet, Played, Product, ToolCall, play
from tasks.definitions.catalog_enrichment import enrichment
from tasks.definitions.catalog_enrichment.models import UPDATED
from tasks.llm.protocol import Profile

SAMPLE = Path(__file__).parents[3] / "src/service/supervision/sample"
SHEET = AttachedFile("product-sheet.txt", "text/plain", (SAMPLE / "product-sheet.txt").read_text())
NAMES = {"SKU-001": "Steel Water Bottle", "SKU-002": "Garden Trowel"}
BOTTLE: dict[str, Any] = {
    "sku": "SKU-001",
    "category": "kitchen",
    "material": "stainless steel",
    "weight": "320 g",
    "bullets": ["holds 750 ml", "leak-proof screw cap", "fits most car cup holders"],
    "name": "Steel Water Bottle",
    "description": "The steel water bottle holds 750 ml and keeps drinks cold for 24 hours.",
}
TROWEL: dict[str, Any] = {
    "sku": "SKU-002",
    "category": "garden",
    "material": "carbon steel",
    "weight": "260 g",
    "bullets": ["ash wood handle", "depth marks every 2 cm", "hanging loop for storage"],
    "name": "Garden Trowel",
    "description": "The garden trowel has an ash wood handle and depth marks every 2 cm.",
}
DONE = {"SKU-001": UPDATED, "SKU-002": UPDATED}
BOTH = ["SKU-001", "SKU-002"]
SMALL = Profile(item_by_item=True, prose_feedback=False)


def catalogue() -> MemoryDataSet:
    """The two products, without descriptions."""
    return MemoryDataSet([Product(sku=sku, name=name) for sku, name in NAMES.items()])


def upsert(*products: Mapping[str, Any]) -> ToolCall:
    """One call that writes these products."""
    return ToolCall(name="upsert_products", arguments={"products": list(products)})


def search(query: str) -> ToolCall:
    """One search of the files."""
    return ToolCall(name="search_files", arguments={"query": query})


def played(
    answers: Sequence[Any],
    *,
    skus: Sequence[str] | None = BOTH,
    files: Sequence[AttachedFile] = (SHEET,),
    data_set: MemoryDataSet | None = None,
    **given: Any,
) -> Played:
    """Play the definition over the sample."""
    asked = None if skus is None else list(skus)
    return play(enrichment, {"skus": asked}, answers, files=files, data_set=data_set or catalogue(), **given)


def complaints(run: Played, cycle: int = 1) -> set[str]:
    """The validators that asked for another answer in this cycle."""
    return {issue.split(":")[0] for issue in run.issues(cycle)}
