"""What a model may do next. A small model works under schemas that hold its SKU and, in corrections, what was right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from service.definitions.context import AttachedFile
from service.definitions.definition import Item, Offer, Step
from service.definitions.tools import STOP_EXECUTION
from service.definitions.verdicts import Issue
from tasks.definitions.catalog_enrichment import prompts
from tasks.definitions.catalog_enrichment.fields import details_schema, failing_details, own_fields
from tasks.definitions.catalog_enrichment.models import OUTCOMES, CatalogEnrichmentAgenticExecutionInput, pointer
from tasks.definitions.catalog_enrichment.quality import BULLETS, COPIED, ESCAPED, LONGEST_BULLET, SPECIAL
from tasks.definitions.catalog_enrichment.sheets import Section, section_of
from tasks.definitions.catalog_enrichment.tools import upsert_products

MAX_SEARCHES = 2
MAX_WRITES = 2
"""Calls of one cycle after which a small model has to go on: it would repeat itself until the run's limit."""
EVERY_TOOL = (
    "search_files",
    "search_products",
    "list_products_without_description",
    "upsert_products",
    STOP_EXECUTION,
)
FIELDS: dict[str, Any] = {
    # Facts first, sentences last: a small model that begins with the sentence gets the facts wrong.
    "category": {"type": "string", "minLength": 3, "maxLength": 30},
    "material": {"type": "string", "minLength": 3, "maxLength": 40},
    "weight": {"type": "string", "minLength": 2, "maxLength": 12},
    "bullets": {
        "type": "array",
        "items": {"type": "string", "minLength": 5, "maxLength": 60},
        "minItems": 3,
        "maxItems": 3,
    },
    "name": {"type": "string", "minLength": 3, "maxLength": 60},
    # Without a full stop or comma inside, a small model ends its sentence instead of running on to the limit.
    "description": {"type": "string", "pattern": "^[A-Z][a-zA-Z0-9 -]{30,125}[.]$"},
}
WITHOUT_NUMBERS = {"type": "string", "pattern": "^[A-Z][a-zA-Z -]{30,125}[.]$"}


def next_offer(step: Step[CatalogEnrichmentAgenticExecutionInput]) -> Offer:
    """All tools and an entry per SKU for capable models; one SKU's next move for small ones."""
    if step.item is None:
        upsert = own_fields(upsert_products.schema, step.field_schema)
        tools = {**dict.fromkeys(EVERY_TOOL), "upsert_products": upsert}
        return Offer(tools=tools, answer_schema=_entries(step.input.skus))
    sku = step.item.key
    writes = sum(call.name == "upsert_products" for call in step.tool_calls)
    if step.called("upsert_products") or writes >= MAX_WRITES:
        return Offer(answer_schema=_entries([sku]))
    narrowed = {**_failing_details(step, sku), **_narrowed_fields(sku, step.issues)}
    if narrowed:
        return Offer(tools={"upsert_products": _upsert(sku, narrowed)}, answer=False)
    if entry := _narrowed_entry(sku, step.issues):
        return Offer(answer_schema=_object({sku: entry}))
    return _first_moves(step, step.item)


def _first_moves(step: Step[CatalogEnrichmentAgenticExecutionInput], item: Item) -> Offer:
    """Search, then write or search again; an answer unless one that was given without writing was refused.

    Writing is on offer once something was searched: what a small model writes before that, it invents.
    """
    searches = sum(call.name == "search_files" for call in step.tool_calls)
    search = {"search_files": _search(item.key)} if searches < MAX_SEARCHES else {}
    write = {"upsert_products": _upsert(item.key, _fields(step, item))} if searches else {}
    return Offer(
        tools={**search, **write},
        answer=not step.issues,
        answer_schema=_entries([item.key]),
    )


def _search(sku: str) -> dict[str, Any]:
    """A query that begins with the SKU: a small model that is free to search looks for a product of its examples."""
    return _object({"query": {"type": "string", "pattern": f"^{SPECIAL.sub(ESCAPED, sku)}( [a-zA-Z0-9 -]{{1,60}})?$"}})


def _fields(step: Step[CatalogEnrichmentAgenticExecutionInput], item: Item) -> dict[str, Any]:
    """All fields; what is copied is chosen from what was found, to the letter: small models misspell what they copy.

    The name is as it was told, values are any of the found section's, bullets any of its facts. Where the agent says
    which details there are, those stand for ours.
    """
    held: dict[str, Any] = {}
    if name := prompts.name_told(item):
        held["name"] = {"const": name}
    if step.field_schema is not None:
        details = details_schema(step.field_schema)
        return {"details": details, "name": FIELDS["name"], "description": FIELDS["description"], **held}
    found = _found_section(step, item.key)
    if found is None and any(call.name == "upsert_products" for call in step.tool_calls):
        return {"description": WITHOUT_NUMBERS, **held}  # what it wrote was refused, and there is nothing to copy
    values = list(dict.fromkeys(found.labels.values())) if found is not None else []
    facts = [fact for fact in dict.fromkeys(found.facts) if len(fact) <= LONGEST_BULLET] if found is not None else []
    if values:
        held |= {field: {"enum": values} for field in COPIED}
    if len(facts) >= BULLETS:
        held["bullets"] = {**FIELDS["bullets"], "items": {"enum": facts}}
    return {**FIELDS, **held}


def _found_section(step: Step[CatalogEnrichmentAgenticExecutionInput], sku: str) -> Section | None:
    """The product's section, if the last search brought it."""
    results = [call.result for call in step.tool_calls if call.name == "search_files" and call.succeeded]
    return section_of(sku, [AttachedFile("found.txt", "text/plain", str(results[-1]))]) if results else None


def _failing_details(step: Step[CatalogEnrichmentAgenticExecutionInput], sku: str) -> dict[str, Any]:
    """Those of the agent's details that issues are about: the rest was written and stays."""
    if step.field_schema is None:
        return {}
    whole = pointer(sku, "details")
    paths = [issue.path for issue in step.issues if issue.path == whole or issue.path.startswith(f"{whole}/")]
    fields = [path.removeprefix(whole).split("/")[1:2] for path in paths]
    named = [field[0].replace("~1", "/").replace("~0", "~") if field else "" for field in fields]
    return {"details": failing_details(step.field_schema, named)} if named else {}


def _narrowed_fields(sku: str, issues: Sequence[Issue]) -> dict[str, Any]:
    """The fields that issues are about, each with the schema that it is held to, in the order of FIELDS."""
    held = {issue.path.removeprefix(pointer(sku, "")): issue.narrow for issue in issues if issue.narrow}
    return {field: held[field] for field in FIELDS if field in held}


def _narrowed_entry(sku: str, issues: Sequence[Issue]) -> Mapping[str, Any] | None:
    return next((issue.narrow for issue in issues if issue.path == pointer(sku) and issue.narrow), None)


def _entries(skus: Sequence[str] | None) -> dict[str, Any] | None:
    """The answer's schema where the SKUs are known: one outcome for each."""
    if not skus:
        return None
    return _object({sku: {"enum": list(OUTCOMES)} for sku in dict.fromkeys(skus)})


def _upsert(sku: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    product = _object({"sku": {"const": sku}, **fields})
    return _object({"products": {"type": "array", "items": product, "minItems": 1, "maxItems": 1}})


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
