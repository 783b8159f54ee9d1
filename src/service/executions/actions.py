"""The rules of starting and reading executions. Everything about a start is judged before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar
from uuid import uuid4

import msgspec
from psycopg.errors import ForeignKeyViolation, LockNotAvailable, UniqueViolation

from service.accounts.access import Principal
from service.agents.store import visible_agent
from service.bodies import decode_body, parse_json
from service.database import Connection, Database, Row
from service.definitions.definition import AnyDefinition
from service.definitions.limits import Limits, lowered
from service.definitions.registry import Registry
from service.definitions.schema import decode
from service.errors import BadRequest, Conflict, FieldError, InvalidInput, NotFound, Unavailable
from service.executions import ending, models, store
from service.executions.lifecycle import Status
from service.executions.models import Labels
from service.executions.schedule import Schedule, read_schedule
from service.files import actions as files
from service.files.limits import FileLimits
from service.files.multipart import SpooledUpload
from service.idempotency.actions import Answer, Once, answered, carry_out, digest_of
from service.limits import actions as limits_of_accounts
from service.limits.admission import standing_of
from service.queue import Notifier
from service.retention import store as retention
from service.webhooks.callbacks import Callbacks

T = TypeVar("T")

ATTEMPTS = 3
"""Times that one acceptance is tried: after an outage the pool may still hand out connections that are dead."""

ENCODED = ("input", "limits", "metadata")
"""What may be sent as an object or as the JSON text of one."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a client asks for. Without an execution_key the agent's only definition is meant; a text is JSON-encoded.

    `limits` are those that it wants lower than the definition's; `external_id` and `metadata` are its own words;
    `deadline`, `start_after` and `priority` are as `read_schedule` takes them; `webhook_url` is told how it ends.
    """

    execution_key: str | None
    input: object
    limits: object = "{}"
    external_id: object = None
    metadata: object = "{}"
    deadline: object = None
    start_after: object = None
    priority: object = None
    webhook_url: object = None
    files: Sequence[SpooledUpload] = ()

    @property
    def identity(self) -> dict[str, object]:
        """What tells this request from another, as JSON values; an object that is JSON-encoded is the same object."""
        asked = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "files"}
        asked |= {name: _plain(asked[name]) for name in ENCODED}
        return {**asked, "files": [[file.filename, file.sha256.hex()] for file in self.files]}


async def find_agent(database: Database, principal: Principal, agent_id: int) -> Row:
    """The agent. Raises NotFound if it is absent or not this account's to see."""
    async with database.connection() as connection:
        agent = await visible_agent(connection, principal, agent_id)
    if agent is None:
        raise NotFound
    return agent


async def offered(database: Database, registry: Registry, agent_type: str) -> list[AnyDefinition]:
    """What agents of this type offer: of each key the highest version that a live worker has, else that we have."""
    candidates = [_versions(registry, definition) for definition in registry.of_agent_type(agent_type)]
    if all(len(versions) == 1 for versions in candidates):
        return [versions[0] for versions in candidates]
    async with database.connection() as connection:
        live = await store.live_offers(connection)
    return [
        next((version for version in versions if version.reference in live), versions[0]) for versions in candidates
    ]


async def start(
    database: Database,
    notifier: Notifier,
    registry: Registry,
    *,
    principal: Principal,
    agent: Row,
    asked: Start,
    limits: FileLimits,
    callbacks: Callbacks,
    key: str | None = None,
) -> Answer:
    """Judge the request, keep its files, accept it. The execution is committed when this returns.

    With an idempotency `key` it is accepted once, and answered the same each time. Raises InvalidInput or BadRequest
    with nothing written; Conflict for an external id that is taken; Unavailable if the database cannot say that the
    execution was kept.
    """
    once = None
    if key is not None:
        once = Once(principal.account_id, key, digest_of("start", agent["id"], asked.identity))
        if earlier := await answered(database, once):
            return earlier
    offers = await offered(database, registry, agent["agent_type"])
    prepared = judge(registry, offers, principal=principal, agent=agent, asked=asked, callbacks=callbacks)
    identified = await files.identify_all(asked.files, limits)
    if asked.files:
        await limits_of_accounts.require_room(database, principal.account_id)
    new = replace(prepared, files=await files.keep(database, asked.files, identified))
    answer = await (accept(database, new) if once is None else accept_once(database, once, new))
    notifier.ticket_added()
    return answer


def judge(
    registry: Registry,
    offers: Sequence[AnyDefinition],
    *,
    principal: Principal,
    agent: Row,
    asked: Start,
    callbacks: Callbacks,
) -> store.NewExecution:
    """What is to be written, but for its files. Raises InvalidInput naming everything that is wrong."""
    definition = choose(asked.execution_key, offers, registry)
    judged = _judge(definition, asked, callbacks)
    if asked.files and not (agent["file_upload"] and definition.accepts_files):
        raise InvalidInput([FieldError("files", "are not taken by this agent: file upload is disabled")])
    return store.NewExecution(
        account_id=principal.account_id,
        agent_id=agent["id"],
        data_set_id=agent["data_set_id"],
        celery_task_id=uuid4(),
        definition_key=definition.key,
        definition_version=definition.version,
        input=msgspec.json.encode(judged.input).decode(),
        limits=msgspec.json.encode(judged.limits).decode(),
        external_id=judged.labels.external_id,
        metadata=msgspec.json.encode(judged.labels.metadata).decode(),
        schedule=judged.schedule,
        webhook_url=judged.webhook_url,
    )


def choose(key: str | None, offers: Sequence[AnyDefinition], registry: Registry) -> AnyDefinition:
    """The definition of that key, or the only one there is. Raises InvalidInput naming the choices."""
    if key is None and len(offers) == 1:
        return offers[0]
    choices = f"this agent offers {', '.join(repr(offer.key) for offer in offers) or 'nothing'}"
    if key is None:
        raise InvalidInput([FieldError("execution_key", f"is required; {choices}")])
    for offer in offers:
        if offer.key == key:
            return offer
    problem = "is unknown" if registry.latest(key) is None else "belongs to another agent type"
    raise InvalidInput([FieldError("execution_key", f"{key[:100]!r} {problem}; {choices}")])


async def accept(database: Database, new: store.NewExecution) -> Answer:
    """Commit the execution. If the reply to the commit is lost, find out whether it is there before trying again.

    Raises Unavailable only if the database cannot be asked any more.
    """
    was_sent = False
    for attempts_left in reversed(range(ATTEMPTS)):
        try:
            async with database.connection() as connection:
                if was_sent and (row := await store.get_by_task_id(connection, new.account_id, new.celery_task_id)):
                    return _answer(row, new)
                was_sent = True
                return await _accept(connection, new)
        except UniqueViolation:
            continue  # the commit whose reply was lost was still under way when we looked
        except Conflict:  # perhaps with that same commit
            if attempts_left in (ATTEMPTS - 1, 0):
                raise
        except Unavailable:
            if not was_sent or not attempts_left:
                raise
    raise Unavailable


async def accept_once(database: Database, once: Once, new: store.NewExecution) -> Answer:
    """The same in one transaction with the key of the request, unless it was accepted before."""
    return await carry_out(database, once, partial(_accept, new=new))


async def _accept(connection: Connection, new: store.NewExecution) -> Answer:
    try:
        row = await store.accept(connection, new)
    except ForeignKeyViolation as error:
        raise Unavailable("The uploaded files were given up before the request was complete; try again.") from error
    except UniqueViolation as error:
        if error.diag.constraint_name == store.EXTERNAL_ID_KEY:
            raise taken(new.external_id) from error
        raise
    except LockNotAvailable as error:
        raise Unavailable(limits_of_accounts.BUSY) from error
    standing = standing_of(row["standing"])
    if row["id"] is None:
        assert standing is not None
        raise standing.refusal()
    return replace(_answer(row, new), headers={} if standing is None else standing.after(1).headers())


def taken(external_id: str | None) -> Conflict:
    """What a start is answered whose external id another execution of the account has."""
    return Conflict(f"external_id {external_id!r} is that of another execution; list them by external_id.")


def _answer(row: Row, new: store.NewExecution) -> Answer:
    """The 202. `input` is in the schema's order; jsonb has its own, which later answers show."""
    body = msgspec.json.encode(models.execution({**row, "input": new.input}))
    location = f"/api/agentic-executions/{row['id']}/"
    return Answer(status=202, body=body, location=location, execution_ids=(row["id"],))


async def get(database: Database, principal: Principal, execution_id: int) -> Row:
    """The execution with its files. Raises NotFound if it is absent or another account's."""
    async with database.connection() as connection:
        row = await store.get(connection, None if principal.is_admin else principal.account_id, execution_id)
    if row is None:
        raise NotFound
    return row


async def cancel(database: Database, notifier: Notifier, principal: Principal, execution_id: int) -> Row:
    """The execution after it was asked to end: final at once where no worker had it, and unchanged where it was final.

    Raises NotFound if it is absent or another account's. Safe to repeat.
    """
    account_id = None if principal.is_admin else principal.account_id
    async with database.transaction() as connection:
        await ending.ask_to_cancel(connection, account_id, execution_id)
        row = await store.get(connection, account_id, execution_id)
    if row is None:
        raise NotFound
    if Status(row["status"]).is_final:
        notifier.events_added()
    else:
        notifier.cancel_asked()
    return row


async def erase(database: Database, principal: Principal, execution_id: int) -> None:
    """Delete the execution with all that is its own. Raises NotFound, and Conflict before its outcome."""
    row = await get(database, principal, execution_id)
    if row["finished_at"] is None:
        raise Conflict("Only an execution that has ended can be deleted; cancel it first.")
    async with database.transaction() as connection:
        if not await retention.delete(connection, [execution_id], waits=True):
            raise NotFound  # somebody else has deleted it meanwhile


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What of a start was found good."""

    input: Any
    limits: Limits
    labels: Labels
    schedule: Schedule
    webhook_url: str | None


def _judge(definition: AnyDefinition, asked: Start, callbacks: Callbacks) -> Judged:
    """Raises InvalidInput naming everything that is wrong, with whichever part."""
    errors: list[FieldError] = []

    def part(read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except InvalidInput as error:
            errors.extend(error.errors)
            return otherwise

    def labels() -> Labels:
        named = {"external_id": asked.external_id, "metadata": _object(asked.metadata, "metadata")}
        return decode_body(named, Labels)

    when = {"deadline": asked.deadline, "start_after": asked.start_after, "priority": asked.priority}
    judged = Judged(
        input=part(lambda: decode(definition.input, _object(asked.input, "input"), root="input"), None),
        limits=part(lambda: lowered(definition.limits, _object(asked.limits, "limits")), definition.limits),
        labels=part(labels, Labels()),
        schedule=part(lambda: read_schedule(when), Schedule()),
        webhook_url=part(lambda: callbacks.read(asked.webhook_url), None),
    )
    if errors:
        raise InvalidInput(errors)
    return judged


def _plain(value: object) -> object:
    """A JSON-encoded text as what it holds, anything else as it is."""
    try:
        return parse_json(value) if isinstance(value, str) else value
    except BadRequest:
        return value


def _object(given: object, name: str) -> dict[str, Any]:
    """A field's object: itself, or what a JSON-encoded string holds."""
    try:
        value = parse_json(given) if isinstance(given, str) else given
    except BadRequest as error:
        raise InvalidInput([FieldError(name, error.detail)]) from error
    if not isinstance(value, dict):
        raise InvalidInput([FieldError(name, "must be an object")])
    return value


def _versions(registry: Registry, latest: AnyDefinition) -> list[AnyDefinition]:
    """Every version of a key for the same agent type, highest first."""
    same = [each for each in registry if each.key == latest.key and each.agent_type == latest.agent_type]
    return sorted(same, key=attrgetter("version"), reverse=True)
