"""The tools of catalog-web-import. Both take the pages that the execution was given, and no other."""

from __future__ import annotations

from typing import Any

import msgspec

from service.definitions.context import ProductChange, ToolContext
from service.definitions.tools import ToolFailed, tool
from tasks.definitions.catalog_enrichment.fields import refusals
from tasks.definitions.catalog_enrichment.models import ProductDetails
from tasks.definitions.catalog_enrichment.tools import distinct_skus
from tasks.definitions.catalog_web_import.facts import invented

MAX_TOLD = 20
"""Invented facts that one refusal names."""

PAGE_SECONDS = 60.0
"""A page's own bounds, for fetching and for reading it, end before this."""


@tool(timeout_seconds=PAGE_SECONDS, keep=True)
async def fetch_page(context: ToolContext, url: str) -> str:
    """Fetch one of the pages that were given. Returns its text; product data that it carries for machines is first."""
    _require_given(context, url)
    return (await context.web.page(url)).text


@tool(timeout_seconds=PAGE_SECONDS)
async def upsert_products(context: ToolContext, url: str, products: list[ProductDetails]) -> str:
    """Write the products of one page to the catalogue, all of them in one call. `url` is the page they are from.

    SKU, the words of the name and every number must be on the page, or nothing is written.
    """
    _require_given(context, url)
    skus = distinct_skus(products)
    page = await context.web.page(url)
    wrong = refusals(products, context.field_schema)
    wrong += [
        f"{product.sku}: {problem}"
        for product in products
        for problem in invented(msgspec.to_builtins(product), page.text, url)
    ]
    if wrong:
        raise ToolFailed(f"nothing was written: {'; '.join(wrong[:MAX_TOLD])}")
    await context.data_set.upsert([_change(product, url) for product in products])
    return f"Written: {', '.join(skus)}"


def _require_given(context: ToolContext, url: str) -> None:
    """Raises ToolFailed for any other page: a page may hold a link that is there to carry something out."""
    given: Any = context.input
    if url not in given.distinct_urls:
        raise ToolFailed(f"{url} is none of the pages that were given: {', '.join(given.distinct_urls)}")


def _change(product: ProductDetails, url: str) -> ProductChange:
    """The change to the catalogue, with the page that it comes from."""
    change = product.change()
    return msgspec.structs.replace(change, details={**change.details, "source_url": url})
