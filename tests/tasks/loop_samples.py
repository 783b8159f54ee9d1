"""Definitions and scripts that the tests of the loop share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from agentic import (
    Accept,
    Definition,
    Input,
    Issue,
    Item,
    Outcome,
    Proposal,
    Retry,
    RunContext,
    ToolContext,
    ToolFailed,
    Verdict,
    tool,
)
from tasks import loop
from tasks.budget import Spend
from tasks.conversation import Conversation
from tasks.journal import RunRecord
from tasks.llm.protocol import Answer, LanguageModel, Profile, Request
from tasks.llm.scripted import ScriptedModel, Speech
from tasks.testing import MemoryDataSet, MemoryJournal


class Order(Input):
    """What is counted."""

    words: list[str]


Counts = dict[str, int]


@tool
async def measure(context: ToolContext, word: str) -> int:
    """Count the letters of a word."""
    return len(word)


@tool(keep=True)
async def look_up(context: ToolContext, word: str) -> str:
    """Read about a word."""
    return f"{word} is a word"


@tool
async def refuse(context: ToolContext, word: str = "") -> int:
    """Never works."""
    raise ToolFailed("the word is forbidden")


@tool
async def explode(context: ToolContext) -> int:
    """Is broken."""
    raise ZeroDivisionError("secret detail")


@tool(timeout_seconds=0.01)
async def hang(context: ToolContext) -> int:
    """Never ends."""
    await asyncio.Event().wait()
    return 0


def counting(*, splits: bool = False, **options: Any) -> Definition[Order, Counts]:
    """Word counts: the answer must hold every word with its length. A fresh definition, to add to."""
    definition = Definition(
        key="counting",
        name="Counting",
        agent_type="counting",
        input=Order,
        output=Counts,
        tools=[measure, look_up, refuse, explode, hang],
        failures={"too_hard": "Nobody can count this."},
        **options,
    )

    @definition.instructions
    def ask(order: Order) -> str:
        return f"Count the letters of {', '.join(order.words)}."

    if splits:

        @definition.items
        def split(order: Order, context: RunContext) -> list[Item]:
            return [Item(word, f"Count {word}") for word in order.words]

    @definition.validator
    def holds_every_word(proposal: Proposal[Order, Counts]) -> Verdict:
        missing = [word for word in proposal.input.words if word not in proposal.output]
        return Retry(*(Issue(f"/{word}", "is missing") for word in missing)) if missing else Accept()

    @definition.validator
    async def counts_rightly(proposal: Proposal[Order, Counts]) -> Verdict:
        wrong = [word for word, count in proposal.output.items() if count != len(word)]
        return Retry(*(Issue(f"/{word}", "is not its length") for word in wrong)) if wrong else Accept()

    return definition


class Telling(ScriptedModel):
    """A scripted model that remembers what it was asked, and what it would have billed."""

    def __init__(self, steps: Sequence[Speech], profile: Profile | None = None) -> None:
        super().__init__(steps, profile=profile)
        self.requests: list[Request] = []
        self.billed = Spend()

    async def ask(self, request: Request, options: Any = None) -> Answer:
        self.requests.append(request)
        answer = await super().ask(request, options)
        usage = answer.usage
        self.billed += Spend(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, calls=1)
        return answer


def converse(
    definition: Definition[Any, Any], model: LanguageModel, journal: MemoryJournal, **options: Any
) -> Conversation:
    context = RunContext(data_set=MemoryDataSet(), execution_id=7)
    return Conversation(definition=definition, model=model, journal=journal, context=context, **options)


def run(
    definition: Definition[Any, Any],
    given: object,
    model: LanguageModel,
    journal: MemoryJournal | None = None,
    **options: Any,
) -> Outcome:
    """One run to its end, from what the journal holds already."""
    journal = journal or MemoryJournal()

    async def whole() -> Outcome:
        record: RunRecord = await journal.load()
        return await loop.run(definition, given, converse(definition, model, journal, **options), record)

    return asyncio.run(whole())


def spent(journal: MemoryJournal) -> Spend:
    """Everything that the journal says was spent."""
    return sum((turn.spent for turn in journal.turns.values()), Spend())


def dying(at: int) -> Callable[[str], None]:
    """A hook for MemoryJournal that dies before write number `at`, counted from 0."""
    seen = 0

    def before_write(what: str) -> None:
        nonlocal seen
        if seen == at:
            raise Died(what)
        seen += 1

    return before_write


class Died(BaseException):
    """The worker process is gone; nothing catches it."""
