"""The input, and the words that an answer may use."""

from __future__ import annotations

from typing import Annotated

import msgspec

from service.definitions.definition import Input
from service.egress import LONGEST_URL

IMPORTED = "Products imported"
NO_PRODUCT = "No product data found"
NOT_READ = "Page could not be read"
OUTCOMES = (IMPORTED, NO_PRODUCT, NOT_READ)
"""How an answer says what came of a URL; further words may follow."""

URL_PATTERN = r"^https?://[^\s/@\\]+(/\S*|\?\S*)?$"
Url = Annotated[str, msgspec.Meta(pattern=URL_PATTERN, max_length=LONGEST_URL, extra_json_schema={"format": "uri"})]


class CatalogWebImportInput(Input):
    """Pages whose products are to be imported. Only these pages are fetched, and none that they link to."""

    urls: Annotated[list[Url], msgspec.Meta(min_length=1, max_length=20)]
    additional_instructions: Annotated[str, msgspec.Meta(max_length=4000)] | None = None

    @property
    def distinct_urls(self) -> list[str]:
        """The URLs in their order, each once."""
        return list(dict.fromkeys(self.urls))
