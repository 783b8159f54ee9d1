"""Tools that a model may call: typed functions; the signature is the schema, the docstring the description."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import msgspec

from service.definitions.context import RunContext, ToolContext
from service.definitions.schema import schema_of
from service.errors import SetupError

STOP_EXECUTION = "stop_execution"
"""The built-in tool with which a model ends a run that cannot succeed."""

MAX_RESULT_BYTES = 65_536
"""What a model is given of a tool's result, unless the tool says otherwise: some 16,000 tokens, in every later turn."""

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")

ToolFunction = Callable[..., Awaitable[object]] | Callable[..., object]


class ToolFailed(Exception):
    """Raise it in a tool to tell the model, in these words, that the call did not succeed."""


class Mistake(SetupError):
    """A definition or a tool is written wrongly; raised where it stands, so the traceback shows the line."""

    code = "definition_mistake"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A function that a model may call. `parameters` is a Struct type made of its signature.

    The tool itself can be called as the function is, which is how it is tested.
    """

    name: str
    description: str
    function: ToolFunction
    parameters: type[msgspec.Struct]
    timeout_seconds: float = 30.0
    keep: bool = False
    max_result_bytes: int = MAX_RESULT_BYTES

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of its arguments, as a model sees it in every turn: made once, not to be changed."""
        schema = schema_of(self.parameters, titles=False)
        schema.pop("description", None)
        return schema


@overload
def tool(function: ToolFunction, /) -> Tool: ...


@overload
def tool(
    *, timeout_seconds: float = 30.0, keep: bool = False, max_result_bytes: int = MAX_RESULT_BYTES
) -> Callable[[ToolFunction], Tool]: ...


def tool(
    function: ToolFunction | None = None,
    /,
    *,
    timeout_seconds: float = 30.0,
    keep: bool = False,
    max_result_bytes: int = MAX_RESULT_BYTES,
) -> Tool | Callable[[ToolFunction], Tool]:
    """Make a tool of `async def f(context: ToolContext, …typed arguments)`; raises Mistake if it cannot be one.

    `timeout_seconds` bounds one call, `max_result_bytes` its result as JSON: of a larger one the model gets the
    beginning and is told so. `keep=True`: the last successful result of the first cycle stays in the prompt of
    corrections, for a tool whose result the model needs again. What it returns must be JSON-able. A plain `def`
    runs in a thread, which a time-out abandons but cannot stop.
    """

    def make(function: ToolFunction) -> Tool:
        return _tool_of(function, timeout_seconds=timeout_seconds, keep=keep, max_result_bytes=max_result_bytes)

    return make if function is None else make(function)


def as_tool(given: Tool | ToolFunction) -> Tool:
    """A tool as it is, or a plain function made into one."""
    return given if isinstance(given, Tool) else tool(given)


def _tool_of(function: ToolFunction, *, timeout_seconds: float, keep: bool, max_result_bytes: int) -> Tool:
    name = getattr(function, "__name__", repr(function))
    if not NAME.fullmatch(name):
        raise Mistake(f"tool {name!r}: a tool must be a named function")
    if not inspect.getdoc(function):
        raise Mistake(f"tool {name!r} needs a docstring: it is what tells the model when to call it")
    if timeout_seconds <= 0:
        raise Mistake(f"tool {name!r}: timeout_seconds must be positive, got {timeout_seconds!r}")
    if max_result_bytes <= 0:
        raise Mistake(f"tool {name!r}: max_result_bytes must be positive, got {max_result_bytes!r}")
    return Tool(
        name=name,
        description=inspect.getdoc(function) or "",
        function=function,
        parameters=_parameters_of(name, function),
        timeout_seconds=timeout_seconds,
        keep=keep,
        max_result_bytes=max_result_bytes,
    )


def _parameters_of(name: str, function: ToolFunction) -> type[msgspec.Struct]:
    try:
        hints = inspect.get_annotations(function, eval_str=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise Mistake(f"tool {name!r}: its annotations cannot be read: {error}") from error
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or hints.get(parameters[0].name) not in (ToolContext, RunContext):
        raise Mistake(f"tool {name!r}: its first parameter must be annotated as ToolContext")
    fields: list[Any] = []
    for parameter in parameters[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise Mistake(f"tool {name!r}: parameter {parameter.name!r} must be one that can be given by name")
        if parameter.name not in hints:
            raise Mistake(f"tool {name!r}: parameter {parameter.name!r} needs an annotation")
        field = (parameter.name, hints[parameter.name])
        fields.append(field if parameter.default is parameter.empty else (*field, parameter.default))
    try:
        made = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
        schema_of(made)
    except (TypeError, ValueError) as error:
        raise Mistake(f"tool {name!r}: its parameters cannot be described to a model: {error}") from error
    return made
