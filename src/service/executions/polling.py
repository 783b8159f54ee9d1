"""How an execution is answered to whoever polls it: when to come back, whether anything changed, what was waited."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from litestar import Response
from litestar.status_codes import HTTP_304_NOT_MODIFIED

from service.database import Row
from service.executions import models
from service.executions.lifecycle import Status
from service.wire import names_tag

LONGEST_PAUSE_SECONDS = 10


class Accepted(msgspec.Struct):
    """What is read of the answer to a start: the input is kept as the schema orders it."""

    id: int
    status: str
    input: msgspec.Raw
    started_at: datetime


def accepted(body: bytes) -> Accepted:
    """The execution that the answer to a start shows."""
    return msgspec.json.decode(body, type=Accepted)


def polled(row: Row, *, if_none_match: str | None, waited: int | None) -> Response[models.Execution]:
    """The execution; or 304, if that is what the client has. The tag is of the whole answer, so no change is missed."""
    shown = models.execution(row)
    tag = f'"{sha256(msgspec.json.encode(shown)).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Prefer"} | pace(row) | applied(waited)
    if names_tag(if_none_match, tag):
        return Response(None, status_code=HTTP_304_NOT_MODIFIED, headers=headers)  # type: ignore[arg-type]
    return Response(shown, headers=headers)


def pace(row: Row) -> dict[str, str]:
    """When to look again at one that has not ended: after a second, later the longer it takes."""
    if Status(row["status"]).is_final:
        return {}
    age = (datetime.now(UTC) - row["started_at"]).total_seconds()
    return {"Retry-After": str(min(LONGEST_PAUSE_SECONDS, 1 + max(0, int(age)) // 30))}


def pace_of(body: bytes) -> dict[str, str]:
    """The same of the execution that the answer to a start shows."""
    shown = accepted(body)
    return pace({"status": shown.status, "started_at": shown.started_at})


def applied(waited: int | None) -> dict[str, str]:
    """What is said of a wait that was asked for."""
    return {} if waited is None else {"Preference-Applied": f"wait={waited}"}
