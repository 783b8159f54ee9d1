"""The tool with which a model finds the products that a paper speaks of."""

from __future__ import annotations

from typing import Annotated

import msgspec

from service.definitions.context import ToolContext
from service.definitions.shop import ShopProduct
from service.definitions.tools import tool

Query = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
MOST_PRODUCTS = 10


@tool(keep=True)
async def find_products(context: ToolContext, query: Query) -> list[ShopProduct]:
    """Find products of the catalogue by SKU or by words of their name, best first, at most ten.

    A paper may name products by numbers of its own: search by the name then. Ask for one product at a time.
    """
    return await context.data_set.shop.search(query, limit=MOST_PRODUCTS)
