"""The job: claim whichever execution is next, resume it from its journal, run the loop, record the outcome."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, assert_never

import msgspec
import psycopg

from service.database import Connection
from service.definitions.context import RunContext
from service.definitions.definition import AnyDefinition
from service.definitions.failures import MEANINGS, ExitReason, Failed, FailureCode, Finished, Outcome
from service.definitions.limits import Limits
from service.errors import Unavailable
from service.executions import runtime
from service.executions.runtime import Claim, Ended, LoadedExecution
from tasks import loop
from tasks.approving import AwaitsApproval
from tasks.budget import Budget, TimeLeft
from tasks.conversation import Conversation
from tasks.data_set import CatalogueDataSet
from tasks.database_journal import DatabaseJournal, ToldToStop
from tasks.journal import LostClaim, RunRecord
from tasks.llm.protocol import ModelError, ProviderAway
from tasks.outage import is_refusal, outlast, pauses
from tasks.storable import clean, clean_text
from tasks.waiting import PatientModels, give_up_slot, patience_of, pause

if TYPE_CHECKING:
    from tasks.lifetime import Lifetime

log = logging.getLogger(__name__)

GIVE_BACK_SECONDS = 4.0
"""How long a cancelled run tries to give its execution back; after that the sweep finds it."""


@dataclass
class Held:
    """A run in this process. `is_lost`: the execution is somebody else's, or final; `is_cancelled`: its caller wants it
    no more. Its task is cancelled in both cases, which closes its connection to the model and ends its tools."""

    task: asyncio.Task[object]
    is_lost: bool = False
    is_cancelled: bool = False
    _is_ending: bool = False
    _cancels: int = 0

    def lose(self) -> None:
        """End the run; it writes nothing more."""
        self.is_lost = True
        self._stop()

    def cancel(self) -> None:
        """End the run as cancelled. To be repeated: author code may have swallowed it the first time."""
        self.is_cancelled = True
        self._stop()

    def _stop(self) -> None:
        if not self._is_ending:
            self._cancels += 1
            self.task.cancel()

    def settle(self) -> bool:
        """Take the cancellation back, for what is left to do. False where the task was also cancelled by a stop."""
        self._is_ending = True
        for _ in range(self._cancels):
            self.task.uncancel()
        return self.task.cancelling() == 0


async def run_ticket(lifetime: Lifetime) -> None:
    """One ticket, one run. A ticket that finds nothing startable ends; so does one that comes during a stop."""
    claim = await _claim(lifetime)
    lifetime.queue.ticket_ended(found=claim is not None)
    if claim is None:
        return
    lifetime.events_added.set()
    task = asyncio.current_task()
    assert task is not None
    held = lifetime.held[claim] = Held(task)
    try:
        await _hold(lifetime, claim, held)
    finally:
        del lifetime.held[claim]


async def _claim(lifetime: Lifetime) -> Claim | None:
    async def claim(connection: Connection) -> tuple[Claim | None, bool]:
        identity = await lifetime.registered()
        try:
            return await runtime.claim(connection, identity.worker_id, lifetime.offers)
        except psycopg.errors.ForeignKeyViolation:  # swept in this very moment
            return None, False

    if lifetime.is_stopping:
        return None
    claimed, ticket_added = await outlast(lifetime.database, claim)
    if ticket_added:
        lifetime.notifier.ticket_added()
    return claimed


async def _hold(lifetime: Lifetime, claim: Claim, held: Held) -> None:
    """Run it to its outcome, or to where the claim ends otherwise."""
    about = {"execution_id": claim.execution_id, "epoch": claim.epoch}
    log.info("execution claimed", extra=about)
    try:
        await _work(lifetime, claim, about)
    except asyncio.CancelledError:
        if not (held.is_lost or held.is_cancelled):
            await _give_back(lifetime, claim)
            log.info("execution given back", extra=about)
            raise
        goes_on = held.settle()
        if held.is_lost:
            log.warning("claim lost; its run is stopped", extra=about)
        else:
            await _end_cancelled(lifetime, claim)
            log.info("execution cancelled", extra=about)
        if not goes_on:
            raise


async def _work(lifetime: Lifetime, claim: Claim, about: dict[str, int]) -> None:
    try:
        await _end(lifetime, claim, await _outcome(lifetime, claim))
        log.info("execution ended", extra=about)
    except ProviderAway as away:
        if await give_up_slot(lifetime.database, claim, away):
            lifetime.events_added.set()
        log.warning("model provider away", extra={**about, "resume_in_seconds": round(away.resume_in_seconds)})
    except AwaitsApproval:
        _told(lifetime, await pause(lifetime.database, claim))
        log.info("execution awaits approval", extra=about)
    except ToldToStop:
        await _give_back(lifetime, claim)
        log.info("execution given back", extra=about)
    except LostClaim:
        log.warning("claim lost; nothing more is written", extra=about)


async def _outcome(lifetime: Lifetime, claim: Claim) -> Outcome:
    """The run's end. Any exception becomes runtime_error here and only here."""
    attempt = 0
    while True:
        try:
            return await _run(lifetime, claim, is_untouched=claim.epoch == 1 and attempt == 0)
        except (AwaitsApproval, LostClaim, ProviderAway):
            raise
        except ModelError as error:
            return Failed(
                FailureCode.RUNTIME_ERROR, error.explanation, retryable=error.retryable, reason=ExitReason.PROVIDER
            )
        except Exception as error:
            if not isinstance(error, Unavailable) or is_refusal(error.__cause__):
                log.exception("execution raised", extra={"execution_id": claim.execution_id})
                return _runtime_error(error)
        # The database went away under a tool: what is journalled is kept, the call is repeated under its own key.
        await asyncio.sleep(pauses(attempt))
        attempt += 1


async def _run(lifetime: Lifetime, claim: Claim, *, is_untouched: bool) -> Outcome:
    """The loop from what is journalled: nothing, under an execution's first claim."""

    async def load(connection: Connection) -> LoadedExecution:
        return await runtime.load(connection, claim.execution_id)

    loaded = await outlast(lifetime.database, load)
    definition = lifetime.registry.get(loaded.definition_key, loaded.definition_version)
    if definition is None:
        raise LookupError(f"{loaded.definition_key}@{loaded.definition_version} is not installed here")
    journal = DatabaseJournal(
        lifetime.database, claim, is_stopping=lambda: lifetime.is_stopping, on_written=lifetime.events_added.set
    )
    record = RunRecord() if is_untouched else await journal.load()
    models = await _models(lifetime, claim, loaded, definition)
    name = loaded.agent_model or definition.model or lifetime.settings.model
    profile = lifetime.settings.profiles.by_name.get(name)
    conversation = Conversation(
        definition=definition,
        model=await models.get(name),
        models=models.get,
        others=profile.fallback if profile else (),
        journal=journal,
        context=await _context(lifetime, claim, loaded),
        max_answer_bytes=lifetime.settings.max_answer_bytes,
        budget=_budget(definition, loaded, lifetime.settings.turn_seconds),
    )
    return await loop.run(definition, loaded.input, conversation, record)


async def _models(
    lifetime: Lifetime, claim: Claim, loaded: LoadedExecution, definition: AnyDefinition
) -> PatientModels:
    """The worker's models, of which the run waits for as long as its limits allow."""
    limits = _limits(definition, loaded)
    left = [seconds for seconds in (loaded.seconds_to_deadline,) if seconds is not None]
    if limits.seconds is not None:
        left.append(limits.seconds - loaded.running_seconds)
    most = lifetime.settings.provider_waits
    patience = await patience_of(lifetime.database, claim, most=most, seconds_left=min(left, default=None))
    return PatientModels(lifetime.models, patience)


def _limits(definition: AnyDefinition, loaded: LoadedExecution) -> Limits:
    """Those that were fixed at the start."""
    return msgspec.convert(loaded.limits, Limits) if loaded.limits else definition.limits


def _budget(definition: AnyDefinition, loaded: LoadedExecution, turn_seconds: float) -> Budget:
    """The run's limits, with the time that is left by the database's clock."""
    limits = _limits(definition, loaded)
    seconds = None if limits.seconds is None else limits.seconds - loaded.running_seconds
    left = TimeLeft(seconds=seconds, deadline=loaded.seconds_to_deadline)
    return Budget(limits, turn_seconds=turn_seconds, left=left)


async def _context(lifetime: Lifetime, claim: Claim, loaded: LoadedExecution) -> RunContext:
    return RunContext(
        data_set=CatalogueDataSet(lifetime.database, loaded.data_set_id, loaded.data_set_name, claim),
        files=await lifetime.files.of_conversation(loaded.conversation_id),
        execution_id=claim.execution_id,
        deadline=loaded.deadline,
        web=lifetime.web.of_run(),
        field_schema=loaded.field_schema,
    )


async def _end(lifetime: Lifetime, claim: Claim, outcome: Outcome) -> None:
    """Record the outcome; where the database refuses it, that it was refused."""
    try:
        await _record(lifetime, claim, _storable(outcome))
    except (psycopg.Error, Unavailable) as error:
        log.exception("outcome refused", extra={"execution_id": claim.execution_id})
        await _record(lifetime, claim, _runtime_error(error))


async def _record(lifetime: Lifetime, claim: Claim, outcome: Outcome) -> None:

    async def record(connection: Connection) -> Ended:
        return await runtime.record_outcome(connection, claim, outcome)

    if not _told(lifetime, await outlast(lifetime.database, record)):
        raise LostClaim


async def _end_cancelled(lifetime: Lifetime, claim: Claim) -> None:
    """Unless its outcome was recorded first."""

    async def end(connection: Connection) -> Ended:
        return await runtime.end_cancelled(connection, claim)

    _told(lifetime, await outlast(lifetime.database, end))


def _told(lifetime: Lifetime, ended: Ended) -> bool:
    """Whether it is recorded; then those who wait for events and tickets are told."""
    if ended.is_recorded:
        lifetime.events_added.set()
    if ended.ticket_added:
        lifetime.notifier.ticket_added()
    return ended.is_recorded


async def _give_back(lifetime: Lifetime, claim: Claim) -> None:
    async def release(connection: Connection) -> bool:
        return await runtime.release(connection, claim)

    try:
        async with asyncio.timeout(GIVE_BACK_SECONDS):
            await outlast(lifetime.database, release)
    except TimeoutError:
        log.warning("execution could not be given back", extra={"execution_id": claim.execution_id})
        return
    lifetime.events_added.set()
    lifetime.notifier.ticket_added()


def _runtime_error(error: Exception) -> Failed:
    """The text of an exception may hold anything; its class says enough, the log has the rest."""
    meaning, retryable = MEANINGS[FailureCode.RUNTIME_ERROR]
    explanation = f"{meaning} ({type(error).__name__}). The worker's log has the details."
    return Failed(FailureCode.RUNTIME_ERROR, explanation, retryable=retryable)


def _storable(outcome: Outcome) -> Outcome:
    match outcome:
        case Finished(result=result, cycles=cycles):
            return Finished(clean(msgspec.to_builtins(result)), cycles=cycles)
        case Failed(code=code, explanation=explanation):
            return replace(outcome, code=str(code), explanation=clean_text(explanation))
        case _ as never:
            assert_never(never)
