"""What may be written of a product that no file has a section on: what is known of it, and no more. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from service.definitions.context import Product, ToolContext
from tasks.definitions.catalog_enrichment.models import OWN_DETAILS, ProductDetails
from tasks.definitions.catalog_enrichment.quality import LONG_WORD, NUMBER
from tasks.definitions.catalog_enrichment.sheets import is_about, is_section_of, passages

HELD_WORDS = ("name", *OWN_DETAILS)
"""Fields whose long words must be known; a description is written in words of the model's own."""


def inventions(
    products: Sequence[ProductDetails], catalogue: Mapping[str, Product], context: ToolContext
) -> Iterator[str]:
    """What is made up about products without a section, in words for the model; products with one are for validators.

    Known is what the catalogue has on the product, what files say that name it, and what was asked for. Of a model that
    was shown a file without text nothing is said: what it saw cannot be held to anything.
    """
    if any(not file.text and file.reference in context.shown for file in context.files):
        return
    read = list(passages(context.files))
    for product in products:
        if any(is_section_of(product.sku, passage) for passage in read):
            continue
        known = "\n".join(_known(product.sku, catalogue.get(product.sku), context))
        if unknown := list(_unknown(product, known)):
            yield f"{product.sku}: no file has a section on it, and what is known of it lacks {', '.join(unknown)}"


def _known(sku: str, record: Product | None, context: ToolContext) -> Iterator[str]:
    """Everything that may be repeated of a product."""
    yield sku
    yield getattr(context.input, "additional_instructions", None) or ""
    names = [sku.casefold()]
    if record is not None:
        yield f"{record.name}\n{record.description}\n{json.dumps(record.details, ensure_ascii=False)}"
        names += [record.name.casefold()] if record.name else []
    for file in context.files:
        text = file.text.casefold()
        if any(is_about(name, text) for name in names):
            yield text


def _unknown(product: ProductDetails, known: str) -> Iterator[str]:
    """Numbers anywhere and long words of the copied fields that do not stand in the text."""
    written: dict[str, Any] = msgspec.to_builtins(product)
    words, numbers = set(LONG_WORD.findall(known.lower())), _numbers(known)
    for field, value in written.items():
        text = "" if field == "sku" else "\n".join(_texts(value))
        lacking = sorted(_numbers(text) - numbers)
        if field in HELD_WORDS:
            lacking += sorted(set(LONG_WORD.findall(text.lower())) - words)
        if lacking:
            yield f"{' and '.join(map(repr, lacking[:5]))} of its {field}"


def _numbers(text: str) -> set[str]:
    return {number.replace(",", ".").removesuffix(".0") for number in NUMBER.findall(text)}


def _texts(value: object) -> Iterator[str]:
    """Texts and numbers in a value, however deep."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
