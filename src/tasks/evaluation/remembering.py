"""A model that is shown everything that was said since its run began, as libraries do that append to one conversation.

It is what the other strategies are measured against.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tasks.llm.protocol import Answer, LanguageModel, Message, Request, slot


@dataclass
class _Talk:
    """All that was said after a base, and how much of the present cycle is in it already. `was_cut`: the last answer
    was cut by its limit, and may be asked for once more."""

    base: tuple[Message, ...]
    said: list[Message] = field(default_factory=list)
    cycle: tuple[Message, ...] = ()
    was_cut: bool = False

    def hear(self, given: tuple[Message, ...]) -> None:
        """Take in what the loop says after the base: the same cycle further on, or another one's feedback."""
        goes_on = given[: len(self.cycle)] == self.cycle and (self.was_cut or len(given) > len(self.cycle))
        feedback = next((at for at, message in enumerate(given) if message.role == "user"), len(given))
        new = given[len(self.cycle) if goes_on else feedback :]
        self.said += [message for message in new if not self.said or message != self.said[-1]]
        self.cycle = given

    def note(self, answer: Answer) -> None:
        """Take in what the model says."""
        self.was_cut = answer.finish_reason == "length"
        if not self.was_cut:
            self.said.append(Message(role="assistant", text=answer.text, tool_requests=answer.tool_requests))


class Remembering:
    """The model of one run. The loop's prompt of a correction is base, kept results, feedback; here it becomes base,
    the whole history, feedback, rejected answers and results included."""

    def __init__(self, model: LanguageModel) -> None:
        self.name = model.name
        self.profile = msgspec.structs.replace(model.profile, prose_feedback=True)
        self._model = model
        self._talks: list[_Talk] = []

    def slot(self) -> AbstractAsyncContextManager[None]:
        """The model's own."""
        return slot(self._model)

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """The answer to the request with the history in it. Raises as the model does."""
        talk = self._talk(request)
        talk.hear(request.messages[len(talk.base) :])
        answer = await self._model.ask(msgspec.structs.replace(request, messages=(*talk.base, *talk.said)), options)
        talk.note(answer)
        return answer

    async def close(self) -> None:
        """The model is owned by whoever opened it."""

    def _talk(self, request: Request) -> _Talk:
        """The talk that the request goes on with; a new one where it begins as none before."""
        for talk in self._talks:
            if request.messages[: len(talk.base)] == talk.base:
                return talk
        talk = _Talk(request.messages)
        self._talks.append(talk)
        return talk
