"""Serving a stored file: conditional requests, one range, HEAD, and headers that keep a browser from running it.

Litestar's own `File` ignores Range and If-None-Match and answers HEAD with 405.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from litestar import Response
from litestar.response import Stream

from service.wire import names_tag

_RANGE = re.compile(r"bytes\s*=\s*([0-9]{0,20})\s*-\s*([0-9]{0,20})\s*", re.IGNORECASE)
_RFC_5987_SAFE = "!#$&+-.^_`|~"

OpenChunks = Callable[[int, int], AsyncIterator[bytes]]
"""Given start and stop (exclusive), the bytes of that range in pieces."""


@dataclass(frozen=True)
class ResponsePlan:
    """What to answer: the status, the bytes from `start` up to and without `stop`, and the headers that say so."""

    status: Literal[200, 206, 304, 416]
    start: int
    stop: int
    headers: dict[str, str]


def plan_response(method: str, request_headers: Mapping[str, str], *, size_bytes: int, etag: str) -> ResponsePlan:
    """Decide the answer to a GET or HEAD by RFC 9110. `etag` is strong, with its quotes; header lookups ignore case.

    If-None-Match comes before Range. A Range counts for GET only; one that is malformed, has another unit, asks for
    several parts, or whose If-Range names another version is ignored: the whole file answers all of them correctly.
    """
    if names_tag(request_headers.get("if-none-match"), etag):
        return ResponsePlan(304, 0, 0, {"ETag": etag})
    always = {"ETag": etag, "Accept-Ranges": "bytes"}
    asked = request_headers.get("range") if method == "GET" and _range_applies(request_headers, etag) else None
    span = _parse_range(asked, size_bytes) if asked else None
    if span is None:
        return ResponsePlan(200, 0, size_bytes, always | {"Content-Length": str(size_bytes)})
    start, stop = span
    if start >= stop:
        return ResponsePlan(416, 0, 0, always | {"Content-Range": f"bytes */{size_bytes}", "Content-Length": "0"})
    content_range = f"bytes {start}-{stop - 1}/{size_bytes}"
    return ResponsePlan(
        206, start, stop, always | {"Content-Range": content_range, "Content-Length": str(stop - start)}
    )


def file_response(
    method: str,
    request_headers: Mapping[str, str],
    *,
    filename: str,
    content_type: str,
    size_bytes: int,
    sha256: bytes,
    open_chunks: OpenChunks,
) -> Response[bytes] | Stream:
    """Answer a GET or HEAD for one file; `open_chunks` is called only if bytes are sent, so memory stays flat."""
    plan = plan_response(method, request_headers, size_bytes=size_bytes, etag=f'"{sha256.hex()}"')
    headers = plan.headers | protective_headers(filename)
    if plan.status in (200, 206):
        headers["Content-Type"] = content_type
        if method != "HEAD":
            chunks = open_chunks(plan.start, plan.stop)
            return Stream(chunks, status_code=plan.status, headers=headers, media_type=content_type)
    return Response(b"", status_code=plan.status, headers=headers, media_type=content_type)


def protective_headers(filename: str) -> dict[str, str]:
    """Headers that make the answer a download whatever it contains, kept by nobody but its reader.

    no-cache, not no-store: the reader may keep the bytes but asks, with credentials, before using them again,
    which the ETag answers with 304.
    """
    return {
        "Content-Disposition": content_disposition(filename),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-cache",
    }


def content_disposition(filename: str) -> str:
    """An attachment header by RFC 6266: a plain name for old clients, and the exact one in UTF-8 if they differ."""
    plain = re.sub(r'[^\x20-\x7e]|["\\%]', "_", filename)
    header = f'attachment; filename="{plain}"'
    return header if plain == filename else f"{header}; filename*=UTF-8''{quote(filename, safe=_RFC_5987_SAFE)}"


def _range_applies(request_headers: Mapping[str, str], etag: str) -> bool:
    if_range = request_headers.get("if-range")
    return if_range is None or if_range.strip() == etag


def _parse_range(header: str, size_bytes: int) -> tuple[int, int] | None:
    """Start and stop of a single range; an empty one if it cannot be satisfied; None if it is to be ignored."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return max(0, size_bytes - int(last)), size_bytes
    if last and int(last) < int(first):
        return None
    return int(first), min(size_bytes, int(last) + 1) if last else size_bytes
