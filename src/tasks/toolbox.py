"""One tool call: find the tool, decode the arguments, call it in time, make a result of what came of it."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import msgspec

from service.definitions.context import FileReference, RunContext, ToolContext
from service.definitions.definition import AnyDefinition
from service.definitions.schema import Undecodable, convert
from service.definitions.tools import STOP_EXECUTION, Tool, ToolFailed, tool
from service.errors import Unavailable
from tasks.decoding import NotJson, read_json
from tasks.journal import LostClaim
from tasks.llm.protocol import ToolOffer, ToolRequest
from tasks.storable import clean, clean_text

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Called:
    """What came of a call. `result` is JSON text that the model may read; {"error": …} where it did not succeed."""

    result: str
    succeeded: bool


@tool
async def stop_execution(context: ToolContext, reason: str) -> str:
    """End the job because it cannot be done whatever is tried. Say why; the reason is shown to whoever asked."""
    return "stopped"


@dataclass(frozen=True)
class Stop:
    """Why the model ended the run, and the definition's failure code that it named."""

    reason: str
    code: str | None = None


class Toolbox:
    """The tools of one run. `max_result_bytes` bounds what is kept of any result, as each tool bounds its own; `fakes`
    replace tools in tests."""

    def __init__(
        self,
        definition: AnyDefinition,
        context: RunContext,
        *,
        max_result_bytes: int,
        fakes: Mapping[str, object] | None = None,
    ) -> None:
        self._stop = _stop_tool(definition)
        self._tools = {known.name: known for known in (*definition.tools, self._stop)}
        for name, fake in (fakes or {}).items():
            if name not in self._tools:
                raise ValueError(f"{definition.reference} has no tool {name!r} to fake")
            self._tools[name] = _fake(self._tools[name], fake)
        self.context = context
        self._max_result_bytes = max_result_bytes

    def offers(self, schemas: Mapping[str, dict[str, Any] | None]) -> tuple[ToolOffer, ...]:
        """The tools named, as the model sees them. Raises KeyError for a name that the definition does not have."""
        return tuple(
            ToolOffer(
                name=name,
                description=self._tools[name].description,
                parameters=schema or self._tools[name].schema,
            )
            for name, schema in schemas.items()
        )

    def keeps(self, name: str) -> bool:
        """Whether the tool's last result of the first cycle stays in the prompt of corrections."""
        return name in self._tools and self._tools[name].keep

    def stop_of(self, request: ToolRequest) -> Stop | None:
        """What a well-formed call of stop_execution says, None for every other request."""
        if request.name != STOP_EXECUTION:
            return None
        try:
            said: Any = convert(self._stop.parameters, read_json(request.arguments))
        except (NotJson, Undecodable):
            return None
        reason = said.reason.strip() or "The model stopped the execution without giving a reason."
        return Stop(reason, getattr(said, "code", None))

    def needs_approval(self, request: ToolRequest) -> bool:
        """Whether the call must be approved before it runs. One that would fail by itself needs nobody's approval."""
        found = self._tools.get(request.name)
        if found is None or found.requires_approval is False:
            return False
        try:
            parameters = convert(found.parameters, _read(request))
        except (NotJson, Undecodable):
            return False
        if found.requires_approval is True:
            return True
        try:
            return bool(found.requires_approval(parameters))
        except Exception as error:
            # The boundary around author code: what cannot be judged is not let through.
            log.warning("requires_approval raised", exc_info=error, extra={"tool": found.name})
            return True

    def approval_seconds(self, name: str) -> float | None:
        """How long an approval may be waited for; None without end."""
        found = self._tools.get(name)
        return None if found is None else found.approval_seconds

    async def call(self, request: ToolRequest, *, idempotency_key: str, shown: Sequence[FileReference] = ()) -> Called:
        """Run one call. Whatever is wrong with it is told as its result; only a lost claim or database gets out."""
        found = self._tools.get(request.name)
        if found is None:
            return _failed(f"there is no tool {request.name!r}; there are: {', '.join(sorted(self._tools))}")
        try:
            parameters = convert(found.parameters, _read(request))
        except NotJson as error:
            return _failed(f"the arguments: {error}")
        except Undecodable as error:
            return _failed("; ".join(f"{problem.field('arguments')} {problem.message}" for problem in error.problems))
        return await self._run(found, parameters, self._tool_context(idempotency_key, shown))

    async def _run(self, found: Tool, parameters: msgspec.Struct, context: ToolContext) -> Called:
        arguments = {name: getattr(parameters, name) for name in parameters.__struct_fields__}
        try:
            async with asyncio.timeout(found.timeout_seconds) as limit:
                returned = await _invoke(found, context, arguments)
            return _succeeded(returned, max_bytes=min(found.max_result_bytes, self._max_result_bytes))
        except (LostClaim, Unavailable):
            raise
        except ToolFailed as error:
            return _failed(str(error) or "the tool gave no reason")
        except TimeoutError:
            if limit.expired():
                return _failed(f"the tool took longer than {found.timeout_seconds:g} seconds")
            return _broken(found, "timed out")
        except Exception as error:
            # The boundary around author code: the model is told that the call failed, the log has the details.
            log.warning("tool raised", exc_info=error, extra={"tool": found.name, "key": context.idempotency_key})
            return _broken(found, "failed unexpectedly")

    def _tool_context(self, idempotency_key: str, shown: Sequence[FileReference]) -> ToolContext:
        of_the_run = {field.name: getattr(self.context, field.name) for field in fields(RunContext)}
        return ToolContext(**of_the_run, idempotency_key=idempotency_key, shown=shown)


def _read(request: ToolRequest) -> Any:
    return read_json(request.arguments.strip() or "{}")


def read_arguments(arguments: str) -> dict[str, Any]:
    """A call's arguments as JSON; an empty object where they are none."""
    try:
        value = read_json(arguments)
    except NotJson:
        return {}
    return value if isinstance(value, dict) else {}


def _stop_tool(definition: AnyDefinition) -> Tool:
    """The built-in tool; with a choice of codes where the definition lets the model name one."""
    codes = definition.stop_codes
    if not codes:
        return stop_execution

    async def stop(context: ToolContext, reason: str, code: str | None = None) -> str:
        return "stopped"

    meanings = "\n".join(f"{code}: {definition.failures[code]}" for code in codes)
    fields: list[Any] = [("reason", str), ("code", Literal[codes] | None, None)]
    return replace(
        stop_execution,
        description=f"{stop_execution.description} Name the code that fits, if one does:\n{meanings}",
        function=stop,
        parameters=msgspec.defstruct(STOP_EXECUTION, fields, kw_only=True, forbid_unknown_fields=True),
    )


def _fake(real: Tool, fake: object) -> Tool:
    """The tool with another function: same name, arguments and limits."""

    async def function(context: ToolContext, **arguments: Any) -> object:
        if isinstance(fake, Exception):
            raise fake
        returned = fake(**arguments) if callable(fake) else fake
        return await returned if inspect.isawaitable(returned) else returned

    return replace(real, function=function)


async def _invoke(found: Tool, context: ToolContext, arguments: dict[str, Any]) -> object:
    if inspect.iscoroutinefunction(found.function):
        return await found.function(context, **arguments)
    returned = await asyncio.to_thread(found.function, context, **arguments)
    return await returned if inspect.isawaitable(returned) else returned


def _succeeded(returned: object, *, max_bytes: int) -> Called:
    result = _encoded(returned)
    if len(result.encode()) <= max_bytes:
        return Called(result, succeeded=True)
    shown = returned if isinstance(returned, str) else result
    kept = shown.encode()[: max_bytes // 2].decode(errors="ignore")
    note = f"The result is larger than {max_bytes} bytes; this is its beginning."
    return Called(json.dumps({"note": note, "beginning": kept}, ensure_ascii=False), succeeded=True)


def _encoded(returned: object) -> str:
    try:
        return msgspec.json.encode(returned).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(clean(msgspec.to_builtins(returned))).decode()


def _failed(reason: str) -> Called:
    shown = clean_text(reason)
    shown = shown if len(shown) <= 2000 else f"{shown[:1999]}…"
    return Called(json.dumps({"error": shown}), succeeded=False)


def _broken(found: Tool, what: str) -> Called:
    return _failed(f"the tool {found.name} {what}")
