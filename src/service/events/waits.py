"""`Prefer: wait=N` (RFC 7240): an answer that is held back until an execution has ended."""

from __future__ import annotations

import asyncio
import re
import time

from service.accounts.gate import AccountRequest
from service.database import Database
from service.errors import NotFound
from service.events import store
from service.events.hub import EXECUTION, Hub
from service.events.stream import until_gone

LONGEST_SECONDS = 60
_PREFERENCES = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+')
"""What commas separate, but for those in quotes."""


def seconds_asked(request: AccountRequest) -> int | None:
    """How long the client would wait, at most a minute. None without the preference, or with one that says nothing:
    by its definition that is ignored. Several headers are one list, in which the first `wait` counts."""
    for part in _PREFERENCES.findall(",".join(request.headers.getall("prefer", []))):
        name, _, value = part.partition(";")[0].partition("=")
        text = value.strip().strip('"')
        if name.strip().lower() == "wait":
            return min(int(text), LONGEST_SECONDS) if text.isascii() and text.isdigit() and len(text) < 10 else None
    return None


async def until_final(
    request: AccountRequest, database: Database, hub: Hub, execution_id: int, *, seconds: float
) -> None:
    """Return when the execution has ended, so many seconds have passed, the client has left or the process stops.

    No connection to the database is held meanwhile. Raises NotFound if it is absent or another account's.
    """
    ends_at = time.monotonic() + seconds
    account_id = None if request.user.is_admin else request.user.account_id
    async with database.connection() as connection:
        standing = await store.standing_of_execution(connection, account_id, execution_id)
    if standing is None:
        raise NotFound
    if standing.is_final:
        return
    with hub.watch(EXECUTION, execution_id, head=standing.last) as watch:
        gone = asyncio.ensure_future(until_gone(request.receive, watch))
        try:
            while not (watch.is_over or watch.topic.is_final) and (left := ends_at - time.monotonic()) > 0:
                await watch.wait(left)
        finally:
            gone.cancel()
