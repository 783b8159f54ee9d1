"""Letting all validators speak on a proposal: plain functions in a thread, those in a row in one go, others here.

A hop to a thread and back costs about as much as a small validator; one for each was a fifth of a cycle.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import time
from collections.abc import Awaitable, Sequence
from typing import Any, TypeAlias

from service.definitions.definition import AnyDefinition, Proposal, Validator
from service.definitions.verdicts import Accept, Spoken, Verdict
from service.errors import Unavailable
from tasks.journal import LostClaim
from tasks.judging import OUTPUT, ValidatorBroke, checked

log = logging.getLogger(__name__)

VALIDATOR_SECONDS = 60.0
"""How long one validator may take."""

Said: TypeAlias = Verdict | Awaitable[Verdict]


async def speak(definition: AnyDefinition, proposal: Proposal[Any, Any]) -> list[Spoken]:
    """The verdicts of all validators, cheap before expensive. Raises ValidatorBroke naming the first that cannot."""
    spoken = [Spoken(OUTPUT, Accept())]
    for is_async, row in itertools.groupby(definition.speaking_order, key=_is_async):
        validators = list(row)
        in_thread = None if is_async else await _Row(definition, validators, proposal).speak()
        for position, validator in enumerate(validators):
            said = validator.function(proposal) if in_thread is None else in_thread[position]
            spoken.append(Spoken(validator.name, await _awaited(definition, validator, said)))
    return spoken


def _is_async(validator: Validator[Any, Any]) -> bool:
    return inspect.iscoroutinefunction(validator.function)


async def _awaited(definition: AnyDefinition, validator: Validator[Any, Any], said: Said) -> Verdict:
    """The verdict, also of a plain function that gave something to await."""
    if not inspect.isawaitable(said):
        return said
    name = _name(definition, validator)
    try:
        async with asyncio.timeout(VALIDATOR_SECONDS) as time_limit:
            verdict = await said
        return checked(name, definition, verdict)
    except (ValidatorBroke, LostClaim, Unavailable):
        raise
    except Exception as error:
        raise (_too_slow(name) if time_limit.expired() else _broken(name, error)) from error


class _Row:
    """Validators that follow each other, speaking in one thread. Each has its own time.

    Nobody can end a thread: one that is given up on goes on, but no validator after it begins.
    """

    def __init__(
        self, definition: AnyDefinition, validators: Sequence[Validator[Any, Any]], proposal: Proposal[Any, Any]
    ) -> None:
        self._definition = definition
        self._validators = validators
        self._proposal = proposal
        self._speaker = _name(definition, validators[0])
        self._until = time.monotonic() + VALIDATOR_SECONDS
        self._is_over = False

    async def speak(self) -> list[Said]:
        """What they say, in order. Raises ValidatorBroke for the first that raised, took too long or said nothing."""
        work = asyncio.ensure_future(asyncio.to_thread(self._all))
        try:
            while not work.done():
                left = self._until - time.monotonic()
                if left <= 0:
                    raise _too_slow(self._speaker)
                await asyncio.wait({work}, timeout=left)
            return work.result()
        finally:
            self._is_over = True
            work.cancel()

    def _all(self) -> list[Said]:
        said: list[Said] = []
        for validator in self._validators:
            if self._is_over:
                break
            self._speaker = _name(self._definition, validator)
            self._until = time.monotonic() + VALIDATOR_SECONDS
            said.append(self._one(validator))
        return said

    def _one(self, validator: Validator[Any, Any]) -> Said:
        try:
            verdict = validator.function(self._proposal)
            return verdict if inspect.isawaitable(verdict) else checked(self._speaker, self._definition, verdict)
        except (ValidatorBroke, LostClaim, Unavailable):
            raise
        except Exception as error:
            raise _broken(self._speaker, error) from error


def _name(definition: AnyDefinition, validator: Validator[Any, Any]) -> str:
    return f"Validator {validator.name!r} of {definition.reference}"


def _too_slow(name: str) -> ValidatorBroke:
    return ValidatorBroke(f"{name} took longer than {VALIDATOR_SECONDS:g} seconds.")


def _broken(name: str, error: Exception) -> ValidatorBroke:
    """The boundary around author code: its message may hold anything, so only its kind leaves; the log has the rest."""
    log.warning("validator raised", exc_info=error, extra={"validator": name})
    return ValidatorBroke(f"{name} raised {type(error).__name__}; this is a defect of the definition.")
