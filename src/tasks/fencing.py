"""The fence of what a run writes of its data set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from service.database import Connection, Database
from service.executions import runtime
from service.executions.runtime import Claim
from tasks.journal import LostClaim


@asynccontextmanager
async def fenced(database: Database, claim: Claim, *, party: int) -> AsyncIterator[Connection]:
    """A transaction that commits only where the claim stands at its end. Raises LostClaim otherwise.

    The claim is held last: the block may wait for rows that somebody has locked, and what is asked of the execution
    meanwhile, such as its cancel, must not wait with it.
    """
    async with database.transaction(party=party) as connection:
        yield connection
        if not await runtime.hold(connection, claim):
            raise LostClaim
