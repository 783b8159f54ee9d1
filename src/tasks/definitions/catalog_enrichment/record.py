"""What a run has done to the products so far, read from its tool calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from service.definitions.context import ToolCall
from service.definitions.definition import Proposal
from tasks.definitions.catalog_enrichment.models import OUTCOMES, OWN_DETAILS, CatalogEnrichmentAgenticExecutionInput
from tasks.definitions.catalog_enrichment.quality import Written
from tasks.definitions.catalog_enrichment.sheets import section_of

Enriched = Proposal[CatalogEnrichmentAgenticExecutionInput, dict[str, str]]


@dataclass
class Attempt:
    """What was done to one SKU: details written by calls that succeeded, later ones over earlier; the last error."""

    details: dict[str, Any] = field(default_factory=dict)
    is_written: bool = False
    error: str | None = None
    """Why the last call failed; None if it succeeded."""


def attempts(calls: Sequence[ToolCall]) -> dict[str, Attempt]:
    """Every SKU that an upsert named, with what came of it."""
    made: dict[str, Attempt] = {}
    for call in calls:
        if call.name != "upsert_products":
            continue
        for product in _products(call.arguments):
            attempt = made.setdefault(str(product.get("sku")), Attempt())
            if call.succeeded:
                attempt.details = merged(attempt.details, product)
                attempt.is_written, attempt.error = True, None
            else:
                attempt.error = _error(call.result)
    return made


def merged(before: Mapping[str, Any], product: Mapping[str, Any]) -> dict[str, Any]:
    """What has been written of a product after one more call about it: what that left out stays."""
    given = {key: value for key, value in product.items() if value is not None}
    return {**before, **given, "details": {**before.get("details", {}), **given.get("details", {})}}


def details_of(written: Mapping[str, Any]) -> dict[str, Any]:
    """What the catalogue holds as the product's details after it."""
    return {**written.get("details", {}), **{name: written[name] for name in OWN_DETAILS if name in written}}


def wanted(proposal: Enriched) -> list[str]:
    """The SKUs that the answer has to speak of: those asked for, else those that were tried."""
    asked = proposal.input.skus
    return list(attempts(proposal.tool_calls)) if asked is None else list(dict.fromkeys(asked))


def written_products(proposal: Enriched) -> Iterator[Written]:
    """The products that were written and that the files have a section on."""
    for sku, attempt in attempts(proposal.tool_calls).items():
        section = section_of(sku, proposal.files)
        if attempt.is_written and section is not None:
            yield Written(sku, attempt.details, section, has_own_fields=proposal.field_schema is not None)


def outcome_of(text: str) -> str | None:
    """The outcome that an entry of the answer begins with, None if it is none of them."""
    return next((outcome for outcome in OUTCOMES if text.strip().lower().startswith(outcome.lower())), None)


def _products(arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    products = arguments.get("products")
    for product in products if isinstance(products, list) else []:
        if isinstance(product, Mapping):
            yield product


def _error(result: object) -> str:
    error = result.get("error") if isinstance(result, Mapping) else None
    return str(error or "it did not end")
