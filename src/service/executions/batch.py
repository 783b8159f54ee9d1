"""Many starts at once: every one is judged first, and those that are valid are accepted in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias
from uuid import UUID

import msgspec
from psycopg.errors import UniqueViolation

from service.accounts.access import Principal
from service.database import Connection, Database, Row
from service.definitions.registry import Registry
from service.errors import Conflict, FieldError, InvalidInput, NotFound, ServiceError, Unavailable
from service.executions import models, store
from service.executions.actions import ATTEMPTS, taken
from service.executions.judging import Start, judge, offered
from service.executions.store import NewExecution
from service.idempotency.actions import Answer, Once, Work, answered, carry_out, digest_of
from service.idempotency.store import bound
from service.limits import actions as limits
from service.queue import Notifier
from service.responses import problem_of
from service.webhooks.callbacks import Callbacks

ANSWER_SECONDS = 60.0
"""How long the transaction of a whole batch may take."""

MOST_ERRORS = 20
"""Errors that are named of one item."""

Judged: TypeAlias = NewExecution | ServiceError
"""A start that may be written, or why it may not."""


@dataclass(frozen=True)
class Asked:
    """Starts as they were read, or why one cannot be; and the body that they came in."""

    starts: Sequence[Start | ServiceError]
    body: models.Batch


def read(start_of: Callable[[object], Start], item: object) -> Start | ServiceError:
    """An item of the body as a start."""
    try:
        return start_of(item)
    except ServiceError as error:
        return error


async def start(
    database: Database,
    notifier: Notifier,
    registry: Registry,
    *,
    principal: Principal,
    agent_id: int,
    agent: Row | None,
    asked: Asked,
    callbacks: Callbacks,
    key: str | None,
) -> Answer:
    """Accept what is valid, all in one commit. Raises InvalidInput or Conflict for an atomic batch that has a fault,
    NotFound where the agent is absent and this was not answered before."""
    once = None
    if key is not None:
        once = Once(principal.account_id, key, digest_of("batch", agent_id, msgspec.to_builtins(asked.body)))
        if earlier := await answered(database, once):
            return earlier
    if agent is None:
        raise NotFound
    offers = await offered(database, registry, agent["agent_type"])

    def judged(start: Start | ServiceError) -> Judged:
        if isinstance(start, ServiceError):
            return start
        try:
            return judge(registry, offers, principal=principal, agent=agent, asked=start, callbacks=callbacks)
        except ServiceError as error:
            return error

    items = [judged(each) for each in asked.starts]
    if asked.body.atomic:
        _refuse_any(items)
    work = partial(_accept, items=items, is_atomic=asked.body.atomic)
    commit = partial(_commit, database, principal.account_id, work, items)
    answer = await (commit() if once is None else _commit_once(database, once, work))
    notifier.ticket_added()
    return answer


async def _commit(database: Database, account_id: int, work: Work, items: Sequence[Judged]) -> Answer:
    """Commit without a key. A commit whose reply was lost is looked up before the work is done again."""
    news = [item for item in items if not isinstance(item, ServiceError)]
    was_sent = False
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            async with database.transaction(answer_seconds=ANSWER_SECONDS, party=account_id) as connection:
                await bound(connection)
                if was_sent and (rows := await store.get_by_task_ids(connection, [new.celery_task_id for new in news])):
                    return _answer(items, {row["celery_task_id"]: row for row in rows})
                was_sent = True
                return await work(connection)
        except UniqueViolation:
            continue  # an external id that was taken in this very moment, or that lost commit, still under way
        except Unavailable:
            if not attempts_left:
                raise
    raise Unavailable


async def _commit_once(database: Database, once: Once, work: Work) -> Answer:
    for _ in range(ATTEMPTS):
        try:
            return await carry_out(database, once, work, answer_seconds=ANSWER_SECONDS)
        except UniqueViolation:
            continue  # an external id that was taken in this very moment
    raise Unavailable


async def _accept(connection: Connection, items: Sequence[Judged], *, is_atomic: bool) -> Answer:
    """Write what may be written. Raises UniqueViolation where another request takes an external id meanwhile."""
    settled = await _without_taken(connection, items)
    if is_atomic:
        _refuse_conflict(settled)
    settled, headers = await _admitted(connection, settled, is_atomic=is_atomic)
    news = [item for item in settled if not isinstance(item, ServiceError)]
    async with connection.pipeline():
        cursors = [await connection.execute(store.ACCEPT, store.accepting(new, is_admitted=True)) for new in news]
    rows = [await cursor.fetchone() for cursor in cursors]
    await bound(connection)  # a server that has just run a pipeline does not count its silence until the next statement
    return replace(_answer(settled, {row["celery_task_id"]: row for row in rows if row is not None}), headers=headers)


async def _admitted(
    connection: Connection, items: list[Judged], *, is_atomic: bool
) -> tuple[list[Judged], dict[str, str]]:
    """The items, but those refused for which the account's limits leave no room, and the headers that tell of them.

    Raises TooManyRequests where that would be all of them, or where all were to start or none.
    """
    news = [item for item in items if not isinstance(item, ServiceError)]
    if not news:
        return items, {}
    admitted, standing = await limits.admit(connection, news[0].account_id, len(news), is_atomic=is_atomic)
    if standing is None:
        return items, {}
    if admitted == 0:
        raise standing.refusal()
    beyond = {new.celery_task_id for new in news[admitted:]}
    refusal = standing.refusal()

    def settled(item: Judged) -> Judged:
        return item if isinstance(item, ServiceError) or item.celery_task_id not in beyond else refusal

    return [settled(item) for item in items], standing.after(admitted).headers()


async def _without_taken(connection: Connection, items: Sequence[Judged]) -> list[Judged]:
    """The items, but those refused whose external id another execution has, or an item before."""
    named = [item for item in items if not isinstance(item, ServiceError) and item.external_id is not None]
    used = (
        set(await store.external_ids(connection, named[0].account_id, [str(item.external_id) for item in named]))
        if named
        else set()
    )
    settled: list[Judged] = []
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        if isinstance(item, ServiceError) or item.external_id is None:
            settled.append(item)
        elif item.external_id in used:
            settled.append(taken(item.external_id))
        elif (earlier := first.setdefault(item.external_id, index)) != index:
            settled.append(Conflict(f"external_id {item.external_id!r} is that of items[{earlier}] already."))
        else:
            settled.append(item)
    return settled


def _answer(items: Sequence[Judged], rows: Mapping[UUID, Row]) -> Answer:
    """The 202 of a batch, in the order of its items. What has no row by now lost its external id."""
    results = [_result(index, item, rows) for index, item in enumerate(items)]
    accepted = sum(1 for result in results if result.execution is not None)
    started = models.StartedBatch(accepted=accepted, refused=len(results) - accepted, results=results)
    ids = tuple(row["id"] for row in rows.values())
    return Answer(status=202, body=msgspec.json.encode(started), execution_ids=ids)


def _result(index: int, item: Judged, rows: Mapping[UUID, Row]) -> models.BatchItem:
    if not isinstance(item, ServiceError) and item.celery_task_id not in rows:
        item = taken(item.external_id)
    if isinstance(item, ServiceError):
        return models.BatchItem(index=index, status=item.status, error=problem_of(item, most_errors=MOST_ERRORS))
    row = {**rows[item.celery_task_id], "input": item.input}
    return models.BatchItem(index=index, status=202, execution=models.execution(row))


def _refuse_conflict(items: Sequence[Judged]) -> None:
    """Raises Conflict for the first item that has become one."""
    for index, item in enumerate(items):
        if isinstance(item, Conflict):
            raise Conflict(f"items[{index}]: {item.detail}")


def _refuse_any(items: Sequence[Judged]) -> None:
    """Raises InvalidInput naming everything that is wrong with any item."""
    errors: list[FieldError] = []
    for index, item in enumerate(items):
        if isinstance(item, InvalidInput):
            errors += [FieldError(f"items[{index}].{error.field}", error.message) for error in item.errors]
        elif isinstance(item, ServiceError):
            errors.append(FieldError(f"items[{index}]", item.detail))
    if errors:
        raise InvalidInput(errors)
