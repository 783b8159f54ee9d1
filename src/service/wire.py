"""What every controller says the same way: times, ids in paths, and links."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from litestar import Request
from litestar.datastructures import State
from litestar.params import PathParameter

from service.errors import BadRequest, FieldError, InvalidInput
from service.settings import Settings
from service.times import optional_ts, ts

__all__ = ["MAX_ID", "Id", "base_url", "names_tag", "only_header", "optional_ts", "ts"]

MAX_ID = 2**63 - 1
"""PostgreSQL's bigint: a larger id in a path is simply absent."""

Id: TypeAlias = Annotated[int, PathParameter(ge=1, le=MAX_ID)]

_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")


def base_url(request: Request[Any, Any, State], settings: Settings) -> str:
    """Scheme and host that links start with: PUBLIC_URL, else the Host header; X-Forwarded-* only from our proxies.

    Raises BadRequest for a host that is none.
    """
    if settings.public_url:
        return settings.public_url.rstrip("/")
    scheme, host = request.url.scheme, request.headers.get("host") or request.url.netloc
    if request.client is not None and request.client.host in settings.trusted_proxies:
        scheme = _last(request.headers.get("x-forwarded-proto")) or scheme
        host = _last(request.headers.get("x-forwarded-host")) or host
    if scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise BadRequest("The request's host cannot be read; check the Host and X-Forwarded-* headers")
    return f"{scheme}://{host}"


def only_header(request: Request[Any, Any, State], name: str) -> str | None:
    """The header's value; None without one. Raises InvalidInput for several: which of them was meant is not guessed."""
    values = request.headers.getall(name, [])
    if len(values) > 1:
        raise InvalidInput([FieldError(name, "was given more than once")])
    return values[0] if values else None


def names_tag(if_none_match: str | None, tag: str) -> bool:
    """Whether an If-None-Match names this entity tag, which is written with its quotes."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or tag in _ENTITY_TAG.findall(if_none_match)


def _last(header: str | None) -> str:
    """The value that the nearest proxy added: what stands before it came from outside."""
    return (header or "").rpartition(",")[2].strip()
