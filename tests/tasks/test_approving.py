"""Calls that must be approved, in the loop: the run waits, goes on, and tells the model what was not carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from agentic import Definition, Finished, Input, Outcome, ToolCall, ToolContext, play, tool
from service.definitions.tools import Mistake
from tasks.approving import APPROVED, OPEN, AwaitsApproval, Standing
from tasks.journal import ToolCallStart
from tasks.llm.scripted import Speech
from tasks.testing import MemoryJournal
from tests.tasks.loop_samples import Telling, run

DECLINED = Standing(state="declined", reason="too dear")
Given = Mapping[str, Any]


class Wish(Input):
    """What to buy."""

    word: str = "chair"


class Shelf:
    """A definition whose tools note under which key they were called."""

    def __init__(self, requires_approval: bool | Callable[[Any], bool] = True) -> None:
        self.bought: list[str] = []
        self.looked: list[str] = []

        @tool(requires_approval=requires_approval)
        async def buy(context: ToolContext, price: int) -> str:
            """Buy it."""
            self.bought.append(context.idempotency_key)
            return "bought"

        @tool
        async def look(context: ToolContext) -> str:
            """Look at it."""
            self.looked.append(context.idempotency_key)
            return "seen"

        self.definition = Definition(
            key="shelf", name="Shelf", agent_type="shelf", input=Wish, output=dict[str, int], tools=[buy, look]
        )
        self.definition.instructions(lambda wish: "Buy it.")

    def run(self, journal: MemoryJournal, *answers: Speech) -> Outcome:
        self.model = Telling([*answers, {"done": 1}])
        return run(self.definition, {}, self.model, journal)

    def last(self) -> str:
        """What the model read last."""
        return self.model.requests[-1].messages[-1].text


BUY = ToolCall(name="buy", arguments={"price": 5})
LOOK = ToolCall(name="look", arguments={})


def test_call_when_it_must_be_approved_then_the_run_ends_before_it_with_everything_journalled() -> None:
    shelf, journal = Shelf(), MemoryJournal()
    with pytest.raises(AwaitsApproval):
        shelf.run(journal, BUY)
    assert journal.writes == ["start_turn 1", "finish_turn 1", "ask_approval 1.1"]
    assert shelf.bought == []


def test_call_when_it_was_approved_then_the_resumed_run_makes_it_without_asking_model_or_approver_again() -> None:
    shelf, journal = Shelf(), MemoryJournal()
    with pytest.raises(AwaitsApproval):
        shelf.run(journal, BUY)
    journal.decide = lambda call: APPROVED
    assert shelf.run(journal, BUY) == Finished({"done": 1}, cycles=1)
    assert (shelf.bought, len(shelf.model.requests)) == (["7-1-1"], 1)
    assert journal.writes[3:6] == ["start_tool_call 1.1", "finish_tool_call 1.1", "start_turn 2"]


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (DECLINED, "this call was declined, and was not carried out: too dear"),
        (Standing(state="expired"), "nobody approved this call in time, and it was not carried out"),
    ],
)
def test_call_when_it_was_not_approved_then_the_model_is_told_and_goes_on(standing: Standing, said: str) -> None:
    shelf, journal = Shelf(), MemoryJournal(decide=lambda call: standing)
    assert isinstance(shelf.run(journal, BUY), Finished)
    assert said in shelf.last()
    assert shelf.bought == []
    (call,) = journal.turns[1].calls
    assert (call.succeeded, journal.writes[3]) == (False, "decline_tool_call 1.1")


def test_calls_of_one_turn_when_only_some_must_wait_then_the_others_run_once() -> None:
    shelf, journal = Shelf(), MemoryJournal(decide=lambda call: APPROVED if call.number == 2 else OPEN)
    turn = [BUY, BUY, LOOK]
    for _ in range(2):  # woken before everything was decided, it waits again
        with pytest.raises(AwaitsApproval):
            shelf.run(journal, turn)
        assert (shelf.bought, shelf.looked) == (["7-1-2"], ["7-1-3"])
    journal.decide = lambda call: DECLINED
    assert isinstance(shelf.run(journal, turn), Finished)
    assert (shelf.bought, shelf.looked) == (["7-1-2"], ["7-1-3"])
    assert [call.succeeded for call in journal.turns[1].calls] == [False, True, True]


def test_call_when_newer_code_asks_for_no_approval_then_the_decision_holds_all_the_same() -> None:
    journal = MemoryJournal()
    with pytest.raises(AwaitsApproval):
        Shelf().run(journal, BUY)
    journal.decide = lambda call: DECLINED
    newer = Shelf(requires_approval=False)
    assert isinstance(newer.run(journal, BUY), Finished)
    assert newer.bought == []


def test_call_that_has_run_when_newer_code_would_ask_then_nobody_is_asked() -> None:
    journal = MemoryJournal()
    Shelf(requires_approval=False).run(journal, BUY)
    newer = Shelf()
    assert isinstance(newer.run(journal, BUY), Finished)
    assert (newer.bought, journal.turns[1].asked) == ([], frozenset())


def raises(given: Any) -> bool:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("requires", "price", "waits"),
    [(lambda given: given.price > 9, 10, True), (lambda given: given.price > 9, 9, False), (raises, 1, True)],
    ids=["dear", "cheap", "broken"],
)
def test_call_when_a_function_of_its_arguments_says_so_or_raises_then_it_waits(
    requires: Callable[[Any], bool], price: int, waits: bool
) -> None:
    shelf, journal = Shelf(requires), MemoryJournal()
    call = ToolCall(name="buy", arguments={"price": price})
    if waits:
        with pytest.raises(AwaitsApproval):
            shelf.run(journal, call)
    else:
        shelf.run(journal, call)
    assert bool(shelf.bought) is not waits


@pytest.mark.parametrize("call", [ToolCall(name="buy", arguments={"price": "x"}), ToolCall(name="sell", arguments={})])
def test_call_when_it_would_fail_by_itself_then_nobody_is_asked(call: ToolCall) -> None:
    journal = MemoryJournal()
    assert isinstance(Shelf().run(journal, call), Finished)
    assert not any(write.startswith("ask_approval") for write in journal.writes)


def test_play_when_nothing_else_is_said_then_approves_and_as_it_is_told_otherwise() -> None:
    approved, declined = Shelf(), Shelf()
    play(approved.definition, {}, [BUY, {"done": 1}])
    played = play(declined.definition, {}, [BUY, {"done": 1}], approve=False)
    chosen = play(
        Shelf().definition, {}, [[BUY, BUY], {"done": 1}], approve=lambda name, given: (name, given) == ("buy", {})
    )
    assert (approved.bought, declined.bought) == (["1-1-1"], [])
    assert [call.succeeded for call in (*played.tool_calls, *chosen.tool_calls)] == [False, False, False]


def test_memory_journal_when_it_is_told_nothing_then_calls_stay_open() -> None:
    start = ToolCallStart(turn=1, number=1, call_id="", name="buy", arguments="", idempotency_key="")
    assert MemoryJournal().decide(start) is OPEN


async def later(given: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"requires_approval": later}, "plain function"),
        ({"requires_approval": "yes"}, "plain function"),
        ({"approval_seconds": 5}, "does not require approval"),
        ({"requires_approval": True, "approval_seconds": 0}, "must be positive"),
        ({"requires_approval": True, "approval_seconds": 1e12}, "at most 366 days"),
    ],
    ids=["coroutine", "text", "seconds alone", "no seconds", "ages"],
)
def test_tool_when_its_approval_is_written_wrongly_then_mistake(options: dict[str, Any], says: str) -> None:
    async def act(context: ToolContext) -> None:
        """Act."""

    with pytest.raises(Mistake, match=says):
        tool(**options)(act)
