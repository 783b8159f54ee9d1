"""Turns and tool calls until the model gives an answer, each journalled before the next step.

What the journal has already is not done again: finished turns and calls are taken from it, what was in flight when a
worker died is repeated under the same number and key.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from service.definitions.context import FileReference, RunContext, ToolCall
from service.definitions.definition import AnyDefinition, Offer, Step
from service.definitions.schema import schema_of
from service.definitions.tools import STOP_EXECUTION
from tasks import prompt
from tasks.approving import APPROVED, AwaitsApproval, Standing, declined
from tasks.asks import Ask, Reply
from tasks.budget import Budget
from tasks.journal import Journal, ToolCallRecord, ToolCallStart, TurnRecord, TurnStart
from tasks.llm import attachments
from tasks.llm.protocol import Answer, LanguageModel, Message, Profile, Request, ToolRequest
from tasks.storable import clean
from tasks.toolbox import Called, Toolbox, read_arguments
from tasks.turn import take_turn


@dataclass
class _Exchange:
    """One ask in progress: the prompt it began with and what was said since. `sent` messages are journalled."""

    ask: Ask
    opening: tuple[Message, ...]
    said: list[Message] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    sent: int = 0

    @property
    def messages(self) -> tuple[Message, ...]:
        return (*self.opening, *self.said)


EXPLAIN = "explain"
"""The strategy of a turn in which the model says why nothing was accepted."""

Models = Callable[[str], Awaitable[LanguageModel]]
"""A model by its name. Raises ModelError for one that cannot be had."""


class Conversation:
    """One run's talk with a model. `max_answer_bytes` bounds what is kept of an answer and of a tool's result.

    `models` gives the stronger model that a strategy names; without it no correction escalates. `others` are the names
    of further models that may be asked what this one refuses.
    """

    def __init__(
        self,
        *,
        definition: AnyDefinition,
        model: LanguageModel,
        journal: Journal,
        context: RunContext,
        toolbox: Toolbox | None = None,
        max_answer_bytes: int = 1 << 20,
        budget: Budget | None = None,
        models: Models | None = None,
        others: Sequence[str] = (),
    ) -> None:
        self.context = context
        self.journal = journal
        self.max_answer_bytes = max_answer_bytes
        self.tool_calls: list[ToolCall] = []
        self._definition = definition
        self._model = model
        self._usual = model
        self._models = models
        self._others = others
        self._was_refused = False
        self._room = 1
        self._toolbox = toolbox or Toolbox(definition, context, max_result_bytes=max_answer_bytes)
        self.budget = budget or Budget(definition.limits)
        self._output_schema = schema_of(definition.output, titles=False)
        self._past: defaultdict[tuple[int, str | None], deque[TurnRecord]] = defaultdict(deque)
        self._last_turn = 0
        self._kept: defaultdict[str | None, dict[str, tuple[ToolRequest, str]]] = defaultdict(dict)

    @property
    def profile(self) -> Profile:
        """How the model likes to be asked."""
        return self._usual.profile

    @property
    def can_escalate(self) -> bool:
        """Whether there is a stronger model to ask."""
        stronger = self._definition.strategy.escalate_to
        return self._models is not None and stronger is not None and stronger != self._usual.name

    @property
    def shown(self) -> tuple[FileReference, ...]:
        """The files that the model is shown themselves."""
        return attachments.shown(self.context.files, self._model.profile)

    def begin(self, given: Any) -> None:
        """Take the input that the run works for; to be called once, before anything else."""
        self.context = self._toolbox.context = replace(self.context, input=given)

    def resume(self, turns: Sequence[TurnRecord]) -> None:
        """Take over what an earlier worker journalled; to be called once, before the first answer."""
        for turn in turns:
            self._past[turn.start.cycle, turn.start.item].append(turn)
            self._last_turn = max(self._last_turn, turn.start.number)
            self.budget.add(turn.spent)

    async def answer(self, ask: Ask) -> Reply:
        """The model's answer to an ask. Raises ModelError, LimitReached, LostClaim and AwaitsApproval."""
        self._model = await self._stronger() if ask.strategy == "escalate" else self._usual
        exchange = _Exchange(ask, self._opening(ask))
        while True:
            turn = await self._next_turn(exchange)
            answer = turn.answer or Answer()
            if self._takes_more_room(answer):
                continue
            if answer.finish_reason == "refusal":
                if await self._turns_to_another(exchange):
                    continue
                return Reply(refused=answer.text)
            if not answer.tool_requests:
                return Reply(answer.text, answer.finish_reason)
            await self._call_tools(exchange, turn, answer)
            for request in answer.tool_requests:
                if stop := self._toolbox.stop_of(request):
                    return Reply(stopped=stop.reason, stop_code=stop.code)

    async def _stronger(self) -> LanguageModel:
        name = self._definition.strategy.escalate_to
        return self._usual if self._models is None or name is None else await self._models(name)

    def _takes_more_room(self, answer: Answer) -> bool:
        """Whether an answer that was cut is asked for again with twice the tokens: once in a run.

        What is cut after that, or was cut by us because it is too large to keep, is an answer to be corrected.
        """
        was_cut = answer.finish_reason == "length" and not self._is_full(answer)
        if not was_cut or self._room > 1:
            return False
        self._room = 2
        return True

    async def _turns_to_another(self, exchange: _Exchange) -> bool:
        """Whether what one model refused is asked of another, which then stays: once in a run.

        That is the one that corrections escalate to, else the first that stands in for the model when it is away.
        """
        names = (self._definition.strategy.escalate_to, *self._others)
        left = [name for name in names if name is not None and name != self._model.name]
        if self._was_refused or self._models is None or not left:
            return False
        self._was_refused = True
        self._model = self._usual = await self._models(left[0])
        exchange.opening = self._opening(exchange.ask)
        exchange.sent = 0
        return True

    def _opening(self, ask: Ask) -> tuple[Message, ...]:
        base = prompt.base(self._definition, self._model.profile, ask.instructions, self.context.files)
        if ask.cycle == 1:
            return base
        done = [call for call in self.tool_calls if ask.item is None or call.item == ask.item_key]
        return (*base, *prompt.correction(self._model.profile, ask, self._kept[ask.item_key].values(), done))

    async def explain(self, cycle: int, messages: tuple[Message, ...], *, max_output_tokens: int) -> str:
        """What the model says to messages of their own, in the last turn of a cycle; "" if it refused or was cut.

        Raises as `answer`.
        """
        record, number = self._recorded(cycle, None)
        if record is None or record.answer is None:
            request = Request(messages=messages, max_output_tokens=max_output_tokens, turn=number)
            record = await self._take(request, number, cycle=cycle, item=None, strategy=EXPLAIN, added=messages)
        answer = record.answer or Answer()
        return answer.text if answer.finish_reason == "stop" else ""

    async def _next_turn(self, exchange: _Exchange) -> TurnRecord:
        ask = exchange.ask
        record, number = self._recorded(ask.cycle, ask.item_key)
        added = exchange.messages[exchange.sent :]
        exchange.sent = len(exchange.messages)
        if record is not None and record.answer is not None:
            return record
        request = self._request(exchange, number)
        return await self._take(request, number, cycle=ask.cycle, item=ask.item_key, strategy=ask.strategy, added=added)

    def _recorded(self, cycle: int, item: str | None) -> tuple[TurnRecord | None, int]:
        """The next turn on record for this, finished or not, and its number; a new number where there is none."""
        past = self._past[cycle, item]
        if past:
            record = past.popleft()
            return record, record.start.number
        self._last_turn += 1
        return None, self._last_turn

    async def _take(
        self,
        request: Request,
        number: int,
        *,
        cycle: int,
        item: str | None,
        strategy: str,
        added: tuple[Message, ...],
    ) -> TurnRecord:
        start = TurnStart(
            number=number,
            cycle=cycle,
            item=item,
            model=self._model.name,
            request_digest=hashlib.sha256(msgspec.json.encode(request)).digest(),
            added=added,
            strategy=strategy,
        )
        return await take_turn(
            start,
            request,
            model=self._model,
            journal=self.journal,
            budget=self.budget,
            keep=lambda answer: self._capped(_utf8(answer)),
        )

    def _request(self, exchange: _Exchange, number: int) -> Request:
        offer = self._offer(exchange)
        cycle = exchange.ask.cycle
        profile = self._model.profile
        warmth = profile.temperatures
        return Request(
            messages=exchange.messages,
            tools=self._toolbox.offers(offer.tools),
            answer_schema=self._answer_schema(exchange.ask, offer),
            max_output_tokens=profile.max_output_tokens * self._room,
            temperature=warmth[min(cycle, len(warmth)) - 1] if warmth else None,
            seed=self.context.execution_id * 1000 + number,
            turn=number,
        )

    def _offer(self, exchange: _Exchange) -> Offer:
        ask = exchange.ask
        return self._definition.next_offer(
            Step(
                input=ask.input,
                item=ask.item,
                cycle=ask.cycle,
                issues=ask.issues,
                tool_calls=tuple(exchange.calls),
                strategy=ask.strategy,
                field_schema=self.context.field_schema,
            )
        )

    def _answer_schema(self, ask: Ask, offer: Offer) -> dict[str, Any] | None:
        return prompt.answer_schema(offer.answer_schema or self._output_schema, ask) if offer.answer else None

    def _is_full(self, answer: Answer) -> bool:
        """Whether _capped cut the answer, but for the bytes of one character."""
        return len(answer.text.encode(errors="replace")) > self.max_answer_bytes - 4

    def _capped(self, answer: Answer) -> Answer:
        """The answer with everything beyond max_answer_bytes cut off, which then counts as cut by length."""
        size = len(answer.text) + sum(len(request.arguments) for request in answer.tool_requests)
        if size * 4 <= self.max_answer_bytes:
            return answer
        sizes = [len(answer.text.encode(errors="replace"))]
        sizes += [len(request.arguments.encode(errors="replace")) for request in answer.tool_requests]
        if sum(sizes) <= self.max_answer_bytes:
            return answer
        text = answer.text.encode(errors="replace")[: self.max_answer_bytes].decode(errors="ignore")
        return msgspec.structs.replace(answer, text=text, tool_requests=(), finish_reason="length")

    async def _call_tools(self, exchange: _Exchange, turn: TurnRecord, answer: Answer) -> None:
        self.budget.use_tools([request.name for request in answer.tool_requests if not self._toolbox.stop_of(request)])
        starts = [self._call_start(turn, number, request) for number, request in enumerate(answer.tool_requests, 1)]
        finished = {record.start.number: record for record in turn.calls if record.result is not None}
        standings = await self._standings(turn, starts, answer.tool_requests, finished)
        for start in starts:
            if start.number not in finished and standings[start.number].may_run:
                await self.journal.start_tool_call(start)
        called = await _together(
            [
                self._call(start, request, finished.get(start.number), standings[start.number])
                for start, request in zip(starts, answer.tool_requests, strict=True)
                if not standings[start.number].is_open
            ]
        )
        if any(standing.is_open for standing in standings.values()):
            raise AwaitsApproval
        exchange.said.append(prompt.assistant(answer))
        for request, result in zip(answer.tool_requests, called, strict=True):
            exchange.said.append(prompt.tool_result(request, result.result, self._model.profile))
            self._remember(exchange, request, result)

    async def _standings(
        self,
        turn: TurnRecord,
        starts: Sequence[ToolCallStart],
        requests: Sequence[ToolRequest],
        finished: Mapping[int, ToolCallRecord],
    ) -> dict[int, Standing]:
        """How each call stands, by its number. What was asked for once is decided by the answer, whatever newer code of
        the definition thinks of it."""
        standings = dict.fromkeys((start.number for start in starts), APPROVED)
        for start, request in zip(starts, requests, strict=True):
            if start.number in finished:
                continue
            if start.number in turn.asked or self._toolbox.needs_approval(request):
                seconds = self._toolbox.approval_seconds(request.name)
                standings[start.number] = await self.journal.ask_approval(start, seconds=seconds)
        return standings

    def _call_start(self, turn: TurnRecord, number: int, request: ToolRequest) -> ToolCallStart:
        return ToolCallStart(
            turn=turn.start.number,
            number=number,
            call_id=request.call_id,
            name=request.name,
            arguments=request.arguments,
            idempotency_key=f"{self.context.execution_id}-{turn.start.number}-{number}",
        )

    async def _call(
        self, start: ToolCallStart, request: ToolRequest, past: ToolCallRecord | None, standing: Standing
    ) -> Called:
        if past is not None and past.result is not None:
            return Called(past.result, succeeded=bool(past.succeeded))
        if not standing.may_run:
            result = declined(standing)
            await self.journal.decline_tool_call(start, result=result)
            return Called(result, succeeded=False)
        called = await self._toolbox.call(request, idempotency_key=start.idempotency_key, shown=self.shown)
        await self.journal.finish_tool_call(start, result=called.result, succeeded=called.succeeded)
        return called

    def _remember(self, exchange: _Exchange, request: ToolRequest, called: Called) -> None:
        call = ToolCall(
            name=request.name,
            arguments=read_arguments(request.arguments),
            result=msgspec.json.decode(called.result),
            succeeded=called.succeeded,
            cycle=exchange.ask.cycle,
            item=exchange.ask.item_key,
        )
        exchange.calls.append(call)
        if request.name != STOP_EXECUTION:
            self.tool_calls.append(call)
        if called.succeeded and exchange.ask.cycle == 1 and self._toolbox.keeps(request.name):
            self._kept[exchange.ask.item_key][request.name] = (request, called.result)


def _utf8(answer: Answer) -> Answer:
    """The answer without lone surrogates, which no journal can hold: a resumed run must read what this one did."""
    try:
        msgspec.json.encode(answer)
    except UnicodeEncodeError:
        return msgspec.convert(clean(msgspec.to_builtins(answer)), Answer)
    return answer


async def _together(calls: Sequence[Coroutine[Any, Any, Called]]) -> list[Called]:
    """All results in order. The first error ends the other calls before it gets out."""
    running = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*running)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
