"""The correction loop: the model proposes, validators judge, their issues are corrected, until a gate opens.

Pure: no database, no HTTP, no clock. A run ends here as Finished, accepted by every validator, or as Failed with a code
and an explanation; LostClaim, AwaitsApproval, ProviderAway, Unavailable and defects of the service itself get out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, assert_never

import msgspec

from service.definitions.definition import AnyDefinition, Definition, Proposal
from service.definitions.failures import MEANINGS, ExitReason, Failed, FailureCode, Finished, Outcome
from service.definitions.schema import Undecodable, convert, jsonable
from service.definitions.tools import STOP_EXECUTION
from service.definitions.verdicts import Accept, Issue, Reject, Retry, Spoken
from tasks import explaining, judging, reading, speaking
from tasks.asks import Ask, Reply
from tasks.budget import LimitReached
from tasks.conversation import Conversation
from tasks.correcting import Corrections
from tasks.draft import Draft
from tasks.journal import RunRecord
from tasks.judging import Attempt, ValidatorBroke, max_retries_explanation, retry_lines, tidy
from tasks.llm.protocol import ModelError, ProviderAway

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741


async def run(definition: Definition[I, O], input: object, conversation: Conversation, record: RunRecord) -> Outcome:  # noqa: A002
    """Run an execution from what is recorded to its end. `input` is the JSON value that was accepted."""
    try:
        typed = convert(definition.input, input)
    except Undecodable as error:
        explanation = f"The stored input does not fit {definition.reference} any more: {error}."
        return Failed(FailureCode.RUNTIME_ERROR, tidy(explanation))
    conversation.begin(typed)
    conversation.resume(record.turns)
    course = _Course(definition, typed, conversation, record)
    try:
        return await explaining.in_words(await course.run(), definition, conversation)
    except ProviderAway:
        raise
    except ModelError as error:
        reason = ExitReason.PROVIDER
        return course.failed(FailureCode.RUNTIME_ERROR, _advice(error), retryable=error.retryable, reason=reason)
    except LimitReached as error:
        return course.failed(error.code, error.explanation, reason=error.reason)
    except ValidatorBroke as error:
        return course.failed(FailureCode.RUNTIME_ERROR, str(error), retryable=False)


class _Course:
    """One run in progress: the answer so far, and what was said of it."""

    def __init__(self, definition: AnyDefinition, typed: Any, conversation: Conversation, record: RunRecord) -> None:
        self.cycle = 0
        self._definition = definition
        self._input = typed
        self._conversation = conversation
        self._judged = judging.by_cycle(record.verdicts)
        self._draft = Draft([])
        self._asked = 0
        self._attempts: list[Attempt] = []

    def failed(
        self, code: str, explanation: str, *, retryable: bool | None = None, reason: ExitReason | None = None
    ) -> Failed:
        """A failure in this cycle; whether it is retryable is the code's own answer unless given."""
        known = MEANINGS[FailureCode(code)][1] if code in list(FailureCode) else False
        may_help = known if retryable is None else retryable
        return Failed(code, tidy(explanation), retryable=may_help, cycles=self.cycle, reason=reason)

    async def run(self) -> Outcome:
        asks = await self._asks()
        has_items = bool(asks)
        self._draft = Draft([ask.item_key for ask in asks])
        corrections = Corrections(self._definition, self._conversation, asks)
        while True:
            self.cycle += 1
            self._asked += bool(asks)
            spoken, result = await self._cycle(asks)
            self._attempts.append(Attempt(self.cycle, spoken))
            outcome = self._gate(spoken, result)
            if outcome is not None:
                return outcome
            if not has_items:
                return self._nothing_to_ask(spoken)
            left = self._conversation.budget.limits.corrections + 1 - self._asked
            asks = corrections.after(self.cycle, self._draft, spoken, is_last=left == 1)
            if asks and left < 1:
                return self._used_up()

    async def _asks(self) -> list[Ask]:
        context = self._conversation.context
        small = self._conversation.profile.item_by_item
        items = await reading.items(self._definition, self._input, context) if small else None
        if items is not None:
            return [Ask(input=self._input, instructions=item.instructions, item=item) for item in items]
        instructions = await reading.instructions(self._definition, self._input, context)
        return [Ask(input=self._input, instructions=instructions)]

    async def _cycle(self, asks: Sequence[Ask]) -> tuple[list[Spoken], Any]:
        """Ask, judge and record one cycle, or take its verdicts from the record. The result is None if undecoded.

        Without asks it judges what fixes made of the last answer.
        """
        problems: list[Issue] = []
        for ask in asks:
            reply = await self._conversation.answer(ask)
            ended = judging.ended(reply)
            if ended is not None:
                return await self._recorded([ended]), None
            problems += self._read(ask, reply)
        decoded = None
        if not problems:
            decoded, problems = reading.decode_output(self._definition.output, self._draft.whole())
        if problems:
            return await self._recorded([judging.undecodable(problems)]), None
        result = jsonable(decoded)
        if self.cycle in self._judged:
            return self._judged[self.cycle], result
        return await self._recorded(await speaking.speak(self._definition, self._proposal(decoded))), result

    async def _recorded(self, spoken: list[Spoken]) -> list[Spoken]:
        """The verdicts of the cycle: those on record, else these, now recorded. An answer that was accepted under
        another version of the definition's code and cannot be read by this one is not accepted."""
        past = self._judged.get(self.cycle)
        if past is None:
            await self._conversation.journal.record_verdicts(self.cycle, spoken)
            return spoken
        return spoken if all(isinstance(said.verdict, Accept) for said in past) else past

    def _read(self, ask: Ask, reply: Reply) -> list[Issue]:
        """Take the reply as the ask's part of the answer; the issues say why it cannot be read."""
        value, problems = reading.read_reply(self._definition.output, reply, ask.item)
        if problems:
            self._draft.lose(ask)
        else:
            self._draft.take(ask, value)
        return problems

    def _proposal(self, decoded: Any) -> Proposal[Any, Any]:
        context = self._conversation.context
        return Proposal(
            input=self._input,
            output=decoded,
            cycle=self.cycle,
            data_set=context.data_set,
            tool_calls=tuple(self._conversation.tool_calls),
            files=context.files,
            shown=self._conversation.shown,
            field_schema=context.field_schema,
        )

    def _gate(self, spoken: Sequence[Spoken], result: Any) -> Outcome | None:
        """How the run ends after these verdicts; None if the answer is to be corrected."""
        for said in spoken:
            match said.verdict:
                case Reject(explanation, code):
                    reason = ExitReason.STOPPED if said.validator == STOP_EXECUTION else ExitReason.REJECTED
                    code = code or FailureCode.VALIDATION_FAILED
                    return self.failed(code, explanation, retryable=False, reason=reason)
                case Accept() | Retry():
                    pass
                case _ as never:
                    assert_never(never)
        return self._finished(result) if all(isinstance(said.verdict, Accept) for said in spoken) else None

    def _finished(self, result: Any) -> Outcome:
        size, most = len(msgspec.json.encode(result)), self._conversation.max_answer_bytes
        if size > most:
            explanation = f"The result has {size} bytes; the service keeps at most {most}."
            return self.failed(FailureCode.OUTPUT_TOO_LARGE, explanation)
        return Finished(result, cycles=self.cycle)

    def _nothing_to_ask(self, spoken: Sequence[Spoken]) -> Outcome:
        """The failure when there are no items and validators object to the empty answer: no model can help."""
        found = f"{self._definition.reference} found no items to work on, and an empty answer is not accepted."
        objections = "\n".join(retry_lines(spoken))
        code, reason = FailureCode.VALIDATION_FAILED, ExitReason.REJECTED
        return self.failed(code, f"{found}\n{objections}", retryable=False, reason=reason)

    def _used_up(self) -> Outcome:
        """The failure when the model may not be asked again, explained by the best answer that there was."""
        best = min(self._attempts, key=lambda attempt: attempt.distance)
        return self.failed(FailureCode.MAX_RETRIES_EXCEEDED, max_retries_explanation(self.cycle, best))


def _advice(error: ModelError) -> str:
    advice = "Trying again later may help." if error.retryable else "Trying again will not help until that is changed."
    return f"{error.explanation.strip().rstrip('.') or 'The model could not be used'}. {advice}"
