"""How often the sample is rejected, corrected and finished: the real loop and the real local model, many seeds.

    .venv/bin/python benchmarks/sample_rates.py --runs 20

Prints one line per run and the rates with 95 % Wilson intervals. A run's execution id is the seed of its answers.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import math
import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import click
import msgspec

from service.definitions.context import AttachedFile, Product, RunContext
from service.definitions.failures import Finished
from tasks import loop
from tasks.conversation import Conversation
from tasks.definitions.catalog_enrichment import enrichment
from tasks.journal import RunRecord
from tasks.llm.local import open_smollm2
from tasks.llm.protocol import LanguageModel
from tasks.testing import MemoryDataSet, MemoryJournal

WITHIN_SECONDS = 60


@dataclass(frozen=True)
class Run:
    """What one seed came to."""

    seed: int
    ending: str
    cycles: int
    seconds: float
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    rejections: tuple[tuple[int, str], ...]
    """(cycle, validator) for each verdict that asked for another answer."""

    @property
    def is_finished(self) -> bool:
        return self.ending == "finished"


async def run_once(model: LanguageModel, seed: int, skus: Sequence[str]) -> Run:
    """One execution of the sample, without a database: the journal is in memory."""
    sample = files("service.supervision") / "sample"
    rows = csv.DictReader((sample / "products.csv").read_text(encoding="utf-8").splitlines())
    sheet = AttachedFile("product-sheet.txt", "text/plain", (sample / "product-sheet.txt").read_text(encoding="utf-8"))
    journal = MemoryJournal()
    context = RunContext(
        data_set=MemoryDataSet([msgspec.convert(row, Product) for row in rows]), files=[sheet], execution_id=seed
    )
    conversation = Conversation(definition=enrichment, model=model, journal=journal, context=context)
    began = time.monotonic()
    outcome = await loop.run(enrichment, {"skus": list(skus)}, conversation, RunRecord())
    usages = [turn.answer.usage for turn in journal.turns.values() if turn.answer]
    return Run(
        seed=seed,
        ending="finished" if isinstance(outcome, Finished) else outcome.code,
        cycles=outcome.cycles,
        seconds=time.monotonic() - began,
        calls=len(usages),
        input_tokens=sum(usage.input_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        rejections=tuple((record.cycle, record.validator) for record in journal.verdicts if record.kind == "retry"),
    )


def wilson(successes: int, runs: int) -> str:
    """`k of n (95 %: low–high)`."""
    z, rate = 1.96, successes / runs
    middle = (rate + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z / (1 + z * z / runs) * math.sqrt(rate * (1 - rate) / runs + z * z / (4 * runs * runs))
    return f"{successes} of {runs} (95 %: {max(0.0, middle - half):.2f}–{min(1.0, middle + half):.2f})"


def summary(runs: Sequence[Run]) -> str:
    """The rates, times, calls and tokens of these runs."""
    number = len(runs)
    seconds = sorted(run.seconds for run in runs)
    passed = [sum(run.is_finished and run.cycles <= cycle for run in runs) for cycle in range(1, 5)]
    in_time = sum(run.is_finished and run.seconds <= WITHIN_SECONDS for run in runs)
    first = Counter(validator for run in runs for cycle, validator in run.rejections if cycle == 1)
    later = Counter(validator for run in runs for cycle, validator in run.rejections if cycle > 1)

    def middle(values: Sequence[int]) -> float:
        return statistics.median(values)

    return "\n".join(
        [
            f"finished                 {wilson(sum(run.is_finished for run in runs), number)}",
            f"finished within {WITHIN_SECONDS} s     {wilson(in_time, number)}",
            f"rejected at least once   {wilson(sum(bool(run.rejections) for run in runs), number)}",
            f"finished by cycle 1–4    {', '.join(map(str, passed))} of {number}",
            f"seconds                  median {statistics.median(seconds):.1f}, p90 "
            f"{seconds[math.ceil(0.9 * number) - 1]:.1f}, max {seconds[-1]:.1f}",
            f"model calls              median {middle([run.calls for run in runs]):g}, "
            f"max {max(run.calls for run in runs)}",
            f"tokens, median           {middle([run.input_tokens for run in runs]):g} in "
            f"({middle([run.cached_tokens for run in runs]):g} of them cached), "
            f"{middle([run.output_tokens for run in runs]):g} out",
            f"rejections, cycle 1      {_counts(first)}",
            f"rejections, later        {_counts(later)}",
        ]
    )


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counter.most_common()) or "none"


async def main() -> None:
    """Run the seeds one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=1000)
    parser.add_argument("--skus", default="SKU-001,SKU-002")
    given = parser.parse_args()
    model = open_smollm2(max_answer_bytes=1 << 20)
    runs = []
    try:
        for seed in range(given.first_seed, given.first_seed + given.runs):
            run = await run_once(model, seed, given.skus.split(","))
            runs.append(run)
            why = ", ".join(f"{cycle}:{validator}" for cycle, validator in run.rejections)
            click.echo(f"{seed}  {run.ending} in cycle {run.cycles}, {run.seconds:.1f} s, {run.calls} calls  {why}")
    finally:
        await model.close()
    click.echo(summary(runs))


if __name__ == "__main__":
    asyncio.run(main())
