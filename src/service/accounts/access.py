"""Who is asking: from a token to a Principal. Nothing of HTTP here: the gate reads the header."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass

from service.accounts import store
from service.accounts.tokens import digest_of, is_well_formed
from service.database import Database

CACHE_SECONDS = 5.0
"""How long a token may still work after another process disabled it, replaced it, or changed its account."""

CACHE_SIZE = 10_000


@dataclass(frozen=True)
class Principal:
    """The account that a request acts for."""

    account_id: int
    is_admin: bool


LOCAL_ADMIN = Principal(account_id=0, is_admin=True)
"""Who reaches the database itself may do anything: the command line acts as an admin without an account."""


class Authenticator:
    """Finds the principal of a token. Hits are kept for a few seconds, misses never; equal look-ups share one query."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._looking: dict[bytes, asyncio.Task[Principal | None]] = {}

    async def principal(self, token: str) -> Principal | None:
        """None for a token that is wrong, expired, or whose account is disabled. Raises Unavailable in an outage."""
        if not is_well_formed(token):
            return None
        digest = digest_of(token)
        known = self._known.get(digest)
        if known is not None and known[0] > time.monotonic():
            return known[1]
        looking = self._looking.get(digest)
        if looking is None:
            looking = self._looking[digest] = asyncio.ensure_future(self._look_up(digest))
            looking.add_done_callback(lambda task: self._looked(digest, task))
        return await asyncio.shield(looking)

    def forget(self) -> None:
        """Forget all tokens: call after a change to tokens or accounts is committed, so that it holds here at once."""
        self._known.clear()
        self._looking.clear()

    async def _look_up(self, digest: bytes) -> Principal | None:
        async with self._database.connection() as connection:
            row = await store.account_of_digest(connection, digest)
        if row is None:
            return None
        principal = Principal(account_id=row["id"], is_admin=row["is_admin"])
        if self._looking.get(digest) is asyncio.current_task():  # otherwise told to forget while the query ran
            self._keep(digest, principal, row["seconds_left"])
        return principal

    def _keep(self, digest: bytes, principal: Principal, seconds_left: float | None) -> None:
        seconds = CACHE_SECONDS if seconds_left is None else min(CACHE_SECONDS, seconds_left)
        self._known[digest] = (time.monotonic() + seconds, principal)
        self._known.move_to_end(digest)
        if len(self._known) > CACHE_SIZE:
            self._known.popitem(last=False)

    def _looked(self, digest: bytes, task: asyncio.Task[Principal | None]) -> None:
        if self._looking.get(digest) is task:
            del self._looking[digest]
        if not task.cancelled():
            task.exception()  # told by whoever waits; nobody may be left
