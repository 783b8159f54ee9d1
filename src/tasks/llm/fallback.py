"""Several models as one: the first that is not away answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from tasks.llm.protocol import NOTHING_SENT, Answer, LanguageModel, ModelError, Request, slot
from tasks.llm.transport import total

log = logging.getLogger(__name__)

LEFT_ALONE_SECONDS = 30.0
"""How long a provider that was away is not asked at least; longer where it says so itself."""


class FallbackModel:
    """Asks the next model when one is away, and leaves that one alone for a while: every run of the worker would
    otherwise find out for itself. The models are owned by whoever opened them."""

    def __init__(self, name: str, models: Sequence[LanguageModel], *, left_alone: float = LEFT_ALONE_SECONDS) -> None:
        self.name = name
        self.profile = models[0].profile
        self._models = tuple(models)
        self._left_alone = left_alone
        self._away_until = dict.fromkeys(range(len(models)), 0.0)

    def slot(self) -> AbstractAsyncContextManager[None]:
        """That of the model which will be asked first."""
        return slot(self._models[self._order()[0]])

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """The first answer. Its usage counts what models that were away have cost. Raises the ModelError of the first
        one that should be mended rather than waited for, else that of the one that will be back first."""
        clock = asyncio.get_running_loop().time
        end = clock() + request.timeout_seconds
        spent = NOTHING_SENT
        soonest: ModelError | None = None
        for number in self._order():
            model = self._models[number]
            left = end - clock()
            if soonest is not None and left <= 0:
                break
            try:
                answer = await model.ask(msgspec.structs.replace(request, timeout_seconds=max(left, 0.01)), options)
            except ModelError as error:
                spent = total(spent, error.usage)
                error.usage = spent
                if not error.is_away:
                    raise
                self._leave_alone(number, error)
                soonest = error if soonest is None else _sooner(soonest, error)
            else:
                by = "" if number == 0 else model.name
                return msgspec.structs.replace(answer, usage=total(spent, answer.usage), answered_by=by)
        assert soonest is not None
        soonest.usage = spent
        raise soonest

    def named(self, name: str) -> LanguageModel:
        """The one of these models that has the name."""
        return next(model for model in self._models if model.name == name)

    async def close(self) -> None:
        """Nothing of its own is held."""

    def _order(self) -> list[int]:
        """Those that are not known to be away, in their order; then the others, soonest back first."""
        now = asyncio.get_running_loop().time()
        return sorted(self._away_until, key=lambda number: (max(self._away_until[number], now), number))

    def _leave_alone(self, number: int, error: ModelError) -> None:
        away = max(error.retry_after_seconds or 0.0, self._left_alone)
        self._away_until[number] = asyncio.get_running_loop().time() + away
        log.warning("model provider away", extra={"model": self._models[number].name, "seconds": round(away)})


def _sooner(one: ModelError, other: ModelError) -> ModelError:
    """The error after which it is worth to ask again first."""
    if one.retryable != other.retryable:
        return one if one.retryable else other
    return other if (other.retry_after_seconds or 0) < (one.retry_after_seconds or 0) else one
