"""What models are told: a capable one all rules and the whole work at once, a small one examples and one product."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from service.definitions.context import AttachedFile, ToolCall
from service.definitions.definition import Example, Item
from tasks.definitions.catalog_enrichment.fields import details_schema
from tasks.definitions.catalog_enrichment.models import (
    NO_DATA,
    OUTCOMES,
    UPDATED,
    CatalogEnrichmentAgenticExecutionInput,
)
from tasks.definitions.catalog_enrichment.quality import BULLETS, FORBIDDEN, LONGEST, LONGEST_BULLET, SHORTEST

SYSTEM = (
    "You write product data for a shop. Search the files for the product, write its details with upsert_products, "
    "then say what happened. Use only facts from the search result. Bullets repeat facts of the search result. "
    "The description is one sentence that names the product."
)

WORK = f"""\
How to go about it:
1. Find each product in the attached files with search_files, one product at a time, and in the catalogue with \
search_products.
2. Write what you found with one call of upsert_products for all products.
3. Answer with one entry per SKU: {", ".join(f'"{outcome}"' for outcome in OUTCOMES)}; further words may follow. \
"{NO_DATA}" is for a product that neither the files nor the catalogue know.

What you write is checked wherever the files have a section on the product:
"""

FIELDS = f"""\
- category, material, weight and name are those of the section, to the letter; none that it states is left out.
- bullets are {BULLETS} different facts of at most {LONGEST_BULLET} characters. Every word of four or more letters and \
every number in them occurs in the section.
"""

DESCRIPTION = f"""\
- description is one sentence of {SHORTEST} to {LONGEST} characters that ends with a full stop. It contains the last \
word of the product's name, no number that the section lacks, and none of the words {", ".join(FORBIDDEN)}.
"""


def everything(
    given: CatalogEnrichmentAgenticExecutionInput,
    files: Sequence[AttachedFile],
    field_schema: Mapping[str, Any] | None = None,
) -> str:
    """The whole work in one request, for models that do it in one go."""
    if given.skus is None:
        chosen = "those that the files describe; without files, those that list_products_without_description returns"
    else:
        chosen = ", ".join(given.skus) or "none"
    lines = [
        "Enrich products of the catalogue with what the attached files say about them.",
        f"Products: {chosen}.",
        f"Files: {', '.join(map(_named, files)) or 'none'}.",
    ]
    if given.additional_instructions:
        lines.append(f"Further wishes, as far as the rules below allow: {given.additional_instructions}")
    fields = FIELDS if field_schema is None else own_fields_rule(field_schema)
    return "\n".join([*lines, "", f"{WORK}{fields}{DESCRIPTION}"])


def own_fields_rule(field_schema: Mapping[str, Any]) -> str:
    """Which details there are, where the agent says it."""
    schema = json.dumps(details_schema(field_schema), ensure_ascii=False)
    return (
        "- name is that of the section, to the letter.\n"
        f"- details, from what the section says, are what this JSON Schema asks for, in every product: {schema}\n"
    )


def _named(file: AttachedFile) -> str:
    if file.problem:
        return f"{file.filename} (could not be read: {file.problem})"
    return f"{file.filename} (only its beginning was read)" if file.is_cut else file.filename


def one_product(sku: str, name: str) -> str:
    """One product's share of the work. The name is there because a small model searches for what it is told."""
    return f"Enrich: {sku} {name}".strip()


def name_told(item: Item) -> str:
    """The name that the product's share of the work was asked with; "" where none was known."""
    return item.instructions.removeprefix(one_product(item.key, "")).strip()


def example(sku: str, section: str, details: Mapping[str, Any]) -> Example:
    """A product written as the rules want it."""
    name = str(details["name"])
    return Example(
        ask=one_product(sku, name),
        calls=(
            ToolCall(name="search_files", arguments={"query": f"{sku} {name}"}, result=section),
            ToolCall(
                name="upsert_products", arguments={"products": [{"sku": sku, **details}]}, result=f"Written: {sku}"
            ),
        ),
        answer={sku: UPDATED},
    )


# Two, of different categories: with a single one its bullets are copied into other products.
EXAMPLES = (
    example(
        "SKU-104",
        "SKU-104  Bamboo Pencil Holder\nCategory: office\nMaterial: bamboo\nWeight: 240 g\n- four compartments\n"
        "- felt pads under the base\n- stands 11 cm high\n- made from one piece of cane",
        {
            "category": "office",
            "material": "bamboo",
            "weight": "240 g",
            "bullets": ["four compartments", "felt pads under the base", "stands 11 cm high"],
            "name": "Bamboo Pencil Holder",
            "description": "The bamboo pencil holder has four compartments and stands 11 cm high.",
        },
    ),
    example(
        "SKU-117",
        "SKU-117  Running Belt\nCategory: sports\nMaterial: elastic nylon\nWeight: 85 g\n- two zip pockets\n"
        "- reflective strip on the back\n- adjusts from 60 to 110 cm\n- keeps a phone dry",
        {
            "category": "sports",
            "material": "elastic nylon",
            "weight": "85 g",
            "bullets": ["two zip pockets", "reflective strip on the back", "keeps a phone dry"],
            "name": "Running Belt",
            "description": "The running belt is made of elastic nylon and keeps a phone dry on long runs.",
        },
    ),
)
