"""Answers to starts: at once, or held back until what was started has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Response

from service.accounts.access import Authenticator
from service.accounts.gate import AccountRequest
from service.database import Database
from service.errors import BadRequest, KeyReused, NotFound, PayloadTooLarge, Unavailable, UnsupportedMediaType
from service.events.hub import Hub
from service.events.waits import seconds_asked, until_final
from service.executions import actions, models, polling
from service.idempotency.actions import ACCEPTED, REPEATED, Answer, settle

JSON = "application/json"


def respond(answer: Answer, *, waited: int | None = None) -> Response[Any]:
    """An answer that is JSON already; one that is a repeat says so, and one that shows an execution when to look."""
    headers = {**answer.headers}
    if answer.location:
        headers |= {"Location": answer.location, **polling.pace_of(answer.body), **polling.applied(waited)}
    headers |= {REPEATED: "true"} if answer.is_repeated else {}
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=JSON)


@contextmanager
def only_repeats(is_absent: bool, key: str | None) -> Iterator[None]:
    """Around a start whose agent, or source, may be absent by now: a repeat gets its first answer, all else is 404.

    Whatever is wrong with the request itself, nothing more is told. Raises NotFound.
    """
    if is_absent and key is None:
        raise NotFound
    try:
        yield
    except (BadRequest, KeyReused, PayloadTooLarge, UnsupportedMediaType) as error:
        if is_absent:
            raise NotFound from error
        raise


async def respond_at_end(
    request: AccountRequest, database: Database, authenticator: Authenticator, hub: Hub, answer: Answer
) -> Response[Any]:
    """The same, at the end of the wait that was asked for, with the execution as it is then.

    What a key was answered before is answered again at once. Raises Unavailable where the database is away when a
    request with a key is to be answered: an acceptance that is not settled may not go out.
    """
    seconds = seconds_asked(request)
    is_given = answer.is_repeated and answer.unsettled is None
    if seconds is None or is_given or answer.status != ACCEPTED:
        return respond(answer)
    accepted = polling.accepted(answer.body)
    try:
        is_read = await until_final(request, database, authenticator, hub, accepted.id, seconds=seconds)
        row = await actions.get(database, request.user, accepted.id)
    except (NotFound, Unavailable) as error:  # it is accepted, whatever became of it, or of the database, since
        if answer.unsettled is None:
            return respond(answer)
        if isinstance(error, Unavailable):
            raise
        return respond(await settle(database, answer), waited=seconds)
    if not is_read:
        return respond(answer)
    body = msgspec.json.encode(models.execution({**row, "input": bytes(accepted.input)}))
    if answer.unsettled is None:
        return respond(replace(answer, body=body), waited=seconds)
    return respond(await settle(database, answer, body), waited=seconds)
