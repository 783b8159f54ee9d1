"""What can be wrong with a definition, found at start and never during a run."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterator
from types import UnionType
from typing import Any, get_origin, get_type_hints

from service.definitions.definition import AnyDefinition, Proposal, Validator
from service.definitions.failures import FailureCode
from service.definitions.schema import is_object, schema_of
from service.definitions.strategy import RUNGS
from service.definitions.tools import STOP_EXECUTION

KEBAB_CASE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MAX_NAME_LENGTH = 100


def mistakes(definition: AnyDefinition) -> list[str]:
    """Everything that is wrong with a definition, as sentences; none if it can be used."""
    return [
        *_naming(definition),
        *_parts(definition),
        *_strategy(definition),
        *_failures(definition),
        *_tools(definition),
    ]


def _naming(definition: AnyDefinition) -> Iterator[str]:
    for field in ("key", "agent_type"):
        value = getattr(definition, field)
        if not isinstance(value, str) or not KEBAB_CASE.fullmatch(value) or len(value) > MAX_NAME_LENGTH:
            yield f"{field} {value!r} must be kebab-case, such as order-intake, and at most {MAX_NAME_LENGTH} long"
    if not definition.name.strip():
        yield "name must not be empty"
    if type(definition.version) is not int or definition.version < 1:
        yield f"version {definition.version!r} must be a whole number from 1"
    if definition.corrections < 0:
        yield f"corrections {definition.corrections!r} must not be negative"
    if definition.max_tool_calls < 0:
        yield f"max_tool_calls {definition.max_tool_calls!r} must not be negative"
    yield from definition.limits.problems()
    if definition.transcript not in ("answers", "all"):
        yield f"transcript {definition.transcript!r} must be 'answers' or 'all'"


def _parts(definition: AnyDefinition) -> Iterator[str]:
    if definition.asks is None:
        yield "has no instructions: decorate a function with @….instructions"
    try:
        if not is_object(definition.input):
            takes = "an Input, a pydantic model, a JsonSchema of type object, or dict[str, …]"
            yield f"input {definition.input!r} must be an object: {takes}"
    except (TypeError, ValueError) as error:
        yield f"input {definition.input!r} has no JSON Schema: {error}"
    try:
        is_output_object = schema_of(definition.output).get("type") == "object"
        if definition.splits is not None and not is_output_object:
            yield "has items, so its output must be an object"
    except (TypeError, ValueError) as error:
        yield f"output {definition.output!r} has no JSON Schema: {error}"
    for name, count in Counter(validator.name for validator in definition.validators).items():
        if count > 1:
            yield f"has {count} validators named {name!r}"
    for validator in definition.validators:
        if taken := _foreign_argument(validator):
            yield f"validator {validator.name!r} takes {taken}; it is called with a Proposal"


def _foreign_argument(validator: Validator[Any, Any]) -> str | None:
    """What a validator says it takes, where that is certain to be no Proposal."""
    try:
        first = next(iter(inspect.signature(validator.function).parameters))
        taken = get_type_hints(validator.function).get(first)
    except (StopIteration, TypeError, ValueError, NameError, AttributeError):
        return None  # no annotation, or one that only a type checker reads
    kind = object if taken is Any else get_origin(taken) or taken
    is_foreign = isinstance(kind, type) and kind is not UnionType and not issubclass(Proposal, kind)
    return getattr(taken, "__name__", repr(taken)) if is_foreign else None


def _strategy(definition: AnyDefinition) -> Iterator[str]:
    ladder, stronger = definition.strategy.ladder, definition.strategy.escalate_to
    for name, count in Counter(ladder).items():
        if name not in RUNGS:
            yield f"strategy has no rung {name!r}; there are: {', '.join(RUNGS)}"
        if count > 1:
            yield f"strategy names the rung {name!r} {count} times"
    if not ladder:
        yield "strategy has no rungs: name at least one of " + ", ".join(RUNGS)
    if tuple(ladder) == ("escalate",) and stronger is None:
        yield "strategy only escalates, but names no model in escalate_to"
    if stronger is not None and (not stronger.strip() or "escalate" not in ladder):
        yield f"strategy escalates to {stronger!r}, but its ladder has no rung 'escalate', or that names no model"
    for validator in definition.validators:
        if validator.cost not in ("cheap", "expensive"):
            yield f"validator {validator.name!r} has the cost {validator.cost!r}; it is 'cheap' or 'expensive'"


def _failures(definition: AnyDefinition) -> Iterator[str]:
    for code, meaning in definition.failures.items():
        if not SNAKE_CASE.fullmatch(code):
            yield f"failure code {code!r} must be snake_case, such as no_product_data"
        if code in list(FailureCode):
            yield f"failure code {code!r} is one of the service's own"
        if not meaning.strip():
            yield f"failure code {code!r} needs a meaning"
    for code in definition.stop_codes:
        if code not in definition.failures:
            yield f"stop code {code!r} is none of its failures"


def _tools(definition: AnyDefinition) -> Iterator[str]:
    for name, count in Counter(tool.name for tool in definition.tools).items():
        if count > 1:
            yield f"has {count} tools named {name!r}"
        if name == STOP_EXECUTION:
            yield f"tool {name!r} is built in; name yours otherwise"
