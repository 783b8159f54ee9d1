"""What a run may use before it is ended: set on the definition, lowered by whoever starts the run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from service.errors import FieldError, InvalidInput

LARGEST = 2**53
"""Above this a JSON number is not exact everywhere."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Separate budgets, each of which ends a run with a code of its own. None is no limit.

    `corrections`: how often a wrong answer may be corrected. `tool_calls`, `input_tokens`, `output_tokens` and `cost`
    (US dollars) are for the whole run, with everything that failed or was repeated. `turn_seconds` is for one request
    to the model; None is what the worker is set to. `seconds` run from the moment a worker first took the execution,
    waits included.
    """

    corrections: int = 3
    tool_calls: int = 20
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    turn_seconds: float | None = None
    seconds: float | None = 3600.0

    def problems(self) -> Iterator[str]:
        """What is wrong with limits that an author wrote."""
        for name in sorted(set(self.__struct_fields__) - FROM_ZERO):
            value = getattr(self, name)
            if value is not None and (problem := _problem(name, value)):
                yield f"limits: {name} {value!r} {problem}"


WHOLE = frozenset({"corrections", "tool_calls", "input_tokens", "output_tokens"})
FROM_ZERO = frozenset({"corrections", "tool_calls"})
NAMES = Limits.__struct_fields__


def lowered(limits: Limits, given: Mapping[str, object]) -> Limits:
    """The limits of one run: the definition's, as low as the caller asks.

    Raises InvalidInput naming every one that is unknown, no such number, or higher than the definition's.
    """
    errors: list[FieldError] = []
    for name, value in given.items():
        problem = _refusal(limits, name, value)
        if problem is not None:
            shown = name[:100].encode("unicode_escape").decode()
            errors.append(FieldError(f"limits.{shown}", problem))
    if errors:
        raise InvalidInput(errors)
    changed: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(limits, **changed)


def _refusal(limits: Limits, name: str, value: object) -> str | None:
    if name not in NAMES:
        return f"is not a known limit; there are {', '.join(NAMES)}"
    most = getattr(limits, name)
    if value is None:
        return None if most is None else f"may be lowered from {most:g}, not lifted"
    problem = _problem(name, value)
    if problem is not None or most is None:
        return problem
    assert isinstance(value, int | float)
    return f"may be lowered from {most:g}, not raised" if value > most else None


def _problem(name: str, value: object) -> str | None:
    least = "from 0" if name in FROM_ZERO else "above 0"
    kind = "a whole number" if name in WHOLE else "a number"
    is_number = type(value) is int or (type(value) is float and name not in WHOLE)
    if not is_number or not isinstance(value, int | float) or not math.isfinite(value) or value > LARGEST:
        return f"must be {kind} {least}"
    return f"must be {kind} {least}" if value < 0 or (value == 0 and name not in FROM_ZERO) else None
