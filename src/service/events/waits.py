"""`Prefer: wait=N` (RFC 7240): an answer that is held back until an execution has ended."""

from __future__ import annotations

import asyncio
import re
import time

from service.accounts.access import Authenticator
from service.accounts.gate import AccountRequest, still_allowed
from service.database import Database
from service.errors import NotFound, Unauthorized
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
    request: AccountRequest,
    database: Database,
    authenticator: Authenticator,
    hub: Hub,
    execution_id: int,
    *,
    seconds: float,
) -> bool:
    """Return when the execution has ended, so many seconds have passed, the client has left or the process stops.
    False: the client has left, and nobody will read an answer.

    No connection to the database is held meanwhile. Raises NotFound if it is absent or another account's, and
    Unauthorized if the token or its account was disabled meanwhile.
    """
    ends_at = time.monotonic() + seconds
    account_id = None if request.user.is_admin else request.user.account_id
    async with database.connection() as connection:
        standing = await store.standing_of_execution(connection, account_id, execution_id)
    if standing is None:
        raise NotFound
    if standing.is_final:
        return True
    with hub.watch(EXECUTION, execution_id, head=standing.last) as watch:
        gone = asyncio.ensure_future(until_gone(request.receive, watch))
        try:
            while not (watch.is_over or watch.topic.is_final) and (left := ends_at - time.monotonic()) > 0:
                await watch.wait(left)
        finally:
            has_left = gone.done()
            gone.cancel()
    if not has_left and not await still_allowed(request, authenticator)():
        raise Unauthorized("Invalid token.")
    return not has_left
