"""The journal of a run in the database. Every write waits out an outage with what it has in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from service.conversations import journal_store
from service.database import Connection, Database, Row
from service.definitions.verdicts import Issue, Reject, Retry, Spoken
from service.executions.runtime import Claim
from tasks.approving import Standing
from tasks.budget import Spend
from tasks.journal import LostClaim, RunRecord, ToolCallRecord, ToolCallStart, TurnRecord, TurnStart, VerdictRecord
from tasks.llm.protocol import Answer, Message
from tasks.outage import outlast
from tasks.storable import clean, clean_text

LARGEST_REQUEST_BYTES = 4 * 1024 * 1024
CUT = "\n[cut in this record]"


class ToldToStop(LostClaim):
    """The worker is stopping and the run stands between two steps: it goes on in another worker."""


class DatabaseJournal:
    """The Journal of one claim. `is_stopping` is asked before each new step, `on_written` called after each that is
    committed: events were added."""

    def __init__(
        self,
        database: Database,
        claim: Claim,
        *,
        is_stopping: Callable[[], bool],
        on_written: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._claim = claim
        self._is_stopping = is_stopping
        self._on_written = on_written
        self._turn_attempts: dict[int, int] = {}
        self._lost: defaultdict[int, Spend] = defaultdict(Spend)
        self._call_attempts: dict[tuple[int, int], int] = {}

    async def load(self) -> RunRecord:
        """Everything journalled so far, by whichever worker."""

        async def read(connection: Connection) -> journal_store.JournalRows:
            return await journal_store.read(connection, self._claim.execution_id)

        rows = await outlast(self._database, read)
        self._turn_attempts = {row["number"]: row["attempts"] for row in rows.turns}
        self._lost = defaultdict(Spend, {row["number"]: _lost(row) for row in rows.turns})
        self._call_attempts = {(row["turn"], row["number"]): row["attempts"] for row in rows.tool_calls}
        return _record(rows)

    async def start_turn(self, turn: TurnStart) -> None:
        """Attempts and losses are counted from what was loaded, so that repeating this statement counts nothing."""
        self._leave_if_stopping()
        values = {
            **_settled(turn.number, self._lost[turn.number]),
            "reserved_input_tokens": turn.reserved.input_tokens,
            "reserved_output_tokens": turn.reserved.output_tokens,
            "reserved_cost": turn.reserved.cost,
            "strategy": turn.strategy,
            "cycle": turn.cycle,
            "item": None if turn.item is None else clean_text(turn.item),
            "model": turn.model,
            "digest": turn.request_digest,
            "request": _encode_request(turn.added),
            "attempts": self._turn_attempts.get(turn.number, 0) + 1,
        }
        await self._write(journal_store.START_TURN, values)

    async def finish_turn(self, number: int, answer: Answer, *, spent: Spend, lost: Spend) -> None:
        """The whole answer is kept: a resumed run goes on from it without asking the model again."""
        lost_in_all = self._lost[number] + lost
        values = {
            **_settled(number, lost_in_all),
            "answer": _encode(answer),
            "finish_reason": answer.finish_reason,
            "input_tokens": spent.input_tokens,
            "cached_tokens": spent.cached_tokens,
            "output_tokens": spent.output_tokens,
            "cost": spent.cost,
            "calls": lost_in_all.calls + spent.calls,
            "is_estimated": lost_in_all.is_estimated or spent.is_estimated,
        }
        await self._write(journal_store.FINISH_TURN, values)

    async def fail_turn(self, number: int, lost: Spend) -> None:
        """The turn stays open, with what was lost on it so far."""
        self._lost[number] += lost
        await self._write(journal_store.FAIL_TURN, _settled(number, self._lost[number]))

    async def start_tool_call(self, call: ToolCallStart) -> None:
        """Written before the tool runs, so that a tool that kills its worker is known by name."""
        self._leave_if_stopping()
        attempts = self._call_attempts.get((call.turn, call.number), 0) + 1
        values = {**_call_values(call), "attempts": attempts}
        await self._write(journal_store.START_TOOL_CALL, values)

    async def finish_tool_call(self, call: ToolCallStart, *, result: str, succeeded: bool) -> None:
        """`result` is JSON text; it is kept as bytes."""
        values = {
            "turn": call.turn,
            "number": call.number,
            "result": result.encode("utf-8", "replace"),
            "succeeded": succeeded,
        }
        await self._write(journal_store.FINISH_TOOL_CALL, values)

    async def ask_approval(self, call: ToolCallStart, *, seconds: float | None) -> Standing:
        """Asked once: a repeat finds what was asked, and by whom it was decided meanwhile."""
        values = {**_call_values(call), "seconds": seconds}

        async def ask(connection: Connection) -> Row | None:
            return await journal_store.ask_approval(connection, self._claim, values)

        row = await outlast(self._database, ask)
        if row is None:
            raise LostClaim
        self._on_written()
        return Standing(state=row["decision"] or "open", reason=row["reason"])

    async def decline_tool_call(self, call: ToolCallStart, *, result: str) -> None:
        """One finished row, which was never started."""
        values = {**_call_values(call), "result": result.encode("utf-8", "replace")}
        await self._write(journal_store.DECLINE_TOOL_CALL, values)

    async def record_verdicts(self, cycle: int, spoken: Sequence[Spoken]) -> None:
        """All verdicts of a cycle at once, in their order of speaking."""
        verdicts = [_verdict_row(each) for each in spoken]

        async def write(connection: Connection) -> bool:
            return await journal_store.record_verdicts(connection, self._claim, cycle=cycle, verdicts=verdicts)

        await self._keep(write)

    async def _write(self, statement: str, values: dict[str, Any]) -> None:
        async def write(connection: Connection) -> bool:
            return await journal_store.write(connection, self._claim, statement, values)

        await self._keep(write)

    async def _keep(self, write: Callable[[Connection], Awaitable[bool]]) -> None:
        if not await outlast(self._database, write):
            raise LostClaim
        self._on_written()

    def _leave_if_stopping(self) -> None:
        if self._is_stopping():
            raise ToldToStop


def _call_values(call: ToolCallStart) -> dict[str, Any]:
    return {
        "turn": call.turn,
        "number": call.number,
        "call_id": clean_text(call.call_id),
        "name": clean_text(call.name),
        "arguments": call.arguments.encode("utf-8", "replace"),
        "key": call.idempotency_key,
    }


def _settled(number: int, lost: Spend) -> dict[str, Any]:
    return {
        "number": number,
        "lost_input_tokens": lost.input_tokens,
        "lost_cached_tokens": lost.cached_tokens,
        "lost_output_tokens": lost.output_tokens,
        "lost_cost": lost.cost,
        "calls": lost.calls,
        "is_estimated": lost.is_estimated,
    }


def _lost(row: dict[str, Any]) -> Spend:
    """What a turn cost beside its answer. What was in flight when a worker died counts as it was reserved."""
    in_flight = row["reserved_output_tokens"] > 0
    return Spend(
        input_tokens=row["lost_input_tokens"] + row["reserved_input_tokens"],
        cached_tokens=row["lost_cached_tokens"],
        output_tokens=row["lost_output_tokens"] + row["reserved_output_tokens"],
        cost=None if None in (row["lost_cost"], row["reserved_cost"]) else row["lost_cost"] + row["reserved_cost"],
        calls=row["calls"] + in_flight,
        is_estimated=row["is_estimated"] or in_flight,
    )


def _encode(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(clean(msgspec.to_builtins(value)))


def _encode_request(added: tuple[Message, ...]) -> bytes:
    """JSON of the messages; a text that makes the record too large is cut in the record, not in the prompt."""
    encoded = _encode(added)
    if len(encoded) <= LARGEST_REQUEST_BYTES:
        return encoded
    longest = LARGEST_REQUEST_BYTES // (4 * len(added))
    cut = [
        msgspec.structs.replace(message, text=message.text[:longest] + CUT) if len(message.text) > longest else message
        for message in added
    ]
    return _encode(cut)


def _verdict_row(spoken: Spoken) -> dict[str, Any]:
    row: dict[str, Any] = {"validator": spoken.validator, "kind": "accept", "issues": []}
    match spoken.verdict:
        case Retry(issues=issues):
            row |= {"kind": "retry", "issues": [_issue(issue) for issue in issues]}
        case Reject(explanation=explanation, code=code):
            row |= {"kind": "reject", "code": code, "explanation": explanation}
    cleaned: dict[str, Any] = clean(row)
    return cleaned


def _issue(issue: Issue) -> dict[str, Any]:
    return {
        "path": issue.path,
        "message": issue.message,
        "hint": issue.hint,
        "narrow": None if issue.narrow is None else dict(issue.narrow),
        "fix": None if issue.fix is None else {"value": issue.fix.value},
    }


def _record(rows: journal_store.JournalRows) -> RunRecord:
    calls: defaultdict[int, list[ToolCallRecord]] = defaultdict(list)
    for row in rows.tool_calls:
        calls[row["turn"]].append(_call(row))
    asked: defaultdict[int, set[int]] = defaultdict(set)
    for row in rows.asked:
        asked[row["turn"]].add(row["call"])
    return RunRecord(
        turns=tuple(_turn(row, tuple(calls[row["number"]]), frozenset(asked[row["number"]])) for row in rows.turns),
        verdicts=tuple(VerdictRecord(**{**row, "issues": tuple(row["issues"])}) for row in rows.verdicts),
    )


def _turn(row: dict[str, Any], calls: tuple[ToolCallRecord, ...], asked: frozenset[int]) -> TurnRecord:
    start = TurnStart(
        number=row["number"],
        cycle=row["cycle"],
        item=row["item"],
        model=row["model"],
        request_digest=row["request_digest"],
        added=msgspec.json.decode(row["request"], type=tuple[Message, ...]),
        strategy=row["strategy"],
    )
    answer = None if row["answer"] is None else msgspec.json.decode(row["answer"], type=Answer)
    return TurnRecord(start=start, answer=answer, calls=calls, asked=asked, spent=_lost(row) + _spent(row))


def _spent(row: dict[str, Any]) -> Spend:
    """What the answer cost; its requests are counted with the lost ones."""
    if row["answer"] is None:
        return Spend()
    return Spend(
        input_tokens=row["input_tokens"] or 0,
        cached_tokens=row["cached_tokens"] or 0,
        output_tokens=row["output_tokens"] or 0,
        cost=row["cost"],
    )


def _call(row: dict[str, Any]) -> ToolCallRecord:
    start = ToolCallStart(
        turn=row["turn"],
        number=row["number"],
        call_id=row["call_id"],
        name=row["name"],
        arguments=row["arguments"].decode(),
        idempotency_key=row["idempotency_key"],
    )
    result = None if row["result"] is None else row["result"].decode()
    return ToolCallRecord(start=start, result=result, succeeded=row["succeeded"])
