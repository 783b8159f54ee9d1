"""The tools of catalog-enrichment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec

from service.definitions.context import Product, RunContext, ToolContext
from service.definitions.tools import ToolFailed, tool
from tasks.definitions.catalog_enrichment.evidence import inventions
from tasks.definitions.catalog_enrichment.fields import refusals
from tasks.definitions.catalog_enrichment.models import ProductDetails
from tasks.definitions.catalog_enrichment.sheets import best_passages, mentions

Limit = Annotated[int, msgspec.Meta(ge=1, le=20)]
MAX_PASSAGE_CHARACTERS = 4000
MAX_PRODUCTS = 200


@tool(keep=True)
async def search_files(context: ToolContext, query: str, limit: Limit = 1) -> str:
    """Search the attached files. Returns the passages that share the most words with the query, best first.

    Ask for one product at a time, by its SKU and name. `limit` is how many passages to return.
    """
    found = [_shortened(passage) for passage in best_passages(query, context.files, limit)]
    if not found:
        found = ["No passage of the attached files holds a word of the query."]
    return "\n\n".join([*found, *_problems(context)])


@tool
async def search_products(context: ToolContext, query: str, limit: Limit = 10) -> list[Product]:
    """Search the catalogue by SKU, name or description. Returns products as they are now."""
    return await context.data_set.search(query, limit=limit)


@tool
async def list_products_without_description(context: ToolContext, limit: Limit = 20) -> list[Product]:
    """List products of the catalogue that have no description yet, by SKU."""
    return await context.data_set.undescribed(limit=limit)


@tool
async def upsert_products(context: ToolContext, products: list[ProductDetails]) -> str:
    """Write details of products to the catalogue, all of them in one call. What is left out stays as it is.

    Either all are written or none.
    """
    skus = distinct_skus(products)
    known = {product.sku: product for product in await context.data_set.products(skus)}
    if unknown := [sku for sku in skus if sku not in known and not mentions(sku, context.files)]:
        raise ToolFailed(f"neither the catalogue nor the files know {', '.join(unknown)}; nothing was written")
    invented = await asyncio.to_thread(lambda: list(inventions(products, known, context)))  # reads all files
    if wrong := [*refusals(products, context.field_schema), *invented]:
        raise ToolFailed(f"nothing was written: {'; '.join(wrong)}")
    await context.data_set.upsert([product.change() for product in products])
    return f"Written: {', '.join(skus)}"


def distinct_skus(products: Sequence[ProductDetails]) -> list[str]:
    """The SKUs of products that are to be written. Raises ToolFailed for none, too many, or one that is repeated."""
    if not 1 <= len(products) <= MAX_PRODUCTS:
        raise ToolFailed(f"products must hold 1 to {MAX_PRODUCTS} products, got {len(products)}")
    skus = [product.sku for product in products]
    if repeated := sorted({sku for sku in skus if skus.count(sku) > 1}):
        raise ToolFailed(f"each SKU may occur once, these are repeated: {', '.join(repeated)}")
    return skus


def _shortened(passage: str) -> str:
    if len(passage) <= MAX_PASSAGE_CHARACTERS:
        return passage
    return f"{passage[:MAX_PASSAGE_CHARACTERS]}… (cut)"


def _problems(context: RunContext) -> list[str]:
    """What the search could not see: files without text, and files whose end was cut."""
    unread = [f"{file.filename} could not be read: {file.problem}" for file in context.files if file.problem]
    cut = [f"Only the beginning of {file.filename} was read." for file in context.files if file.is_cut]
    return [*unread, *cut]
