"""What a client asks for, judged by the definition that it names: everything that is wrong, before anything is written.

The worker judges too, when a schedule's slot comes; so nothing here loads a web framework.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

import msgspec

from service.accounts.access import Principal
from service.bodies import decode_body, parse_json
from service.database import Database, Row
from service.definitions.definition import AnyDefinition
from service.definitions.limits import Limits, lowered
from service.definitions.registry import Registry
from service.definitions.schema import decode
from service.errors import BadRequest, FieldError, InvalidInput
from service.executions import store
from service.executions.models import Labels
from service.executions.timing import Timing, read_timing
from service.webhooks.callbacks import Callbacks

if TYPE_CHECKING:
    from service.files.multipart import SpooledUpload

T = TypeVar("T")

ENCODED = ("input", "limits", "metadata")
"""What may be sent as an object or as the JSON text of one."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """What a client asks for. Without an execution_key the agent's only definition is meant; a text is JSON-encoded.

    `limits` are those that it wants lower than the definition's; `external_id` and `metadata` are its own words;
    `deadline`, `start_after` and `priority` are as `read_timing` takes them; `webhook_url` is told how it ends.
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
        timing=judged.timing,
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


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What of a start was found good."""

    input: Any
    limits: Limits
    labels: Labels
    timing: Timing
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
        timing=part(lambda: read_timing(when), Timing()),
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
