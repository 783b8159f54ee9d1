"""One log line per request, whatever answered it, and the id that ties line, answer and traceback together."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from litestar.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

HEADER = b"x-request-id"
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_bound: ContextVar[str] = ContextVar("request_id")


class RequestIds(logging.Filter):
    """Gives every line that is logged while a request is answered that request's id. For handlers."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: it adds, and drops nothing."""
        if not hasattr(record, "request_id") and (current := _bound.get(None)) is not None:
            record.request_id = current
        return True


def request_id(scope: Mapping[str, Any]) -> str:
    """The id of this request: the caller's X-Request-ID where it is well formed, else a random one."""
    return str(scope["state"]["request_id"])


class AccessLog:
    """Around the whole application, so that unknown routes and refused methods are logged as well.

    Neither headers nor the query are logged: both may carry what is secret.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state: MutableMapping[str, Any] = scope["state"]
        state["request_id"] = _given_id(scope) or uuid4().hex
        bound = _bound.set(state["request_id"])
        path = scope["path"]  # routing strips its slash
        started, status = time.perf_counter(), 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (HEADER, request_id(scope).encode())]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _bound.reset(bound)
            _log(scope, path, status, time.perf_counter() - started)


def _given_id(scope: Scope) -> str | None:
    given = next((value for name, value in scope["headers"] if name == HEADER), b"")
    return given.decode() if _WELL_FORMED.fullmatch(given) else None


def _log(scope: Scope, path: str, status: int, seconds: float) -> None:
    fields: dict[str, Any] = {
        "request_id": request_id(scope),
        "method": scope.get("method", ""),
        "path": path,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
    }
    # Only ids: a record has a `filename` and a `name` of its own, and logging refuses a second one.
    fields.update((name, value) for name, value in scope.get("path_params", {}).items() if name.endswith("_id"))
    principal = scope.get("user")
    if principal is not None:
        fields["account_id"] = principal.account_id
    log.info("request", extra=fields)
