"""The rules of Idempotency-Key: the key commits with the work, and a repeat gets the first answer byte for byte.

Only a request that was carried out is remembered: one that was refused may be mended and sent under the same key. An
answer is settled when it is first given: where the first request waits for the end of what it started, whoever of those
that wait under its key is answered first decides what all are answered.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from psycopg.errors import LockNotAvailable

from service.database import Connection, Database, Row
from service.errors import Conflict, FieldError, InvalidInput, KeyReused, Unavailable
from service.idempotency import store

HEADER = "Idempotency-Key"
REPEATED = "Idempotent-Replayed"
LONGEST = 255
ACCEPTED = 202
ATTEMPTS = 3
"""Times that one request is tried: after an outage the pool may still hand out connections that are dead."""


@dataclass(frozen=True)
class Once:
    """One request of one account under a key of its own. `digest` tells it from other requests under that key; `waits`
    says that it is to be answered at the end of what it starts."""

    account_id: int
    key: str
    digest: bytes
    waits: bool = False


@dataclass(frozen=True)
class Answer:
    """What a request is answered: JSON bytes, and where to find what it made; and the executions that it started.

    `headers` are not kept for a repeat. `unsettled` is the request of a key whose answer nobody was given yet: this one
    is to be given only after `settle`.
    """

    status: int
    body: bytes
    location: str | None = None
    execution_ids: tuple[int, ...] = ()
    is_repeated: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    unsettled: Once | None = None


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
        found = await _find(connection, once)
    return None if found is None else await _given(database, once, found)


async def settle(database: Database, answer: Answer, body: bytes | None = None) -> Answer:
    """What an unsettled answer's key is answered for good: this body, or the stored one, unless it was settled before.

    Whatever comes of the execution meanwhile, no two requests are given different bytes.
    """
    once = answer.unsettled
    assert once is not None
    async with database.connection(party=once.account_id) as connection:
        row = await store.settle(connection, once.account_id, once.key, once.digest, body)
        row = row or await store.find(connection, once.account_id, once.key)
    if row is None or bytes(row["digest"]) != once.digest:  # the key was forgotten: nobody else is told of this one
        return replace(answer, body=body or answer.body, unsettled=None)
    found = _answer(row)
    return replace(answer, status=found.status, body=found.body, location=found.location, unsettled=None)


Work: TypeAlias = Callable[[Connection], Awaitable[Answer]]
"""What is done in one transaction with its key; it must not begin another."""


async def carry_out(database: Database, once: Once, work: Work, *, answer_seconds: float | None = None) -> Answer:
    """Do the work in one transaction with its key, unless it was done: then the answer that it got.

    Raises KeyReused for a key of another request, Conflict if the first one does not end in time, and whatever the
    work raises, with nothing kept. A commit whose reply was lost is looked up before the work is done again.
    """
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            return await _given(database, once, await _attempt(database, once, work, answer_seconds))
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
            settled=not once.waits,
        )
        return replace(answer, unsettled=once if once.waits else None)


async def _given(database: Database, once: Once, answer: Answer) -> Answer:
    """The answer as it may go out to a request that does not wait; to one that waits it goes out later."""
    return answer if answer.unsettled is None or once.waits else await settle(database, answer)


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
    found = _answer(row)
    return found if row["settled"] or found.status != ACCEPTED else replace(found, unsettled=once)


def _answer(row: Row) -> Answer:
    return Answer(row["status"], bytes(row["body"]), row["location"], is_repeated=True)
