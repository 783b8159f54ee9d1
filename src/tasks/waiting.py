"""Runs that wait without a worker: for a model provider, which gives a time to go on at, or for somebody's approval."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from service.approvals import pausing
from service.database import Connection, Database, transaction_on
from service.executions import runtime
from service.executions.runtime import Claim, Ended
from service.executions.waits import count_waits
from tasks.llm.models import Models
from tasks.llm.protocol import Answer, LanguageModel, ModelError, ProviderAway, Relaying, Request, slot
from tasks.outage import outlast

FIRST_WAIT_SECONDS = 30.0
LONGEST_OWN_WAIT_SECONDS = 600.0
LONGEST_WAIT_SECONDS = 3600.0
"""A provider that asks for more, such as until its quota is renewed tomorrow, ends the run."""


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a run may still wait: `waits` it has behind it, `most` it may have, seconds that it has left."""

    waits: int
    most: int
    seconds_left: float | None = None

    def wait_for(self, error: ModelError) -> float | None:
        """Seconds until it is worth to go on; None if the run should end with this error instead."""
        if not (error.is_away and error.retryable) or self.waits >= self.most:
            return None
        grown = min(FIRST_WAIT_SECONDS * 2.0**self.waits, LONGEST_OWN_WAIT_SECONDS)
        # The runs of one provider should not all come back in the same second.
        seconds = max(grown, error.retry_after_seconds or 0) * random.uniform(1.0, 1.2)  # noqa: S311 - no secret
        if seconds > LONGEST_WAIT_SECONDS * 1.2 or (self.seconds_left is not None and seconds >= self.seconds_left):
            return None
        return seconds


class PatientModel:
    """A model that raises ProviderAway where waiting may help, in place of the error that would end the run."""

    def __init__(self, model: LanguageModel, patience: Patience) -> None:
        self.name = model.name
        self.profile = model.profile
        self._model = model
        self._patience = patience

    def slot(self) -> AbstractAsyncContextManager[None]:
        """The model's own."""
        return slot(self._model)

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """One answer. Raises ModelError, which ends the run, or its kind ProviderAway, which does not."""
        try:
            return await self._model.ask(request, options)
        except ModelError as error:
            seconds = self._patience.wait_for(error)
            if seconds is None:
                raise
            raise ProviderAway(error, resume_in_seconds=seconds) from error

    def named(self, name: str) -> LanguageModel:
        """The model that answered in place of this one."""
        return self._model.named(name) if isinstance(self._model, Relaying) else self._model

    async def close(self) -> None:
        """The model belongs to the worker."""


@dataclass(frozen=True)
class PatientModels:
    """The worker's models for one run, by name."""

    models: Models
    patience: Patience

    async def get(self, name: str) -> LanguageModel:
        """The model of that name. Raises ModelError where it cannot be opened, which no waiting mends."""
        return PatientModel(await self.models.get(name), self.patience)


async def patience_of(database: Database, claim: Claim, *, most: int, seconds_left: float | None = None) -> Patience:
    """How long this run may still wait; it has waited as often as its events say."""

    async def count(connection: Connection) -> int:
        return await count_waits(connection, claim.execution_id)

    return Patience(waits=await outlast(database, count), most=most, seconds_left=seconds_left)


async def give_up_slot(database: Database, claim: Claim, away: ProviderAway) -> bool:
    """Give the execution back until the provider may be there again. False: it was not ours any more."""

    async def release(connection: Connection) -> bool:
        return await runtime.release(connection, claim, resume_in_seconds=away.resume_in_seconds)

    return await outlast(database, release)


async def pause(database: Database, claim: Claim) -> Ended:
    """Give the execution back until its open approvals are decided. Not recorded: it was not ours any more."""

    async def give_back(connection: Connection) -> Ended:
        async with transaction_on(connection):
            return await pausing.pause(connection, claim)

    return await outlast(database, give_back)
