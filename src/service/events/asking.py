"""What a request for events asks: from which cursor on, how many, as a page or as a stream."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.datastructures import State

from service.errors import FieldError, InvalidInput
from service.wire import MAX_ID, only_header

EVENT_STREAM = "text/event-stream"
LAST_EVENT_ID = "Last-Event-ID"
PAGE_SIZE = 100
LARGEST_PAGE = 500
_NEVER = re.compile(r"q\s*=\s*0(\.0*)?")


@dataclass(frozen=True)
class Asked:
    """`name` is what the cursor was given as: the header that a stream resumes with wins over the query."""

    after: int
    name: str
    limit: int
    is_stream: bool

    def check(self, last: int) -> None:
        """Raises InvalidInput for a cursor from the future: it was never given out, or not by this database.

        How far events go is not told: positions count those of every account.
        """
        if self.after > last:
            raise InvalidInput([FieldError(self.name, f"is {self.after}, which no event has had yet; start from 0")])


def read_asked(request: Request[Any, Any, State]) -> Asked:
    """Raises InvalidInput naming the header and every parameter that is wrong. A header without text is none."""
    errors: list[FieldError] = []
    query = request.query_params
    header = (only_header(request, LAST_EVENT_ID) or "").strip()
    name, text = (LAST_EVENT_ID, header) if header else ("after", query.get("after") or "0")
    after = _integer(name, text, 0, MAX_ID, errors)
    limit = _integer("limit", query.get("limit") or str(PAGE_SIZE), 1, LARGEST_PAGE, errors)
    if errors:
        raise InvalidInput(errors)
    return Asked(after, name, limit, prefers_stream(request.headers.get("accept", "")))


def prefers_stream(accept: str) -> bool:
    """Whether an Accept header names event streams; what it likes even better is not looked at."""
    named = ([word.strip().lower() for word in part.split(";")] for part in accept.split(","))
    return any(kind == EVENT_STREAM and not any(map(_NEVER.fullmatch, rest)) for kind, *rest in named)


def _integer(name: str, text: str, least: int, most: int, errors: list[FieldError]) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    errors.append(FieldError(name, f"must be an integer from {least} to {most}"))
    return least
