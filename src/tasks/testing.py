"""Playing a definition in a test: the real loop, tools and validators, a scripted model, a journal in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec

from service.definitions.context import AttachedFile, DataSet, Product, ProductChange, RunContext, ToolCall, WebPage
from service.definitions.definition import AnyDefinition
from service.definitions.failures import Finished, Outcome
from service.definitions.schema import decode, jsonable
from service.definitions.shop import NewOrder, NewReceipt
from service.definitions.tools import ToolFailed
from service.definitions.verdicts import Accept, Reject, Retry, Spoken
from tasks import judging, loop
from tasks.approving import APPROVED, OPEN, Standing
from tasks.budget import Spend
from tasks.conversation import Conversation
from tasks.journal import RunRecord, ToolCallRecord, ToolCallStart, TurnRecord, TurnStart, VerdictRecord
from tasks.llm.protocol import Answer, Profile
from tasks.llm.scripted import ScriptedModel, Speech
from tasks.memory_shop import MemoryShop
from tasks.toolbox import Toolbox, read_arguments

MOST_SHOWN = 100
"""Characters of an answer or a result in a printed play."""


class MemoryDataSet:
    """A catalogue in memory that behaves as the database's does, with a shop of `stock` by SKU behind it.

    `receipts` and `orders` are those that other executions have recorded.
    """

    def __init__(
        self,
        products: Sequence[Product] = (),
        *,
        id: int = 1,  # noqa: A002
        name: str = "test",
        stock: Mapping[str, int] | None = None,
        receipts: Sequence[NewReceipt] = (),
        orders: Sequence[NewOrder] = (),
    ) -> None:
        self.id = id
        self.name = name
        self.shop = MemoryShop(self, stock=stock or {}, receipts=receipts, orders=orders)
        self._products = {product.sku: product for product in products}

    async def products(self, skus: Sequence[str]) -> list[Product]:
        """The products with these SKUs."""
        return [self._products[sku] for sku in skus if sku in self._products]

    async def search(self, query: str, *, limit: int = 10) -> list[Product]:
        """Products that hold words of the query, those with most of them first."""
        words = query.lower().split()

        def hits(product: Product) -> int:
            text = f"{product.sku} {product.name} {product.description}".lower()
            return sum(word in text for word in words)

        return sorted(filter(hits, self._products.values()), key=hits, reverse=True)[:limit]

    async def undescribed(self, *, limit: int = 10) -> list[Product]:
        """Products without a description, by SKU."""
        return [known for _, known in sorted(self._products.items()) if not known.description][:limit]

    async def upsert(self, changes: Sequence[ProductChange]) -> list[Product]:
        """Write the changes and return the products as they now are."""
        for change in changes:
            old = self._products.get(change.sku, Product(sku=change.sku))
            self._products[change.sku] = Product(
                sku=change.sku,
                name=old.name if change.name is None else change.name,
                description=old.description if change.description is None else change.description,
                details={**old.details, **change.details},
            )
        return await self.products(list(dict.fromkeys(change.sku for change in changes)))


class MemoryWeb:
    """Pages in memory: a text, a WebPage, or what asking for it raises. Of no other page there is an answer."""

    def __init__(self, pages: Mapping[str, str | WebPage | Exception]) -> None:
        self._pages = pages

    async def page(self, url: str) -> WebPage:
        """The page, or what is to be raised."""
        match self._pages.get(url, ToolFailed(f"{url} cannot be reached")):
            case WebPage() as page:
                return page
            case Exception() as error:
                raise error
            case text:
                return WebPage(url=url, text=text)


@dataclass
class MemoryJournal:
    """A journal in memory. Given to a second run it is what a worker that takes over finds.

    `writes` names every write in order, such as "start_turn 1": the boundaries at which a worker can die. `decide` says
    how a call stands that needs an approval: open, unless it is given, so that the run waits.
    """

    turns: dict[int, TurnRecord] = field(default_factory=dict)
    verdicts: list[VerdictRecord] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    before_write: Callable[[str], None] | None = None
    decide: Callable[[ToolCallStart], Standing] = lambda call: OPEN
    _lost: dict[int, Spend] = field(default_factory=dict)

    async def load(self) -> RunRecord:
        """Everything written so far."""
        return RunRecord(turns=tuple(self.turns.values()), verdicts=tuple(self.verdicts))

    async def start_turn(self, turn: TurnStart) -> None:
        """A turn is about to be asked."""
        self._write(f"start_turn {turn.number}")
        past = self.turns.get(turn.number)
        lost = Spend() if past is None else past.spent
        self._lost[turn.number] = lost
        self.turns[turn.number] = TurnRecord(start=turn, spent=lost + turn.reserved)

    async def finish_turn(self, number: int, answer: Answer, *, spent: Spend, lost: Spend) -> None:
        """The model has answered."""
        self._write(f"finish_turn {number}")
        total = self._lost[number] + spent + lost
        self.turns[number] = TurnRecord(start=self.turns[number].start, answer=answer, spent=total)

    async def fail_turn(self, number: int, lost: Spend) -> None:
        """The model has failed."""
        self._write(f"fail_turn {number}")
        self.turns[number] = TurnRecord(start=self.turns[number].start, spent=self._lost[number] + lost)

    async def start_tool_call(self, call: ToolCallStart) -> None:
        """A tool is about to be called."""
        self._write(f"start_tool_call {call.turn}.{call.number}")
        self._put(ToolCallRecord(start=call))

    async def finish_tool_call(self, call: ToolCallStart, *, result: str, succeeded: bool) -> None:
        """A tool has returned."""
        self._write(f"finish_tool_call {call.turn}.{call.number}")
        self._put(ToolCallRecord(start=call, result=result, succeeded=succeeded))

    async def ask_approval(self, call: ToolCallStart, *, seconds: float | None) -> Standing:
        """A call must be approved."""
        turn = self.turns[call.turn]
        if call.number not in turn.asked:
            self._write(f"ask_approval {call.turn}.{call.number}")
            self.turns[call.turn] = msgspec.structs.replace(turn, asked=turn.asked | {call.number})
        return self.decide(call)

    async def decline_tool_call(self, call: ToolCallStart, *, result: str) -> None:
        """It is not to be called."""
        self._write(f"decline_tool_call {call.turn}.{call.number}")
        self._put(ToolCallRecord(start=call, result=result, succeeded=False))

    async def record_verdicts(self, cycle: int, spoken: Sequence[Spoken]) -> None:
        """All validators have spoken on a cycle."""
        self._write(f"record_verdicts {cycle}")
        self.verdicts += [_verdict_record(cycle, said) for said in spoken]

    def _write(self, what: str) -> None:
        if self.before_write is not None:
            self.before_write(what)
        self.writes.append(what)

    def _put(self, call: ToolCallRecord) -> None:
        turn = self.turns[call.start.turn]
        calls = {known.start.number: known for known in turn.calls} | {call.start.number: call}
        in_order = tuple(calls[number] for number in sorted(calls))
        self.turns[call.start.turn] = msgspec.structs.replace(turn, calls=in_order)


@dataclass(frozen=True)
class Played:
    """How a play ended. `verdicts` holds those of each cycle, cycle 1 first; `turns` the journal's turns. Printed it is
    a transcript: a line for each turn, for each issue, and for the end."""

    outcome: Outcome
    verdicts: tuple[tuple[Spoken, ...], ...]
    tool_calls: tuple[ToolCall, ...]
    turns: tuple[TurnRecord, ...]
    data_set: DataSet

    def issues(self, cycle: int) -> list[str]:
        """Every issue of a cycle as `validator: path message`."""
        return [
            f"{said.validator}: {issue.path} {issue.message}".replace(":  ", ": ")
            for said in self.verdicts[cycle - 1]
            if isinstance(said.verdict, Retry)
            for issue in said.verdict.issues
        ]

    def __str__(self) -> str:
        lines = []
        for cycle in sorted({turn.start.cycle for turn in self.turns}):
            lines += [f"cycle {cycle}: {_said(turn.answer)}" for turn in self.turns if turn.start.cycle == cycle]
            lines += [f"  {issue}" for issue in (self.issues(cycle) if cycle <= len(self.verdicts) else ())]
        end = self.outcome
        how = _short(json.dumps(end.result)) if isinstance(end, Finished) else f"{end.code}: {end.explanation}"
        return "\n".join([*lines, f"{type(end).__name__.lower()} after {end.cycles} cycles: {how}"])


def _said(answer: Answer | None) -> str:
    if answer is None:
        return "no answer"
    return ", ".join(f"calls {request.name}" for request in answer.tool_requests) or f"answers {_short(answer.text)}"


def _short(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def play(definition: AnyDefinition, input: object, answers: Sequence[Speech], **given: Any) -> Played:  # noqa: A002
    """Run a definition against scripted answers, one a turn; `play_async` says what else can be given."""
    return asyncio.run(play_async(definition, input, answers, **given))


async def play_async(
    definition: AnyDefinition,
    input: object,  # noqa: A002
    answers: Sequence[Speech],
    *,
    files: Sequence[AttachedFile] = (),
    data_set: DataSet | None = None,
    pages: Mapping[str, str | WebPage | Exception] | None = None,
    tools: Mapping[str, object] | None = None,
    profile: Profile | None = None,
    field_schema: Mapping[str, Any] | None = None,
    approve: bool | Callable[[str, Mapping[str, Any]], bool] = True,
) -> Played:
    """Run a definition against scripted answers, one a turn, whichever model is asked.

    An answer is a JSON value, text, a ToolCall, a list of ToolCalls made in parallel, or an exception. `tools` replaces
    tools by name: a function called with the tool's arguments by name, an exception to raise, or the value to return.
    `pages` are all that `context.web` finds. `field_schema` is the agent's. `approve` decides on calls that must be
    approved: all of them, or as a function of the tool's name and the arguments says. Raises InvalidInput where the API
    would refuse the input.
    """
    web = MemoryWeb(pages or {})
    context = RunContext(
        data_set=data_set or MemoryDataSet(), files=files, execution_id=1, web=web, field_schema=field_schema
    )

    async def another(name: str) -> ScriptedModel:
        return ScriptedModel(answers, name=name)

    conversation = Conversation(
        definition=definition,
        model=ScriptedModel(answers, profile=profile),
        journal=(journal := MemoryJournal(decide=partial(_decide, approve))),
        context=context,
        toolbox=Toolbox(definition, context, max_result_bytes=1 << 20, fakes=tools or {}),
        models=another,
    )
    stored = decode(definition.input, jsonable(input))
    outcome = await loop.run(definition, stored, conversation, await journal.load())
    return _played(outcome, conversation, journal)


def _decide(approve: bool | Callable[[str, Mapping[str, Any]], bool], call: ToolCallStart) -> Standing:
    if not isinstance(approve, bool):
        approve = approve(call.name, read_arguments(call.arguments))
    return APPROVED if approve else Standing(state="declined")


def _played(outcome: Outcome, conversation: Conversation, journal: MemoryJournal) -> Played:
    return Played(
        outcome=outcome,
        verdicts=tuple(tuple(spoken) for _, spoken in sorted(judging.by_cycle(journal.verdicts).items())),
        tool_calls=tuple(conversation.tool_calls),
        turns=tuple(journal.turns.values()),
        data_set=conversation.context.data_set,
    )


def _verdict_record(cycle: int, said: Spoken) -> VerdictRecord:
    match said.verdict:
        case Accept():
            return VerdictRecord(cycle=cycle, validator=said.validator, kind="accept")
        case Retry(issues):
            stored = tuple(
                {
                    "path": issue.path,
                    "message": issue.message,
                    "hint": issue.hint,
                    "narrow": issue.narrow,
                    "fix": None if issue.fix is None else {"value": issue.fix.value},
                }
                for issue in issues
            )
            return VerdictRecord(cycle=cycle, validator=said.validator, kind="retry", issues=stored)
        case Reject(explanation, code):
            return VerdictRecord(
                cycle=cycle, validator=said.validator, kind="reject", explanation=explanation, code=code
            )
