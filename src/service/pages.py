"""Pages as the guide has them: 25 items, newest first, links to the next and the previous."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Request
from litestar.datastructures import State

from service.errors import NotFound
from service.settings import Settings
from service.wire import base_url

PAGE_SIZE = 25
LAST = "last"
_MAX_PAGE = 2**31
"""Far beyond any row; what is larger would not fit the OFFSET of a statement."""

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], kw_only=True):
    """A page of a list; `next` and `previous` are absolute URLs, null at the ends. `count`: how many there are in all;
    absent from a page that was asked for by a cursor."""

    count: int | msgspec.UnsetType = msgspec.UNSET
    next: str | None
    previous: str | None
    results: list[T]


@dataclass(frozen=True)
class Source:
    """Where pages come from: the rows of an OFFSET and LIMIT, newest first, and how many there are in all."""

    rows: Callable[[int, int], Awaitable[Sequence[Any]]]
    count: Callable[[], Awaitable[int]]


async def paginate(
    request: Request[Any, Any, State], settings: Settings, source: Source, item: Callable[[Any], T]
) -> Page[T]:
    """The page that the query asks for by `page` (a number or "last"). Raises NotFound where there is none.

    A page that is not full tells how many there are; only a full one is counted.
    """
    asked = request.query_params.get("page") or "1"
    number = last_page(await source.count()) if asked == LAST else page_number(asked)
    offset = (number - 1) * PAGE_SIZE
    rows = await source.rows(offset, PAGE_SIZE)
    if number > 1 and not rows:
        raise invalid_page()
    count = await source.count() if len(rows) == PAGE_SIZE else offset + len(rows)
    return Page(
        count=count,
        next=link(request, settings, "page", str(number + 1)) if number * PAGE_SIZE < count else None,
        previous=link(request, settings, "page", str(number - 1) if number > 2 else "") if number > 1 else None,
        results=[item(row) for row in rows],
    )


def invalid_page() -> NotFound:
    """What a page answers that does not exist."""
    return NotFound("Invalid page.")


def page_number(asked: str) -> int:
    """The number of a page. Raises NotFound for what is none: 0, -1, abc, or beyond any list."""
    if not (asked.isascii() and asked.isdigit()) or not 1 <= int(asked[:20]) <= _MAX_PAGE:
        raise invalid_page()
    return int(asked)


def last_page(count: int) -> int:
    """The number of the last page of so many items; an empty list has one page."""
    return max(1, -(-count // PAGE_SIZE))


def link(request: Request[Any, Any, State], settings: Settings, name: str, text: str) -> str:
    """The same request with another text under this name, all other query keys kept; an empty text leaves it out."""
    given = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = [(key, value) for key, value in given if key != name]
    query += [(name, text)] if text else []
    path = request.url.path.rstrip("/") + "/"
    return base_url(request, settings) + path + (f"?{urlencode(query)}" if query else "")
