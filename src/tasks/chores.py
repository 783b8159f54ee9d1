"""The small loops of a worker beside its runs. Each waits out an outage and goes on."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import psycopg

from service.errors import Unavailable
from service.events.numbering import PAUSE_SECONDS, number_and_tell
from service.executions import runtime
from service.executions.runtime import Claim
from service.files import store as files
from service.idempotency import store as idempotency
from service.limits import store as limits
from service.webhooks import delivery_store
from service.workers import store as workers

if TYPE_CHECKING:
    from tasks.lifetime import Lifetime

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 1.0
CANCEL_POLL_SECONDS = 0.5
NUMBERING_POLL_SECONDS = 1.0
BLOBS_SECONDS = 60.0
FORGET_SECONDS = 5.0
PERIODS_SECONDS = 60.0
FORGOTTEN_AT_ONCE = 1000
FAILURES = (Unavailable, psycopg.Error)  # none of these loops may end


async def reconcile(lifetime: Lifetime) -> None:
    """Give back what the database believes this worker to hold and it does not know of: the reply to a claim or a
    fetch was lost. Stop what it runs and does not hold any more: others ended it. At the second look, because the
    first may fall between a commit and its reply."""
    unknown_claims: set[Claim] = set()
    lost_claims: set[Claim] = set()
    unknown_jobs: set[int] = set()
    while True:
        await asyncio.sleep(RECONCILE_SECONDS)
        identity = lifetime.identity
        if identity is None:
            continue
        held = set(lifetime.held)
        try:
            async with lifetime.database.connection() as connection:
                known = await runtime.claims_of(connection, identity.worker_id)
                claims, lost = known - lifetime.held.keys(), held - known
                jobs = await workers.jobs_of(connection, identity.queue_worker_id) - lifetime.queue.job_ids()
                for claim in claims & unknown_claims:
                    log.warning("giving back an unknown claim", extra={"execution_id": claim.execution_id})
                    await runtime.release(connection, claim)
                    lifetime.notifier.ticket_added()
                if stale := jobs & unknown_jobs:
                    await workers.delete_jobs_of(connection, identity.queue_worker_id, sorted(stale))
        except FAILURES as error:
            _note(error)
            continue
        for claim in lost & lost_claims & lifetime.held.keys():
            lifetime.held[claim].lose()
        unknown_claims, lost_claims, unknown_jobs = claims, lost, jobs


async def stop_cancelled(lifetime: Lifetime) -> None:
    """Stop the runs of this worker that are to be cancelled: as soon as it hears of one, else at the next look."""
    while True:
        try:
            async with asyncio.timeout(CANCEL_POLL_SECONDS):
                await lifetime.cancel_asked.wait()
        except TimeoutError:
            pass
        lifetime.cancel_asked.clear()
        identity = lifetime.identity
        if identity is None or not lifetime.held:
            continue
        try:
            async with lifetime.database.connection() as connection:
                asked = await runtime.asked_to_cancel(connection, identity.worker_id)
        except FAILURES as error:
            _note(error)
            await asyncio.sleep(CANCEL_POLL_SECONDS)
            continue
        for claim in asked & lifetime.held.keys():
            lifetime.held[claim].cancel()


async def number_events(lifetime: Lifetime) -> None:
    """Number and tell committed events: soon after this worker added one, else once a second."""
    while True:
        try:
            async with asyncio.timeout(NUMBERING_POLL_SECONDS):
                await lifetime.events_added.wait()
        except TimeoutError:
            pass
        lifetime.events_added.clear()
        try:
            if await number_and_tell(lifetime.database):
                lifetime.events_added.set()  # there may be more, or some that committed meanwhile
            lifetime.deliverer.events_numbered()
            await asyncio.sleep(PAUSE_SECONDS)
        except FAILURES as error:
            _note(error)
            await asyncio.sleep(NUMBERING_POLL_SECONDS)


async def sweep_blobs(lifetime: Lifetime, *, every_seconds: float = BLOBS_SECONDS) -> None:
    """Once a minute, delete a page of the uploaded bytes that no execution came to refer to."""
    after_id = 0
    while True:
        await asyncio.sleep(every_seconds)
        try:
            async with lifetime.database.transaction() as connection:
                deleted, after_id = await files.sweep_unreferenced(connection, after_id=after_id)
        except FAILURES as error:
            _note(error)
            continue
        if deleted:
            log.info("unreferenced uploads deleted", extra={"blobs": deleted})


async def forget_keys(lifetime: Lifetime, *, every_seconds: float = FORGET_SECONDS) -> None:
    """Delete the idempotency keys and the deliveries whose time is over, a batch at a time."""
    while True:
        await asyncio.sleep(every_seconds)
        try:
            async with lifetime.database.connection() as connection:
                age = lifetime.settings.idempotency_seconds
                await idempotency.forget(connection, age_seconds=age, limit=FORGOTTEN_AT_ONCE)
                age = lifetime.settings.delivery_seconds
                await delivery_store.forget(connection, age_seconds=age, limit=FORGOTTEN_AT_ONCE)
        except FAILURES as error:
            _note(error)


async def forget_periods(lifetime: Lifetime, *, every_seconds: float = PERIODS_SECONDS) -> None:
    """Delete what accounts spent in minutes and days that are over for long, a batch at a time."""
    while True:
        await asyncio.sleep(every_seconds)
        try:
            async with lifetime.database.connection() as connection:
                for period in limits.KEPT_SECONDS:
                    await limits.forget(connection, period, limit=FORGOTTEN_AT_ONCE)
        except FAILURES as error:
            _note(error)


def _note(error: Exception) -> None:
    """An outage is told by whoever meets it first; anything else is a defect, and comes again at the next look."""
    if not isinstance(error, Unavailable):
        log.error("chore failed", exc_info=error)
