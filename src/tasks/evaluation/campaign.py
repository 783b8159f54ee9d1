"""All runs of an evaluation, a few at a time, each kept as soon as it has ended."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from service.definitions.definition import AnyDefinition
from service.definitions.registry import Source
from service.errors import SetupError
from service.settings import Settings
from tasks.evaluation.arms import Arm
from tasks.evaluation.cases import Case
from tasks.evaluation.results import Results, RunKey, RunResult
from tasks.evaluation.running import run_case
from tasks.llm.models import Models
from tasks.llm.protocol import ModelError


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """What is to be run: every case with every seed, on every model, under every arm."""

    definition: AnyDefinition
    code: str
    cases: Sequence[Case]
    models: Sequence[str]
    arms: Sequence[Arm]
    seeds: Sequence[int]

    def key(self, model: str, arm: Arm, case: Case, seed: int) -> RunKey:
        """What names the run."""
        return RunKey(
            definition=self.definition.reference,
            code=self.code,
            model=model,
            strategy=arm.name,
            case=case.id,
            case_digest=case.digest,
            seed=seed,
        )

    def keys(self) -> list[RunKey]:
        """Every run, in the order of the report."""
        return [
            self.key(model, arm, case, seed)
            for model in self.models
            for arm in self.arms
            for case in self.cases
            for seed in self.seeds
        ]

    def done(self, results: Results) -> list[RunResult]:
        """Those of the runs that results hold, in the order of the report."""
        return [results.runs[key] for key in self.keys() if key in results.runs]

    def pending(self, results: Results) -> deque[tuple[str, Case, int, list[Arm]]]:
        """What is still to be run: arms of one case and seed together, seed by seed, so that what an interrupted
        evaluation has says something of every case."""
        work: deque[tuple[str, Case, int, list[Arm]]] = deque()
        for model in self.models:
            for seed in self.seeds:
                for case in self.cases:
                    arms = [arm for arm in self.arms if self.key(model, arm, case, seed) not in results.runs]
                    if arms:
                        work.append((model, case, seed, arms))
        return work


async def run_all(
    campaign: Campaign, results: Results, settings: Settings, *, parallel: int, after: Callable[[RunResult], None]
) -> None:
    """Run what is still to be run, `parallel` runs at a time; each lane has models of its own, as a worker has.

    Raises SetupError for a model that cannot be opened, ModelUnusable for one that fails; what has ended is kept.
    """
    work = campaign.pending(results)
    lanes = [Models(settings) for _ in range(min(parallel, len(work)))]
    try:
        async with asyncio.TaskGroup() as group:
            for models in lanes:
                group.create_task(_lane(campaign, work, models, results, settings, after))
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    finally:
        for models in lanes:
            await models.close()


async def _lane(
    campaign: Campaign,
    work: deque[tuple[str, Case, int, list[Arm]]],
    models: Models,
    results: Results,
    settings: Settings,
    after: Callable[[RunResult], None],
) -> None:
    while work:
        name, case, seed, arms = work.popleft()
        try:
            model = await models.get(name)
        except ModelError as error:
            raise SetupError(error.explanation) from error
        for arm in arms:
            run = await run_case(
                campaign.key(name, arm, case, seed),
                campaign.definition,
                case,
                arm=arm,
                model=model,
                models=models.get,
                results=results,
                turn_seconds=settings.turn_seconds,
            )
            results.keep(run)
            after(run)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def code_digest(source: Source) -> str:
    """A digest of the modules that a definition lives in: runs of other code are other runs."""
    digest = hashlib.sha256()
    for path in _modules(source.module):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _modules(module: str) -> Iterable[Path]:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]
