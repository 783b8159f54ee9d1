"""What a run has done to its pages so far, read from its tool calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.definitions.context import ToolCall
from service.definitions.definition import Proposal
from tasks.definitions.catalog_enrichment.record import merged
from tasks.definitions.catalog_web_import.models import OUTCOMES, CatalogWebImportInput
from tasks.document_reader import PRODUCT_DATA

Imported = Proposal[CatalogWebImportInput, dict[str, str]]


@dataclass
class Visit:
    """What was done with one page. `written` and `failed` are by SKU, as of the last call about each."""

    was_tried: bool = False
    text: str | None = None
    error: str = ""
    """Why the last attempt to fetch it failed; holds while there is no text."""
    written: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def carries_products(self) -> bool:
        """Whether the page itself names a product with its SKU, for machines."""
        data = (self.text or "").partition(PRODUCT_DATA)[2].partition("\n\n")[0]
        return '"sku": ' in data


def visits(calls: Sequence[ToolCall]) -> dict[str, Visit]:
    """Every URL that a call named, with what came of it."""
    made: dict[str, Visit] = {}
    for call in calls:
        visit = made.setdefault(str(call.arguments.get("url")), Visit())
        if call.name == "fetch_page":
            _fetched(visit, call)
        elif call.name == "upsert_products":
            _upserted(visit, call)
    return made


def visits_of(proposal: Imported) -> dict[str, Visit]:
    """The pages that were given, in their order, with what was done with each."""
    made = visits(proposal.tool_calls)
    return {url: made.get(url, Visit()) for url in proposal.input.distinct_urls}


def outcome_of(text: str) -> str | None:
    """The outcome that an entry of the answer begins with, None if it is none of them."""
    return next((outcome for outcome in OUTCOMES if text.strip().lower().startswith(outcome.lower())), None)


def _fetched(visit: Visit, call: ToolCall) -> None:
    visit.was_tried = True
    if call.succeeded:
        visit.text = str(call.result)
    else:
        visit.error = _error(call.result)


def _upserted(visit: Visit, call: ToolCall) -> None:
    for product in _products(call.arguments):
        sku = str(product.get("sku"))
        if call.succeeded:
            visit.written[sku] = merged(visit.written.get(sku, {}), product)
            visit.failed.pop(sku, None)
        else:
            visit.failed[sku] = _error(call.result)


def _products(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    products = arguments.get("products")
    for product in products if isinstance(products, list) else []:
        if isinstance(product, Mapping):
            yield product


def _error(result: object) -> str:
    error = result.get("error") if isinstance(result, Mapping) else None
    return str(error or "it did not end")
