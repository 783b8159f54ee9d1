"""Runs, cases and a way to run them that the tests of evaluations share."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from service.definitions.definition import AnyDefinition
from tasks.evaluation.arms import ARMS
from tasks.evaluation.cases import Case
from tasks.evaluation.results import ANY, CycleResult, Expected, Results, RunKey, RunResult
from tasks.evaluation.running import run_case
from tasks.llm.protocol import LanguageModel

FIRST, LATER = 100, 60
"""Tokens of a first cycle and of each later one."""


def key(case: str = "a", seed: int = 1, strategy: str = "default") -> RunKey:
    return RunKey(definition="d@1", code="0", model="m", strategy=strategy, case=case, case_digest=case, seed=seed)


def result(
    case: str = "a",
    seed: int = 1,
    *,
    answers: int = 1,
    ending: str = "finished",
    strategy: str = "default",
    rejections: Mapping[int, Mapping[str, int]] | None = None,
    cost: Decimal | None = Decimal(0),
) -> RunResult:
    """A run of FIRST tokens in its first cycle and LATER in each other; prompts grow by a tenth a cycle."""
    cycles = tuple(
        CycleResult(
            cycle=number,
            calls=2,
            input_tokens=(FIRST if number == 1 else LATER) - 10,
            output_tokens=10,
            prompt=100 + 10 * (number - 1),
            rejections=dict((rejections or {}).get(number, {})),
        )
        for number in range(1, answers + 1)
    )
    return RunResult(
        key=key(case, seed, strategy),
        ending=ending,
        is_success=ending == "finished",
        answers=answers,
        cycles=cycles,
        seconds=1.0,
        cost=cost,
    )


def ran(
    definition: AnyDefinition,
    model: LanguageModel,
    *,
    strategy: str = "default",
    results: Results | None = None,
    given: Any = None,
    expect: Expected = ANY,
    field_schema: Mapping[str, Any] | None = None,
) -> RunResult:
    """One run of a case without files and products."""

    async def another(name: str) -> LanguageModel:
        return model

    return asyncio.run(
        run_case(
            key(strategy=strategy),
            definition,
            Case(id="a", input=given or {"words": ["ape"]}, expect=expect, field_schema=field_schema),
            arm=ARMS[strategy],
            model=model,
            models=another,
            results=results or Results(),
        )
    )


def write_lines(path: Path, lines: Sequence[Any]) -> Path:
    """A file with each line as JSON, a text as it is."""
    texts = [line if isinstance(line, str) else msgspec.json.encode(line).decode() for line in lines]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path
