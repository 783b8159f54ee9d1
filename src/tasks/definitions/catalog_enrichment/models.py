"""The input, what is written about a product, and the words that an answer may use."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from service.definitions.context import ProductChange
from service.definitions.definition import Input

UPDATED = "Product updated successfully"
NO_DATA = "No product data found"
REJECTED = "Update was rejected"
OUTCOMES = (UPDATED, NO_DATA, REJECTED)
"""How an answer says what happened to a SKU; further words may follow."""

OWN_DETAILS = ("category", "material", "weight", "bullets")
"""Details that upsert_products has arguments for."""

Line = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=4000)]
Sku = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


def pointer(*parts: str) -> str:
    """A JSON pointer: the SKU, and a field of its details where the issue is about one."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


class CatalogEnrichmentAgenticExecutionInput(Input):
    """Input for the catalog enrichment agentic execution."""

    additional_instructions: str | None = None
    skus: list[str] | None = None


class ProductDetails(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What to write about one product. What is left out stays as it is."""

    sku: Sku
    category: Line | None = None
    material: Line | None = None
    weight: Line | None = None
    bullets: Annotated[list[Line], msgspec.Meta(min_length=1, max_length=20)] | None = None
    name: Line | None = None
    description: Text | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)

    def change(self) -> ProductChange:
        """The change to the catalogue: name and description are its columns, everything else a detail."""
        known = {name: value for name in OWN_DETAILS if (value := getattr(self, name)) is not None}
        return ProductChange(
            sku=self.sku, name=self.name, description=self.description, details={**self.details, **known}
        )
