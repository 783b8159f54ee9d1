"""A model of a provider, whichever wire it speaks: asked within its bounds, again where that helps, heard to the end.

pydantic-ai translates and the provider's SDK transports; neither keeps any state of a run, and neither asks twice.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, ClassVar

from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import ModelMessage, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.settings import ModelSettings

from tasks.llm.bounds import Bounds
from tasks.llm.faults import FAULTS, AnswerTooLarge, explained
from tasks.llm.gate import Gate
from tasks.llm.protocol import Answer, ModelError, Profile, ReadFile, Request, Usage
from tasks.llm.transport import send
from tasks.llm.wire import answer_of, cut_answer, messages_of, parameters_of

log = logging.getLogger(__name__)


class ProviderModel(ABC):
    """The common part of the adapters. Holds one connection pool."""

    sdk_error: ClassVar[type[Exception]]
    """The root of what the provider's SDK raises. An adapter loads its own SDK alone: each is thousands of modules."""

    def __init__(
        self, name: str, *, model: Model[Any], profile: Profile, bounds: Bounds, read_file: ReadFile | None
    ) -> None:
        self.name = name
        self.profile = profile
        self._model = model
        self._bounds = bounds
        self._read_file = read_file
        self._gate = Gate(bounds.concurrency) if bounds.concurrency else None

    def slot(self) -> AbstractAsyncContextManager[None]:
        """One of the questions that may be open at a time."""
        return self._gate.slot() if self._gate else nullcontext()

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """One answer. Rate limits, errors of the provider, broken connections and garbage are met by asking again,
        up to three times within the time limit. `options` are further members of the request's body."""
        is_native = self.holds_to(request)
        messages = await messages_of(request, self.profile, self._read_file, tells_schema=not is_native)
        parameters = parameters_of(request, is_native=is_native)

        async def once(seconds: float) -> Answer:
            settings = self.settings(request, {**self._bounds.options, **(options or {})})
            self._limit_time(settings, seconds)
            try:
                if self._bounds.streams:
                    return await self._stream(request, messages, settings, parameters, seconds)
                response = await model_request(
                    self._model,
                    messages,
                    model_settings=settings,
                    model_request_parameters=parameters,
                    instrument=False,
                )
            except (*FAULTS, self.sdk_error) as error:
                log.info("model request failed", extra={"model": self.name, "error": type(error).__name__})
                raise explained(error, self.name) from error
            return answer_of(response, request, self.name)

        return await send(
            once,
            seconds=request.timeout_seconds,
            attempt_seconds=self._bounds.attempt_seconds,
            retries=self._bounds.retries,
        )

    @abstractmethod
    async def close(self) -> None:
        """Close the connections."""

    @abstractmethod
    def settings(self, request: Request, options: Mapping[str, Any]) -> ModelSettings:
        """What else goes with the request, in the library's words."""

    def holds_to(self, request: Request) -> bool:
        """Whether the provider holds its decoding to the answer's schema."""
        return True

    def _limit_time(self, settings: ModelSettings, seconds: float) -> None:
        """Of one try: all of it, and how long nothing may come. A stream's seconds are counted where what has come of
        it is kept."""
        if self._bounds.streams:
            settings["timeout"] = min(seconds, self._bounds.silence_seconds)
        else:
            settings["timeout"] = settings["request_timeout"] = seconds

    async def _stream(
        self,
        request: Request,
        messages: list[ModelMessage],
        settings: ModelSettings,
        parameters: ModelRequestParameters,
        seconds: float,
    ) -> Answer:
        heard = _Heard(self._bounds.max_answer_bytes)
        try:
            async with (
                asyncio.timeout(seconds),
                model_request_stream(
                    self._model,
                    messages,
                    model_settings=settings,
                    model_request_parameters=parameters,
                    instrument=False,
                ) as stream,
            ):
                heard.stream = stream
                await heard.listen(stream)
                if not heard.is_cut:
                    return answer_of(stream.get(), request, self.name)
        except TimeoutError as error:
            if not heard.has_text:
                explanation = f"The provider of {self.name} did not answer in time"
                usage = Usage(unanswered=1)
                raise ModelError(explanation, retryable=True, is_away=True, usage=usage) from error
        except AnswerTooLarge:
            if not heard.has_text:
                raise
        assert heard.stream is not None
        return cut_answer(heard.stream.get(), request, self.name, heard=heard.size)


class _Heard:
    """How much of a streamed answer has come."""

    def __init__(self, max_bytes: int) -> None:
        self.size = 0
        self.has_text = False
        self.stream: StreamedResponse | None = None
        self._max_bytes = max_bytes

    @property
    def is_cut(self) -> bool:
        return self.size > self._max_bytes

    async def listen(self, stream: StreamedResponse) -> None:
        """Follow the stream to its end, or to where the answer is as large as is read."""
        async for event in stream:
            match event:
                case (
                    PartStartEvent(part=TextPart(content=text))
                    | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
                ):
                    self.has_text = self.has_text or bool(text)
                    self.size += len(text.encode(errors="replace"))
                case PartDeltaEvent(delta=delta):
                    piece = getattr(delta, "args_delta", None) or getattr(delta, "content_delta", None) or ""
                    self.size += len(str(piece))
                case _:
                    pass
            if self.is_cut:
                return
