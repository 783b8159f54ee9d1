"""What is claimed of a product, held to the page that it comes from. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

NUMBER = re.compile(r"\d+(?:[.,'’]\d+)*")
WORD = re.compile(r"\w+")
NOT_A_DIGIT = re.compile(r"\D")
SEPARATOR = re.compile(r"[.,'’]")


def invented(product: Mapping[str, Any], page: str, url: str) -> Iterator[str]:
    """What the page does not say: the SKU, a word of the name, a number anywhere. `product` is a tool's argument."""
    sku = str(product.get("sku") or "")
    if not is_named(sku, page, url):
        yield f"the SKU {sku!r} is neither on the page nor in its URL"
    unknown = sorted(_words(str(product.get("name") or "")) - _words(page))
    if unknown:
        yield f"the page lacks these words of the name: {', '.join(unknown)}"
    scalars = list(_scalars({key: value for key, value in product.items() if key != "sku"}))
    told = NUMBER.findall(" ".join(value for value in scalars if isinstance(value, str)))
    numbers = _numbers(f"{page} {url}") if told else set()
    wrong = sorted(number for number in told if _digits(number) not in numbers)
    counted = [value for value in scalars if isinstance(value, int | float) and not isinstance(value, bool)]
    values = _values(f"{page} {url}") if counted else set()
    wrong += [str(value) for value in counted if Decimal(str(value)).copy_abs() not in values]
    if wrong:
        yield f"the page lacks these numbers, to the digit: {', '.join(dict.fromkeys(wrong))}"


def is_named(sku: str, page: str, url: str) -> bool:
    """Whether the SKU stands on the page or in its URL, as a word of its own."""
    pattern = rf"(?<!\w){re.escape(sku)}(?!\w)"
    return bool(sku) and any(re.search(pattern, text) for text in (page, url))


def _words(text: str) -> set[str]:
    return set(WORD.findall(text.casefold()))


def _numbers(text: str) -> set[str]:
    return {_digits(number) for number in NUMBER.findall(text)}


def _digits(number: str) -> str:
    """Without separators, which pages and models write differently: 1.299,00 and 1299.00 are one number."""
    return NOT_A_DIGIT.sub("", number)


def _values(text: str) -> set[Decimal]:
    """What the numbers of a text may mean: 1.299 is one and a bit, or one thousand two hundred and ninety-nine."""
    found: set[Decimal] = set()
    for number in NUMBER.findall(text):
        *whole, last = SEPARATOR.split(number)
        found |= {Decimal(_digits(number)), Decimal(f"{''.join(whole)}.{last}" if whole else last)}
    return found


def _scalars(value: Any) -> Iterator[object]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _scalars(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _scalars(inner)
    else:
        yield value
