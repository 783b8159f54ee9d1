"""Tools are made of typed functions; what cannot be one is refused where it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agentic import Definition, MemoryDataSet, ToolContext, tool
from service.definitions.tools import Mistake

CONTEXT = ToolContext(data_set=MemoryDataSet(), idempotency_key="1-1-1")


@tool
async def double(context: ToolContext, number: int) -> int:
    """Twice the number."""
    return number * 2


@tool(timeout_seconds=5, keep=True, max_result_bytes=100)
async def fetch(context: ToolContext) -> None:
    """Fetch it."""


async def plain(context: ToolContext) -> None:
    """Plain."""


def test_tool_when_called_as_the_function_then_it_is_the_function() -> None:
    assert asyncio.run(double(CONTEXT, number=4)) == 8


def test_tool_when_made_then_name_and_description_are_the_functions() -> None:
    assert (double.name, double.description, double.timeout_seconds, double.keep) == (
        "double",
        "Twice the number.",
        30.0,
        False,
    )


def test_tool_when_limits_are_given_then_they_hold() -> None:
    assert (fetch.timeout_seconds, fetch.keep, fetch.max_result_bytes) == (5, True, 100)


def test_definition_when_given_plain_functions_then_they_become_tools() -> None:
    definition = Definition(key="a", name="A", agent_type="a", input=dict[str, Any], output=str, tools=[plain, double])
    assert [each.name for each in definition.tools] == ["plain", "double"]
    assert definition.tool("double") is double
    assert definition.tool("triple") is None


async def undocumented(context: ToolContext) -> None: ...


async def untyped(context: ToolContext, number) -> None:  # type: ignore[no-untyped-def]
    """Lacks a type."""


async def contextless(number: int) -> None:
    """Lacks the context."""


async def empty() -> None:
    """Lacks everything."""


async def starred(context: ToolContext, *numbers: int) -> None:
    """Takes any number."""


async def misspelt(context: ToolContext, number: "Nunber") -> None:  # type: ignore[name-defined]  # noqa: F821, UP037
    """Names a type that is not there."""


async def opaque(context: ToolContext, thing: object) -> None:
    """Takes what JSON cannot carry."""


async def callback(context: ToolContext, thing: Callable[[], int]) -> None:
    """Takes what JSON cannot carry."""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (undocumented, "'undocumented' needs a docstring"),
        (untyped, "parameter 'number' needs an annotation"),
        (contextless, "its first parameter must be annotated as ToolContext"),
        (empty, "its first parameter must be annotated as ToolContext"),
        (starred, "parameter 'numbers' must be one that can be given by name"),
        (misspelt, "name 'Nunber' is not defined"),
        (opaque, "cannot be described to a model"),
        (callback, "cannot be described to a model"),
        (lambda context: None, "a tool must be a named function"),
    ],
)
def test_tool_when_the_function_cannot_be_one_then_the_mistake_is_named(function: Any, said: str) -> None:
    with pytest.raises(Mistake) as raised:
        tool(function)
    assert said in raised.value.detail


def test_tool_when_its_time_limit_is_not_positive_then_refused() -> None:
    with pytest.raises(Mistake, match="timeout_seconds must be positive"):
        tool(timeout_seconds=0)(plain)


def test_tool_when_nothing_of_its_result_may_be_kept_then_refused() -> None:
    with pytest.raises(Mistake, match="max_result_bytes must be positive"):
        tool(max_result_bytes=0)(plain)
