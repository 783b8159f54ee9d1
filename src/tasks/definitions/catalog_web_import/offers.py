"""What a model may do next. A small one works a page at a time, under schemas that hold its URL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.definitions.definition import Offer, Step
from service.definitions.tools import STOP_EXECUTION
from tasks.definitions.catalog_enrichment.fields import details_schema, own_fields
from tasks.definitions.catalog_web_import.models import OUTCOMES, CatalogWebImportInput
from tasks.definitions.catalog_web_import.tools import upsert_products

MAX_WRITES = 2
"""Calls of one cycle after which a small model has to go on: it would repeat itself until the run's limit."""

PRODUCT: dict[str, Any] = {
    "sku": {"type": "string", "minLength": 1, "maxLength": 40},
    "name": {"type": "string", "minLength": 3, "maxLength": 80},
    "description": {"type": "string", "minLength": 10, "maxLength": 200},
    "details": {
        "type": "object",
        "properties": {"price": {"type": "string", "minLength": 1, "maxLength": 20}},
        "additionalProperties": False,
    },
}


def next_offer(step: Step[CatalogWebImportInput]) -> Offer:
    """All tools and an entry per URL for capable models; one page's next move for small ones."""
    if step.item is None:
        upsert = own_fields(upsert_products.schema, step.field_schema)
        tools = {"fetch_page": None, "upsert_products": upsert, STOP_EXECUTION: None}
        return Offer(tools=tools, answer_schema=_entries(step.input.distinct_urls))
    url = step.item.key
    answer = _entries([url])
    if step.cycle == 1 and not any(call.name == "fetch_page" for call in step.tool_calls):
        return Offer(tools={"fetch_page": _object({"url": {"const": url}})}, answer=False)
    was_lost = any(call.name == "fetch_page" and not call.succeeded for call in step.tool_calls)
    writes = sum(call.name == "upsert_products" for call in step.tool_calls)
    if was_lost or step.called("upsert_products") or writes >= MAX_WRITES:
        return Offer(answer_schema=answer)
    return Offer(tools={"upsert_products": _upsert(url, step.field_schema)}, answer_schema=answer)


def _entries(urls: Sequence[str]) -> dict[str, Any]:
    return _object({url: {"enum": list(OUTCOMES)} for url in urls})


def _upsert(url: str, field_schema: Mapping[str, Any] | None) -> dict[str, Any]:
    product = PRODUCT if field_schema is None else {**PRODUCT, "details": details_schema(field_schema)}
    products = {"type": "array", "items": _object(product), "minItems": 1, "maxItems": 3}
    return _object({"url": {"const": url}, "products": products})


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
