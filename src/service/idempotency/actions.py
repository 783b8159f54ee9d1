"""The rules of Idempotency-Key: the key commits with the work, and a repeat gets the first answer byte for byte.

Only a request that was carried out is remembered: one that was refused may be mended and sent under the same key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from psycopg.errors import LockNotAvailable

from service.database import Connection, Database
from service.errors import Conflict, FieldError, InvalidInput, KeyReused, Unavailable
from service.idempotency import store

HEADER = "Idempotency-Key"
REPEATED = "Idempotent-Replayed"
LONGEST = 255
ATTEMPTS = 3
"""Times that one request is tried: after an outage the pool may still hand out connections that are dead."""


@dataclass(frozen=True)
class Answer:
    """What a request is answered: JSON bytes, and where to find what it made; and the executions that it started.

    `headers` are not kept for a repeat.
    """

    status: int
    body: bytes
    location: str | None = None
    execution_ids: tuple[int, ...] = ()
    is_repeated: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Once:
    """One request of one account under a key of its own. `digest` tells it from other requests under that key."""

    account_id: int
    key: str
    digest: bytes


def read_key(header: str | None) -> str | None:
    """The key that a request names; None without one. Quotes around it, as structured fields have them, are no part.

    Raises InvalidInput for one that is empty, too long or not of visible ASCII characters.
    """
    if header is None:
        return None
    key = header.strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not (0 < len(key) <= LONGEST and key.isascii() and key.isprintable()):
        raise InvalidInput([FieldError(HEADER, f"must be 1 to {LONGEST} visible ASCII characters")])
    return key


def digest_of(*parts: object) -> bytes:
    """What tells one request from another: their JSON values, whatever the order of their members."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=repr)
    return hashlib.sha256(text.encode()).digest()


async def answered(database: Database, once: Once) -> Answer | None:
    """What this request was answered before; None if it was not carried out yet. Raises KeyReused for another one's."""
    async with database.connection() as connection:
        return await _find(connection, once)


Work: TypeAlias = Callable[[Connection], Awaitable[Answer]]
"""What is done in one transaction with its key; it must not begin another."""


async def carry_out(database: Database, once: Once, work: Work, *, answer_seconds: float | None = None) -> Answer:
    """Do the work in one transaction with its key, unless it was done: then the answer that it got.

    Raises KeyReused for a key of another request, Conflict if the first one does not end in time, and whatever the
    work raises, with nothing kept. A commit whose reply was lost is looked up before the work is done again.
    """
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            return await _attempt(database, once, work, answer_seconds)
        except Unavailable:
            if not attempts_left:
                raise
    raise Unavailable


async def _attempt(database: Database, once: Once, work: Work, answer_seconds: float | None) -> Answer:
    async with database.transaction(answer_seconds=answer_seconds, party=once.account_id) as connection:
        if not await _take(connection, once):
            found = await _find(connection, once)
            if found is None:  # forgotten in this very moment
                raise Unavailable
            return found
        answer = await work(connection)
        await store.answer(
            connection,
            once.account_id,
            once.key,
            status=answer.status,
            location=answer.location,
            body=answer.body,
            execution_ids=answer.execution_ids,
        )
        return answer


async def _take(connection: Connection, once: Once) -> bool:
    try:
        return await store.take(connection, once.account_id, once.key, once.digest)
    except LockNotAvailable as error:
        detail = f"The first request with this {HEADER} is still under way; try again."
        raise Conflict(detail, headers={"Retry-After": "1"}) from error


async def _find(connection: Connection, once: Once) -> Answer | None:
    row = await store.find(connection, once.account_id, once.key)
    if row is None:
        return None
    if bytes(row["digest"]) != once.digest:
        raise KeyReused
    return Answer(row["status"], bytes(row["body"]), row["location"], is_repeated=True)
