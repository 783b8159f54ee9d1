"""Pages by a cursor: they cost the same however deep, and rows that come meanwhile neither shift nor repeat them."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from litestar import Request
from litestar.datastructures import State

from service.database import Row
from service.errors import FieldError, InvalidInput, NotFound
from service.pages import PAGE_SIZE, Page, link
from service.settings import Settings
from service.wire import MAX_ID

LARGEST_PAGE = 200

T = TypeVar("T")


@dataclass(frozen=True)
class Cursor:
    """A place in a list that is newest first: between two ids. Neither bound: the newest."""

    older_than: int | None = None
    newer_than: int | None = None

    def __str__(self) -> str:
        """What a link carries; clients take it as it is."""
        bound = f"-{self.older_than}" if self.newer_than is None else f"+{self.newer_than}"
        return urlsafe_b64encode(bound.encode()).decode().rstrip("=")


Rows = Callable[[Cursor, int], Awaitable[Sequence[Row]]]
"""So many rows from a cursor on, the nearest to it first: newest first, but oldest first with `newer_than`."""


async def paginate_by_cursor(
    request: Request[Any, Any, State], settings: Settings, rows: Rows, item: Callable[[Row], T]
) -> Page[T]:
    """The page at the query's `cursor` (empty: the newest), of `page_size` items. Nothing is counted.

    Raises NotFound for a cursor that no link gave, InvalidInput for a wrong `page_size` or beside `page`.
    """
    size = _size(request)
    cursor = read_cursor(request.query_params.get("cursor") or "")
    found = await rows(cursor, size + 1)
    has_more = len(found) > size
    kept = list(found[:size])
    older, newer = has_more, cursor != Cursor()
    if cursor.newer_than is not None:
        kept.reverse()
        older, newer = True, has_more
    return Page(
        next=link(request, settings, "cursor", str(_before(kept, cursor))) if older else None,
        previous=link(request, settings, "cursor", str(_after(kept, cursor))) if newer else None,
        results=[item(row) for row in kept],
    )


def read_cursor(text: str) -> Cursor:
    """The cursor of a link. Raises NotFound."""
    if not text:
        return Cursor()
    try:
        bound = int(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError:
        raise _invalid() from None
    cursor = Cursor(older_than=-bound) if bound < 0 else Cursor(newer_than=bound)
    if str(cursor) != text or abs(bound) > MAX_ID:
        raise _invalid()
    return cursor


def _before(kept: Sequence[Row], cursor: Cursor) -> Cursor:
    """Where the next, older page begins."""
    return Cursor(older_than=kept[-1]["id"] if kept else (cursor.newer_than or 0) + 1)


def _after(kept: Sequence[Row], cursor: Cursor) -> Cursor:
    """Where the previous, newer page ends."""
    return Cursor(newer_than=kept[0]["id"] if kept else max((cursor.older_than or 0) - 1, 0))


def _size(request: Request[Any, Any, State]) -> int:
    errors = []
    text = request.query_params.get("page_size") or str(PAGE_SIZE)
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:10]) <= LARGEST_PAGE):
        errors.append(FieldError("page_size", f"must be an integer from 1 to {LARGEST_PAGE}"))
    if request.query_params.get("page"):
        errors.append(FieldError("page", "cannot be asked for beside a cursor"))
    if errors:
        raise InvalidInput(errors)
    return int(text)


def _invalid() -> NotFound:
    return NotFound("Invalid cursor.")
