"""The journal in the database: what is written is read back, written twice it is there once, and only by its claim."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
import pytest

from service.database import Database
from service.definitions.verdicts import Accept, Fix, Issue, Reject, Retry, Spoken
from service.executions import runtime
from service.executions.runtime import Claim
from tasks.budget import Spend
from tasks.database_journal import LARGEST_REQUEST_BYTES, DatabaseJournal, ToldToStop
from tasks.journal import LostClaim, RunRecord, ToolCallStart, TurnStart
from tasks.llm.protocol import Answer, Message, ToolRequest, Usage
from tests.tasks.conftest import AsApp
from tests.tasks.holding import add_worker, hold
from tests.tasks.seed import Shop, open_shop

CALL = ToolCallStart(turn=1, number=1, call_id="c1", name="look", arguments='{"a": 1}', idempotency_key="1-1-1")
ANSWER = Answer(
    tool_requests=(ToolRequest(call_id="c1", name="look", arguments='{"a": 1}'),),
    finish_reason="tool_calls",
    usage=Usage(input_tokens=10, cached_tokens=4, output_tokens=3),
    model="m-1",
)


def turn(number: int, *added: Message, cycle: int = 1, item: str | None = None) -> TurnStart:
    return TurnStart(number=number, cycle=cycle, item=item, model="m", request_digest=b"\1\2", added=added)


def journalled(app: AsApp, claim: Claim, write: Callable[[DatabaseJournal], Awaitable[Any]]) -> RunRecord:
    """What a later worker reads after `write`."""

    async def use(database: Database) -> RunRecord:
        await write(DatabaseJournal(database, claim, is_stopping=lambda: False))
        return await DatabaseJournal(database, claim, is_stopping=lambda: False).load()

    return app.pooled(use)


@pytest.fixture
def held(app: AsApp, shop: Shop) -> Claim:
    shop.accept()
    return hold(app, add_worker(app))


def test_journal_on_either_postgresql_gives_back_what_was_written(either_database_url: str) -> None:
    app = AsApp(either_database_url)
    with psycopg.connect(either_database_url, autocommit=True) as connection:
        open_shop(connection).accept()
    held = hold(app, add_worker(app))
    question = Message(role="user", text="what is it?")
    spoken = [
        Spoken("first", Accept()),
        Spoken("second", Retry(Issue("/a", "wrong", hint="right", narrow={"const": 1}, fix=Fix(None)))),
        Spoken("third", Reject("no", "code")),
    ]

    async def write(journal: DatabaseJournal) -> None:
        await journal.start_turn(turn(1, question, item="k"))
        await journal.finish_turn(1, ANSWER, spent=Spend(), lost=Spend())
        await journal.start_tool_call(CALL)
        await journal.finish_tool_call(CALL, result='{"b": 2}', succeeded=True)
        await journal.record_verdicts(1, spoken)
        await journal.start_turn(turn(2, cycle=2))

    record = journalled(app, held, write)
    first, second = record.turns
    assert (first.start, first.answer) == (turn(1, question, item="k"), ANSWER)
    assert [(call.start, call.result, call.succeeded) for call in first.calls] == [(CALL, '{"b": 2}', True)]
    assert (second.answer, second.calls) == (None, ())
    assert [(verdict.validator, verdict.kind, verdict.code) for verdict in record.verdicts] == [
        ("first", "accept", None),
        ("second", "retry", None),
        ("third", "reject", "code"),
    ]
    issue = {"path": "/a", "message": "wrong", "hint": "right", "narrow": {"const": 1}, "fix": {"value": None}}
    assert record.verdicts[1].issues == (issue,)


def test_journal_told_everything_twice_has_it_once(app: AsApp, held: Claim, shop: Shop) -> None:
    async def write(journal: DatabaseJournal) -> None:
        for _ in range(2):  # as after a commit whose reply was lost
            await journal.start_turn(turn(1))
        for _ in range(2):
            await journal.finish_turn(1, ANSWER, spent=Spend(), lost=Spend())
        for _ in range(2):
            await journal.start_tool_call(CALL)
        for _ in range(2):
            await journal.finish_tool_call(CALL, result="1", succeeded=True)
        for _ in range(2):
            await journal.record_verdicts(1, [Spoken("v", Accept())])

    record = journalled(app, held, write)
    assert (len(record.turns), len(record.turns[0].calls), len(record.verdicts)) == (1, 1, 1)
    assert shop.connection.execute(
        "SELECT attempts FROM turns UNION ALL SELECT attempts FROM tool_calls"
    ).fetchall() == [
        (1,),
        (1,),
    ]


def told(shop: Shop) -> list[tuple[int, str, Any]]:
    """Events after those of the claim."""
    return shop.connection.execute("SELECT seq, kind, data FROM events WHERE seq > 2 ORDER BY seq").fetchall()


def test_journal_tells_each_step_once_without_what_was_said(app: AsApp, held: Claim, shop: Shop) -> None:
    retry = Retry(Issue("/a", "secret"), Issue("/b", "secret"))

    async def write(journal: DatabaseJournal) -> None:
        for _ in range(2):  # as after a commit whose reply was lost
            await journal.start_turn(turn(1, Message(role="user", text="secret")))
            await journal.fail_turn(1, Spend())
            await journal.start_turn(turn(1))  # another model, after a fault of the first
            await journal.finish_turn(1, ANSWER, spent=Spend(input_tokens=7, output_tokens=3), lost=Spend())
            await journal.start_tool_call(CALL)
            await journal.finish_tool_call(CALL, result='"secret"', succeeded=False)
            await journal.record_verdicts(1, [Spoken("first", Accept()), Spoken("second", retry)])

    journalled(app, held, write)
    judged = [
        {"validator": "first", "verdict": "accept", "issues": 0},
        {"validator": "second", "verdict": "retry", "issues": 2},
    ]
    call = {"turn": 1, "call": 1, "tool": "look"}
    spent = {"finish_reason": "tool_calls", "input_tokens": 7, "output_tokens": 3}
    assert told(shop) == [
        (3, "turn_started", {"turn": 1, "cycle": 1, "strategy": "propose", "model": "m"}),
        (4, "turn_answered", {"turn": 1, "cycle": 1, "model": "m", **spent}),
        (5, "tool_started", call),
        (6, "tool_finished", {**call, "succeeded": False}),
        (7, "judged", {"cycle": 1, "verdicts": judged}),
    ]
    assert shop.connection.execute("SELECT next_event FROM execution_runtime").fetchone() == (8,)


def test_journal_of_tools_that_run_side_by_side_is_told_without_a_gap(app: AsApp, held: Claim, shop: Shop) -> None:
    calls = [msgspec.structs.replace(CALL, number=number) for number in range(1, 13)]

    async def write(journal: DatabaseJournal) -> None:
        await journal.start_turn(turn(1))
        await journal.finish_turn(1, ANSWER, spent=Spend(), lost=Spend())
        await asyncio.gather(*map(journal.start_tool_call, calls))
        await asyncio.gather(*(journal.finish_tool_call(each, result="1", succeeded=True) for each in calls))

    journalled(app, held, write)
    events = told(shop)
    assert [seq for seq, _, _ in events] == list(range(3, 29))
    assert sorted(data["call"] for _, kind, data in events if kind == "tool_finished") == list(range(1, 13))


def test_journal_of_a_resumed_run_counts_what_it_repeats(app: AsApp, held: Claim, shop: Shop) -> None:
    async def begin(journal: DatabaseJournal) -> None:
        await journal.start_turn(turn(1))
        await journal.finish_turn(1, ANSWER, spent=Spend(), lost=Spend())
        await journal.start_tool_call(CALL)
        await journal.start_turn(turn(2))

    async def resume(journal: DatabaseJournal) -> None:
        await journal.load()
        await journal.start_tool_call(CALL)
        await journal.start_turn(turn(2))

    journalled(app, held, begin)
    journalled(app, held, resume)
    assert shop.connection.execute("SELECT number, attempts FROM turns ORDER BY number").fetchall() == [(1, 1), (2, 2)]
    assert shop.connection.execute("SELECT attempts, idempotency_key FROM tool_calls").fetchall() == [(2, "1-1-1")]


@pytest.mark.parametrize(
    "write",
    [
        lambda journal: journal.start_turn(turn(2)),
        lambda journal: journal.finish_turn(1, ANSWER, spent=Spend(), lost=Spend()),
        lambda journal: journal.start_tool_call(CALL),
        lambda journal: journal.record_verdicts(1, [Spoken("v", Accept())]),
    ],
    ids=["start_turn", "finish_turn", "start_tool_call", "record_verdicts"],
)
def test_journal_of_a_lost_claim_writes_nothing(
    app: AsApp, held: Claim, shop: Shop, write: Callable[[DatabaseJournal], Awaitable[None]]
) -> None:
    journalled(app, held, lambda journal: journal.start_turn(turn(1)))
    app.connected(lambda connection: runtime.release(connection, held))
    again = hold(app, add_worker(app))
    before = journalled(app, again, lambda journal: journal.load())
    with pytest.raises(LostClaim):
        journalled(app, held, write)
    assert journalled(app, again, lambda journal: journal.load()) == before


def test_journal_keeps_what_postgresql_refuses_in_text(app: AsApp, held: Claim) -> None:
    odd = "a\0b\ud800c"

    async def write(journal: DatabaseJournal) -> None:
        await journal.start_turn(turn(1, Message(role="user", text=odd), item=odd))
        await journal.finish_turn(1, Answer(text=odd, model=odd), spent=Spend(), lost=Spend())
        call = ToolCallStart(turn=1, number=1, call_id=odd, name=odd, arguments=odd, idempotency_key="k")
        await journal.start_tool_call(call)
        await journal.finish_tool_call(call, result='"a\\u0000b"', succeeded=False)
        issue = Issue("/" + odd, odd, hint=odd, narrow={odd: odd})
        await journal.record_verdicts(1, [Spoken("v", Retry(issue)), Spoken("w", Reject(odd))])

    record = journalled(app, held, write)
    answer = record.turns[0].answer
    assert answer is not None
    assert answer.text == "a\ufffdb?c"
    assert record.turns[0].calls[0].result == '"a\\u0000b"'
    assert record.verdicts[1].explanation == "a\ufffdb?c"


def test_journal_cuts_a_request_too_large_in_the_record_only(app: AsApp, held: Claim) -> None:
    long = Message(role="user", text="x" * (LARGEST_REQUEST_BYTES + 1))
    record = journalled(app, held, lambda journal: journal.start_turn(turn(1, Message(role="system", text="s"), long)))
    short, cut = record.turns[0].start.added
    assert short.text == "s"
    assert cut.text.endswith("[cut in this record]")
    assert len(cut.text) < LARGEST_REQUEST_BYTES


def test_journal_of_a_worker_told_to_stop_ends_a_step_and_begins_none(app: AsApp, held: Claim) -> None:
    async def use(database: Database) -> RunRecord:
        stopping = False
        journal = DatabaseJournal(database, held, is_stopping=lambda: stopping)
        await journal.start_turn(turn(1))
        stopping = True
        await journal.finish_turn(1, ANSWER, spent=Spend(), lost=Spend())
        with pytest.raises(ToldToStop):
            await journal.start_tool_call(CALL)
        with pytest.raises(ToldToStop):
            await journal.start_turn(turn(2))
        return await journal.load()

    record = app.pooled(use)
    assert [(step.answer, step.calls) for step in record.turns] == [(ANSWER, ())]


RESERVED = Spend(input_tokens=100, output_tokens=50, cost=Decimal("0.5"), calls=1, is_estimated=True)
SPENT = Spend(input_tokens=10, cached_tokens=4, output_tokens=3, cost=Decimal("0.05"), calls=1)
USAGE = "SELECT input_tokens, cached_tokens, output_tokens, cost, calls, is_estimated FROM usage_of(%s)"


def usage(shop: Shop, claim: Claim) -> Spend:
    row = shop.connection.execute(USAGE, (claim.execution_id,)).fetchone()
    assert row is not None
    return Spend(**dict(zip(Spend.__struct_fields__, row, strict=True)))


def reserving(number: int = 1) -> TurnStart:
    return msgspec.structs.replace(turn(number), reserved=RESERVED)


def test_turn_in_flight_counts_as_it_was_reserved(app: AsApp, held: Claim, shop: Shop) -> None:
    record = journalled(app, held, lambda journal: journal.start_turn(reserving()))
    assert record.turns[0].spent == usage(shop, held) == RESERVED


def test_turn_that_is_answered_counts_what_it_cost(app: AsApp, held: Claim, shop: Shop) -> None:
    async def write(journal: DatabaseJournal) -> None:
        await journal.start_turn(reserving())
        for _ in range(2):
            await journal.finish_turn(1, ANSWER, spent=SPENT, lost=Spend())

    assert journalled(app, held, write).turns[0].spent == usage(shop, held) == SPENT


def test_turn_repeated_after_a_death_counts_what_was_in_flight_once(app: AsApp, held: Claim, shop: Shop) -> None:
    journalled(app, held, lambda journal: journal.start_turn(reserving()))

    async def write(journal: DatabaseJournal) -> None:
        await journal.load()
        for _ in range(2):  # as after a commit whose reply was lost
            await journal.start_turn(reserving())
        assert usage(shop, held) == RESERVED + RESERVED
        await journal.finish_turn(1, ANSWER, spent=SPENT, lost=RESERVED)

    expected = RESERVED.times(2) + SPENT
    assert journalled(app, held, write).turns[0].spent == usage(shop, held) == expected


def test_turn_that_failed_counts_what_was_lost_and_stays_open(app: AsApp, held: Claim, shop: Shop) -> None:
    async def write(journal: DatabaseJournal) -> None:
        await journal.start_turn(reserving())
        await journal.fail_turn(1, SPENT)

    record = journalled(app, held, write)
    assert (record.turns[0].answer, record.turns[0].spent, usage(shop, held)) == (None, SPENT, SPENT)


def test_cost_that_is_not_known_of_one_turn_is_not_known_of_all(app: AsApp, held: Claim, shop: Shop) -> None:
    async def write(journal: DatabaseJournal) -> None:
        for number, cost in ((1, None), (2, Decimal(1))):
            await journal.start_turn(turn(number))
            spent = msgspec.structs.replace(SPENT, cost=cost)
            await journal.finish_turn(number, ANSWER, spent=spent, lost=Spend())

    journalled(app, held, write)
    assert usage(shop, held).cost is None
