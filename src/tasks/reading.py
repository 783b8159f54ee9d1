"""What the definition asks, and what the model's text amounts to."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from service.definitions.context import RunContext
from service.definitions.definition import AnyDefinition, Item
from service.definitions.json_schema import JsonSchema
from service.definitions.problems import Problem
from service.definitions.schema import Undecodable, convert, schema_of
from service.definitions.verdicts import Issue
from tasks.asks import Reply
from tasks.decoding import NotJson, find_json

O = TypeVar("O")  # noqa: E741

OPENINGS = {"object": "{", "array": "["}


async def instructions(definition: AnyDefinition, typed: Any, context: RunContext) -> str:
    """What the model is asked for all of the work."""
    if definition.asks is None:
        raise ValueError(f"{definition.reference} has no instructions")
    takes_context = len(inspect.signature(definition.asks).parameters) > 1
    asked = definition.asks(typed, context) if takes_context else definition.asks(typed)
    return await asked if inspect.isawaitable(asked) else asked


async def items(definition: AnyDefinition, typed: Any, context: RunContext) -> list[Item] | None:
    """The parts to ask for one by one; None where the definition does not split its work."""
    if definition.splits is None:
        return None
    split = definition.splits(typed, context)
    return list(await split if inspect.isawaitable(split) else split)


def read_reply(output: Any, reply: Reply, item: Item | None) -> tuple[Any, list[Issue]]:
    """The JSON value of a reply, and what is wrong where there is none. An item's reply holds that item's key alone."""
    place: tuple[str | int, ...] = () if item is None else (item.key,)
    try:
        value = find_json(reply.text, "{" if item is not None else OPENINGS.get(schema_of(output).get("type", "")))
    except NotJson as error:
        return None, [_issue(Problem(place, _why(reply, str(error))))]
    if item is not None and (not isinstance(value, dict) or set(value) != {item.key}):
        return None, [_issue(Problem(place, f"must be an object with exactly the key {item.key!r}"))]
    return value, []


def decode_output(output: type[O] | JsonSchema[O], value: Any) -> tuple[O | None, list[Issue]]:
    """The value as the output type, and every way in which it is not."""
    try:
        return convert(output, value), []
    except Undecodable as error:
        return None, [_issue(problem) for problem in error.problems]


def _why(reply: Reply, problem: str) -> str:
    if reply.finish_reason == "length":
        return "was cut off because it is too long; answer shorter"
    return f"must be one JSON value, but it {problem}"


def _issue(problem: Problem) -> Issue:
    message = problem.message
    return Issue(problem.pointer, message if problem.path else f"the answer {message}")
