"""What runs amount to: rates, prices and culprits of each model and strategy, and strategies in pairs. Pure."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tasks.evaluation.rates import Estimate, Sums, rate, ratio, resampled
from tasks.evaluation.results import RunResult


class ValidatorCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one validator cost. `runs` it rejected in, `rejections` are cycles, `first` those of them that were first
    cycles, `alone` those in which no other objected. `corrections` and `tokens` are those of the cycles that followed
    its rejections, shared among all validators that rejected the same answer."""

    validator: str
    runs: int
    rejections: int
    first: int
    alone: int
    corrections: float
    tokens: float


class AttributeFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of the cases that have an attribute. `pass_last` allows every answer that the definition does."""

    attribute: str
    cases: int
    runs: int
    pass_1: Estimate
    pass_last: Estimate


class CaseFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One case: successes within 1, 2, … answers, of so many runs."""

    case: str
    runs: int
    passed: tuple[int, ...]


class StrategyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One model under one strategy. `pass_at` allows 1, 2, … answers. `price_of_success` are tokens per success in
    those of a first-cycle success. `prompt_growth`: the longest prompt of cycle 2, 3, … over that of cycle 1, the mean
    of the runs that came so far, None where none did. `cost_per_success` is US dollars, None if no price is known."""

    model: str
    strategy: str
    cases: int
    runs: int
    pass_at: tuple[Estimate, ...]
    tokens_per_success: Estimate
    price_of_success: Estimate
    cost_per_success: Estimate | None
    prompt_growth: tuple[float | None, ...]
    calls_median: float
    seconds_median: float
    endings: dict[str, int]
    validators: tuple[ValidatorCost, ...]
    attributes: tuple[AttributeFigures, ...]
    by_case: tuple[CaseFigures, ...]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy against the first one, over the cases and seeds that both have. `pass_last` and `tokens` are
    differences and ratios in pairs; `gained` are runs that only this one finished, `lost` those that only the other."""

    model: str
    strategy: str
    against: str
    pairs: int
    pass_last: Estimate
    tokens: Estimate
    gained: int
    lost: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation's figures."""

    definition: str
    answers: int
    strategies: tuple[StrategyFigures, ...]
    comparisons: tuple[Comparison, ...]


Attributes = Mapping[str, Sequence[str]]
"""The attributes of each case, by its id."""


def figures(definition: str, answers: int, runs: Sequence[RunResult], attributes: Attributes) -> Figures:
    """The figures of all runs. `answers` is how many answers the definition allows a run."""
    groups: dict[tuple[str, str], list[RunResult]] = {}
    for run in runs:
        groups.setdefault((run.key.model, run.key.strategy), []).append(run)
    first: dict[str, tuple[str, list[RunResult]]] = {}
    comparisons = []
    for (model, strategy), found in groups.items():
        against, others = first.setdefault(model, (strategy, found))
        if against != strategy and (compared := comparison(found, others, answers)):
            comparisons.append(compared)
    return Figures(
        definition=definition,
        answers=answers,
        strategies=tuple(strategy_figures(found, answers, attributes) for found in groups.values()),
        comparisons=tuple(comparisons),
    )


def strategy_figures(runs: Sequence[RunResult], answers: int, attributes: Attributes) -> StrategyFigures:
    """The figures of one model and strategy; there is at least one run."""
    cases = by_case(runs)
    return StrategyFigures(
        model=runs[0].key.model,
        strategy=runs[0].key.strategy,
        cases=len(cases),
        runs=len(runs),
        pass_at=tuple(passed(cases, most) for most in range(1, answers + 1)),
        tokens_per_success=_per_success(cases, lambda run: run.tokens),
        price_of_success=price_of_success(cases),
        cost_per_success=_cost_per_success(cases),
        prompt_growth=tuple(prompt_growth(runs, cycle) for cycle in range(2, answers + 1)),
        calls_median=statistics.median(sum(cycle.calls for cycle in run.cycles) for run in runs),
        seconds_median=statistics.median(run.seconds for run in runs),
        endings=dict(Counter(run.ending for run in runs).most_common()),
        validators=tuple(validator_costs(runs)),
        attributes=tuple(_by_attribute(cases, answers, attributes)),
        by_case=tuple(_case_figures(name, found, answers) for name, found in cases.items()),
    )


def by_case(runs: Sequence[RunResult]) -> dict[str, list[RunResult]]:
    """The runs of each case, cases in the order of their first run."""
    cases: dict[str, list[RunResult]] = {}
    for run in runs:
        cases.setdefault(run.key.case, []).append(run)
    return cases


def passed(cases: Mapping[str, Sequence[RunResult]], answers: int) -> Estimate:
    """pass@k: the rate of runs that succeeded within so many answers."""
    return rate([(sum(run.succeeds_within(answers) for run in found), len(found)) for found in cases.values()])


def price_of_success(cases: Mapping[str, Sequence[RunResult]]) -> Estimate:
    """Tokens per success over those of a run that succeeded at once; where none did, over those of a first cycle."""
    at_once = any(run.succeeds_within(1) for found in cases.values() for run in found)

    def sums(found: Sequence[RunResult]) -> Sums:
        counted = [run for run in found if not at_once or run.succeeds_within(1)]
        firsts = [run.cycles[0].tokens for run in counted if run.cycles]
        return (sum(run.tokens for run in found), sum(run.is_success for run in found), sum(firsts), len(firsts))

    return resampled(
        [sums(found) for found in cases.values()],
        lambda total: ratio(ratio(total[0], total[1]), ratio(total[2], total[3])),
    )


def prompt_growth(runs: Sequence[RunResult], cycle: int) -> float | None:
    """The longest prompt of that cycle over that of the first: the mean of the runs that were asked in both."""
    grown = []
    for run in runs:
        prompts = [each.prompt for each in run.cycles if each.prompt]
        if len(prompts) >= cycle:
            grown.append(prompts[cycle - 1] / prompts[0])
    return statistics.fmean(grown) if grown else None


def validator_costs(runs: Sequence[RunResult]) -> list[ValidatorCost]:
    """What each validator that rejected anything cost, the dearest first."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    tokens: defaultdict[str, float] = defaultdict(float)
    corrections: defaultdict[str, float] = defaultdict(float)
    for run in runs:
        for name in {name for cycle in run.cycles for name in cycle.rejections}:
            counts[name]["runs"] += 1
        for at, cycle in enumerate(run.cycles):
            follows = run.cycles[at + 1] if at + 1 < len(run.cycles) else None
            for name in cycle.rejections:
                counts[name]["rejections"] += 1
                counts[name]["first"] += at == 0
                counts[name]["alone"] += len(cycle.rejections) == 1
                if follows is not None and follows.calls:
                    corrections[name] += 1 / len(cycle.rejections)
                    tokens[name] += follows.tokens / len(cycle.rejections)
    costs = [
        ValidatorCost(
            validator=name,
            runs=counted["runs"],
            rejections=counted["rejections"],
            first=counted["first"],
            alone=counted["alone"],
            corrections=corrections[name],
            tokens=tokens[name],
        )
        for name, counted in counts.items()
    ]
    return sorted(costs, key=lambda cost: (-cost.tokens, -cost.rejections, cost.validator))


def comparison(runs: Sequence[RunResult], others: Sequence[RunResult], answers: int) -> Comparison | None:
    """The runs against others in pairs of the same case and seed; None where they share none."""
    known = {(other.key.case, other.key.case_digest, other.key.seed): other for other in others}
    pairs: dict[str, list[tuple[RunResult, RunResult]]] = {}
    for run in runs:
        if other := known.get((run.key.case, run.key.case_digest, run.key.seed)):
            pairs.setdefault(run.key.case, []).append((run, other))
    flat = [pair for found in pairs.values() for pair in found]
    if not flat:
        return None
    sums = [
        (
            sum(run.succeeds_within(answers) - other.succeeds_within(answers) for run, other in found),
            len(found),
            *(sum(pair[side].tokens for pair in found) for side in (0, 1)),
            *(sum(pair[side].is_success for pair in found) for side in (0, 1)),
        )
        for found in pairs.values()
    ]
    return Comparison(
        model=runs[0].key.model,
        strategy=runs[0].key.strategy,
        against=others[0].key.strategy,
        pairs=len(flat),
        pass_last=resampled(sums, lambda total: ratio(total[0], total[1])),
        tokens=resampled(sums, lambda total: ratio(ratio(total[2], total[4]), ratio(total[3], total[5]))),
        gained=sum(run.is_success and not other.is_success for run, other in flat),
        lost=sum(other.is_success and not run.is_success for run, other in flat),
    )


def _per_success(cases: Mapping[str, Sequence[RunResult]], spent: Callable[[RunResult], float]) -> Estimate:
    sums = [(sum(map(spent, found)), sum(run.is_success for run in found)) for found in cases.values()]
    return resampled(sums, lambda total: ratio(total[0], total[1]))


def _cost_per_success(cases: Mapping[str, Sequence[RunResult]]) -> Estimate | None:
    if any(run.cost is None for found in cases.values() for run in found):
        return None
    return _per_success(cases, lambda run: float(run.cost or 0))


def _by_attribute(
    cases: Mapping[str, Sequence[RunResult]], answers: int, attributes: Attributes
) -> Sequence[AttributeFigures]:
    names = sorted({name for case in cases for name in attributes.get(case, ())})
    having = {
        name: {case: found for case, found in cases.items() if name in attributes.get(case, ())} for name in names
    }
    return [
        AttributeFigures(
            attribute=name,
            cases=len(found),
            runs=sum(map(len, found.values())),
            pass_1=passed(found, 1),
            pass_last=passed(found, answers),
        )
        for name, found in having.items()
    ]


def _case_figures(name: str, runs: Sequence[RunResult], answers: int) -> CaseFigures:
    within = tuple(sum(run.succeeds_within(most) for run in runs) for most in range(1, answers + 1))
    return CaseFigures(case=name, runs=len(runs), passed=within)
