"""Figures as a table for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tasks.evaluation.figures import Comparison, Figures, StrategyFigures
from tasks.evaluation.rates import Estimate


def as_text(figures: Figures) -> str:
    """All tables, one after the other."""
    lines = [*_rates(figures), *_prices(figures)]
    for each in figures.strategies:
        lines += _validators(each)
    for each in figures.strategies:
        lines += _attributes(each, figures.answers)
    for each in figures.strategies:
        lines += _cases(each, figures.answers)
    lines += _comparisons(figures.comparisons, figures.answers)
    return "\n".join(lines)


def _rates(figures: Figures) -> list[str]:
    heads = [f"pass@{most}" for most in range(1, figures.answers + 1)]
    rows = [
        [each.model, each.strategy, str(each.cases), str(each.runs), *(_rate(found) for found in each.pass_at)]
        for each in figures.strategies
    ]
    return [f"{figures.definition}: successes within k answers", *_table(["", "", "cases", "runs", *heads], rows)]


def _prices(figures: Figures) -> list[str]:
    rows = [
        [
            each.model,
            each.strategy,
            _number(each.tokens_per_success, "{:.0f}"),
            _number(each.price_of_success, "{:.2f}"),
            "unknown" if each.cost_per_success is None else _number(each.cost_per_success, "${:.5f}"),
            " ".join("–" if grown is None else f"{grown:.2f}" for grown in each.prompt_growth),
            f"{each.calls_median:g}",
            f"{each.seconds_median:.1f}",
            ", ".join(f"{ending} {count}" for ending, count in each.endings.items()),
        ]
        for each in figures.strategies
    ]
    heads = ["tokens per success", "in first-cycle successes", "money per success", "prompt of cycle 2… / 1"]
    return ["", *_table(["", "", *heads, "calls", "seconds", "endings"], rows)]


def _validators(figures: StrategyFigures) -> Iterator[str]:
    if not figures.validators:
        return
    yield ""
    yield f"What validators cost: {figures.model}, {figures.strategy}"
    rows = [
        [
            each.validator,
            str(each.runs),
            str(each.rejections),
            str(each.first),
            str(each.alone),
            f"{each.corrections:.1f}",
            f"{each.tokens:.0f}",
        ]
        for each in figures.validators
    ]
    yield from _table(["", "runs", "rejections", "in cycle 1", "alone", "corrections", "tokens"], rows)


def _attributes(figures: StrategyFigures, answers: int) -> Iterator[str]:
    if not figures.attributes:
        return
    yield ""
    yield f"By attribute of the case: {figures.model}, {figures.strategy}"
    rows = [
        [each.attribute, str(each.cases), str(each.runs), _rate(each.pass_1), _rate(each.pass_last)]
        for each in figures.attributes
    ]
    yield from _table(["", "cases", "runs", "pass@1", f"pass@{answers}"], rows)


def _cases(figures: StrategyFigures, answers: int) -> Iterator[str]:
    yield ""
    yield f"By case: {figures.model}, {figures.strategy}"
    rows = [[each.case, str(each.runs), " ".join(map(str, each.passed))] for each in figures.by_case]
    yield from _table(["", "runs", f"successes within 1…{answers} answers"], rows)


def _comparisons(comparisons: Sequence[Comparison], answers: int) -> Iterator[str]:
    if not comparisons:
        return
    yield ""
    yield "In pairs of the same case and seed"
    rows = [
        [
            each.model,
            f"{each.strategy} against {each.against}",
            str(each.pairs),
            _number(each.pass_last, "{:+.2f}"),
            f"+{each.gained} -{each.lost}",
            _number(each.tokens, "x {:.2f}"),
        ]
        for each in comparisons
    ]
    yield from _table(["", "", "pairs", f"pass@{answers}", "runs", "tokens per success"], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[at]) for row in (heads, *rows)) for at in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)
    ]


def _rate(found: Estimate) -> str:
    return _number(found, "{:.2f}")


def _number(found: Estimate, form: str) -> str:
    """The figure with its 95 % interval."""

    def shown(value: float | None) -> str:
        return "∞" if value is None else form.format(value)

    return f"{shown(found.value)} ({shown(found.low)}–{shown(found.high)})"
