"""A model that is asked a question once: strategies that are compared share the answers up to where they part."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec

from tasks.evaluation.results import Results, Told
from tasks.llm.protocol import Answer, LanguageModel, Request, slot


class Recalling:
    """The model of one run. A request, its seed among it, that was answered before gets the same answer again, with
    the tokens and seconds that it took."""

    def __init__(self, model: LanguageModel, results: Results) -> None:
        self.name = model.name
        self.profile = model.profile
        self.seconds = 0.0
        self.answers = 0
        self._model = model
        self._results = results

    def slot(self) -> AbstractAsyncContextManager[None]:
        """The model's own."""
        return slot(self._model)

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """The answer, new or known. Raises as the model does."""
        digest = self._digest(request)
        told = self._results.answer(digest)
        if told is None:
            began = time.monotonic()
            answer = await self._model.ask(request, options)
            told = Told(digest=digest, seconds=time.monotonic() - began, answer=answer)
            self._results.keep(told)
        self.seconds += told.seconds
        self.answers += 1
        return told.answer

    async def close(self) -> None:
        """The model is owned by whoever opened it."""

    def _digest(self, request: Request) -> str:
        # What is left of the time limit differs from run to run, and no model sees it.
        asked = msgspec.structs.replace(request, timeout_seconds=0.0)
        return hashlib.sha256(self.name.encode() + b"\0" + msgspec.json.encode(asked)).hexdigest()
