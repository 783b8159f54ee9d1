"""One run of a case: the real loop, tools and validators, with the journal and the catalogue in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import assert_never

import msgspec

from service.definitions.context import RunContext
from service.definitions.definition import AnyDefinition
from service.definitions.failures import ExitReason, Failed, Finished, Outcome
from tasks import loop
from tasks.approving import Standing
from tasks.budget import Budget, Spend
from tasks.conversation import Conversation, Models
from tasks.evaluation.arms import Arm
from tasks.evaluation.cases import Case
from tasks.evaluation.results import CycleResult, Expected, Results, RunKey, RunResult
from tasks.journal import RunRecord
from tasks.llm.protocol import LanguageModel, ProviderAway
from tasks.testing import MemoryDataSet, MemoryJournal

NOBODY = Standing(state="declined", reason="nobody is there to approve it")
"""What calls get that must be approved: the model has to do without."""


class ModelUnusable(Exception):
    """The model failed, not the definition: the run says nothing and is not kept. The text is clean."""


async def run_case(
    key: RunKey,
    definition: AnyDefinition,
    case: Case,
    *,
    arm: Arm,
    model: LanguageModel,
    models: Models,
    results: Results,
    turn_seconds: float = 120.0,
) -> RunResult:
    """The case with the key's seed, from which every request's seed follows. Raises ModelUnusable.

    A model error counts as the run's end only where the model answered in this run before and would refuse again,
    such as a prompt that has become too long for it.
    """
    asked, counting = arm.model(model, results)
    counted = [counting]
    journal, made = MemoryJournal(decide=lambda call: NOBODY), arm.definition(definition)

    async def another(name: str) -> LanguageModel:
        other, counts = arm.model(await models(name), results)
        counted.append(counts)
        return other

    conversation = Conversation(
        definition=made,
        model=asked,
        journal=journal,
        context=_context(case, key.seed),
        budget=Budget(made.limits, turn_seconds=turn_seconds),
        models=another,
    )
    try:
        outcome = await loop.run(made, case.input, conversation, RunRecord())
    except ProviderAway as error:
        raise ModelUnusable(error.explanation) from error
    if isinstance(outcome, Failed) and _is_models_fault(outcome, has_answered=any(each.answers for each in counted)):
        raise ModelUnusable(outcome.explanation)
    return _result(key, journal, outcome, case.expect, seconds=sum(each.seconds for each in counted))


def is_success(outcome: Outcome, expect: Expected) -> bool:
    """Whether a run came to what its case has to come to."""
    match outcome:
        case Finished():
            return expect.failure_code is None and expect.result in (msgspec.UNSET, outcome.result)
        case Failed():
            return outcome.code == expect.failure_code
        case _ as never:
            assert_never(never)


def _context(case: Case, seed: int) -> RunContext:
    data_set = MemoryDataSet(case.products, stock=case.stock)
    return RunContext(data_set=data_set, files=case.files, execution_id=seed, field_schema=case.field_schema)


def _is_models_fault(outcome: Failed, *, has_answered: bool) -> bool:
    return outcome.exit_reason is ExitReason.PROVIDER and (outcome.retryable or not has_answered)


def _result(key: RunKey, journal: MemoryJournal, outcome: Outcome, expect: Expected, *, seconds: float) -> RunResult:
    cycles = _cycles(journal)
    spent = sum((turn.spent for turn in journal.turns.values()), Spend())
    return RunResult(
        key=key,
        ending="finished" if isinstance(outcome, Finished) else str(outcome.code),
        is_success=is_success(outcome, expect),
        answers=sum(cycle.calls > 0 for cycle in cycles),
        cycles=tuple(cycles),
        seconds=round(seconds, 3),
        cost=spent.cost,
    )


def _cycles(journal: MemoryJournal) -> Sequence[CycleResult]:
    rejections: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for record in journal.verdicts:
        if record.kind != "accept":
            rejections[record.cycle][record.validator] = max(1, len(record.issues))
    numbers = {turn.start.cycle for turn in journal.turns.values()} | {record.cycle for record in journal.verdicts}
    return [_cycle(number, journal, rejections.get(number, {})) for number in sorted(numbers)]


def _cycle(number: int, journal: MemoryJournal, rejections: Mapping[str, int]) -> CycleResult:
    turns = [turn for turn in journal.turns.values() if turn.start.cycle == number]
    spent = sum((turn.spent for turn in turns), Spend())
    return CycleResult(
        cycle=number,
        calls=len(turns),
        input_tokens=spent.input_tokens,
        cached_tokens=spent.cached_tokens,
        output_tokens=spent.output_tokens,
        prompt=max((turn.answer.usage.input_tokens for turn in turns if turn.answer), default=0),
        rejections=dict(rejections),
    )
