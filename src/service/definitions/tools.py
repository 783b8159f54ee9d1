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

LONGEST_APPROVAL_SECONDS = 366 * 86400.0

ToolFunction = Callable[..., Awaitable[object]] | Callable[..., object]

Approval = bool | Callable[[Any], bool]
"""Whether a call needs somebody's approval: always, never, or as a function of its arguments says."""


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
    requires_approval: Approval = False
    approval_seconds: float | None = None

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
    *,
    timeout_seconds: float = 30.0,
    keep: bool = False,
    max_result_bytes: int = MAX_RESULT_BYTES,
    requires_approval: Approval = False,
    approval_seconds: float | None = None,
) -> Callable[[ToolFunction], Tool]: ...


def tool(
    function: ToolFunction | None = None,
    /,
    *,
    timeout_seconds: float = 30.0,
    keep: bool = False,
    max_result_bytes: int = MAX_RESULT_BYTES,
    requires_approval: Approval = False,
    approval_seconds: float | None = None,
) -> Tool | Callable[[ToolFunction], Tool]:
    """Make a tool of `async def f(context: ToolContext, …typed arguments)`; raises Mistake if it cannot be one.

    `timeout_seconds` bounds one call, `max_result_bytes` its result as JSON: of a larger one the model gets the
    beginning and is told so. `keep=True`: the last successful result of the first cycle stays in the prompt of
    corrections, for a tool whose result the model needs again. What it returns must be JSON-able. A plain `def`
    runs in a thread, which a time-out abandons but cannot stop.

    `requires_approval=True`: before a call runs somebody must approve it, for at most `approval_seconds`; until then
    the run waits. A function of the arguments, by their names, says it call by call: `lambda given: given.price > 9`.
    """

    def make(function: ToolFunction) -> Tool:
        return _tool_of(
            function,
            timeout_seconds=timeout_seconds,
            keep=keep,
            max_result_bytes=max_result_bytes,
            requires_approval=requires_approval,
            approval_seconds=approval_seconds,
        )

    return make if function is None else make(function)


def as_tool(given: Tool | ToolFunction) -> Tool:
    """A tool as it is, or a plain function made into one."""
    return given if isinstance(given, Tool) else tool(given)


def _tool_of(
    function: ToolFunction,
    *,
    timeout_seconds: float,
    keep: bool,
    max_result_bytes: int,
    requires_approval: Approval,
    approval_seconds: float | None,
) -> Tool:
    name = getattr(function, "__name__", repr(function))
    if not NAME.fullmatch(name):
        raise Mistake(f"tool {name!r}: a tool must be a named function")
    if not inspect.getdoc(function):
        raise Mistake(f"tool {name!r} needs a docstring: it is what tells the model when to call it")
    if timeout_seconds <= 0:
        raise Mistake(f"tool {name!r}: timeout_seconds must be positive, got {timeout_seconds!r}")
    if max_result_bytes <= 0:
        raise Mistake(f"tool {name!r}: max_result_bytes must be positive, got {max_result_bytes!r}")
    _check_approval(name, requires_approval, approval_seconds)
    return Tool(
        name=name,
        description=inspect.getdoc(function) or "",
        function=function,
        parameters=_parameters_of(name, function),
        timeout_seconds=timeout_seconds,
        keep=keep,
        max_result_bytes=max_result_bytes,
        requires_approval=requires_approval,
        approval_seconds=approval_seconds,
    )


def _check_approval(name: str, requires: Approval, seconds: float | None) -> None:
    if not (isinstance(requires, bool) or callable(requires)) or inspect.iscoroutinefunction(requires):
        raise Mistake(f"tool {name!r}: requires_approval must be True, False or a plain function, got {requires!r}")
    if seconds is None:
        return
    if requires is False:
        raise Mistake(f"tool {name!r} has approval_seconds and does not require approval")
    if not 0 < seconds <= LONGEST_APPROVAL_SECONDS:
        raise Mistake(f"tool {name!r}: approval_seconds must be positive and at most 366 days, got {seconds!r}")


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
