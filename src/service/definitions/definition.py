"""A kind of execution as its author writes it: a value with decorators, into which input= and output= types flow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar, overload

import msgspec

from service.definitions.context import AttachedFile, DataSet, FileReference, RunContext, ToolCall
from service.definitions.json_schema import JsonSchema
from service.definitions.limits import Limits
from service.definitions.schema import schema_of
from service.definitions.strategy import PROPOSE, Strategy
from service.definitions.tools import STOP_EXECUTION, Tool, ToolFunction, as_tool
from service.definitions.verdicts import Issue, Verdict

I = TypeVar("I")  # noqa: E741
O = TypeVar("O")  # noqa: E741
Transcript = Literal["answers", "all"]
Judged = TypeVar("Judged", bound=Callable[..., Any])


class Input(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of input types: fields by name, unknown ones refused. The docstring is the schema's description."""


@dataclass(frozen=True)
class Item:
    """A part of the work that a small model is asked for by itself. `key` is its key in the output object."""

    key: str
    instructions: str


@dataclass(frozen=True)
class Example:
    """A worked example, shown to item_by_item models as real turns: what was asked, the calls, the answer."""

    ask: str
    calls: Sequence[ToolCall]
    answer: Any


@dataclass(frozen=True, kw_only=True)
class Proposal(Generic[I, O]):
    """What validators judge. `tool_calls` are all of the run so far, each with its cycle and item.

    `shown` are the files that the model was shown themselves, beside their text.
    """

    input: I
    output: O
    cycle: int
    data_set: DataSet
    tool_calls: Sequence[ToolCall] = ()
    files: Sequence[AttachedFile] = ()
    shown: Sequence[FileReference] = ()
    field_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Step(Generic[I]):
    """The next turn, when it is decided what the model may do in it.

    `issues` are those of the last cycle about this item, `tool_calls` those of this item in this cycle. `strategy` is
    the rung that a correction is on.
    """

    input: I
    item: Item | None
    cycle: int
    issues: Sequence[Issue] = ()
    tool_calls: Sequence[ToolCall] = ()
    strategy: str = PROPOSE
    field_schema: Mapping[str, Any] | None = None

    def called(self, name: str) -> bool:
        """Whether a call of this tool has succeeded in this cycle."""
        return any(call.name == name and call.succeeded for call in self.tool_calls)


@dataclass(frozen=True)
class Offer:
    """What a turn may do: call these tools (name: a schema to use instead of the tool's own, or None), answer.

    `answer_schema` is a schema to use instead of the output's own. stop_execution is on offer where it is named.
    """

    tools: Mapping[str, dict[str, Any] | None] = field(default_factory=dict)
    answer: bool = True
    answer_schema: dict[str, Any] | None = None


Cost = Literal["cheap", "expensive"]
Judge = Callable[[Proposal[I, O]], Verdict]
AsyncJudge = Callable[[Proposal[I, O]], Coroutine[Any, Any, Verdict]]


@dataclass(frozen=True)
class Validator(Generic[I, O]):
    """A registered validator and the name that its verdicts carry. Cheap ones speak before expensive ones."""

    name: str
    function: Callable[[Proposal[I, O]], Verdict | Awaitable[Verdict]]
    cost: Cost = "cheap"


class Definition(Generic[I, O]):
    """A kind of execution that agents of `agent_type` offer under `key`.

    `input` and `output` are types of msgspec, pydantic models or JsonSchema; an answer must decode into `output`.
    `failures` maps codes of its own to their meaning, for Reject.
    `stop_codes` are those of them that the model itself may name when it calls stop_execution.
    `limits` bounds every run; `corrections` and `max_tool_calls` are short for two of them. `model` is used where the
    agent names none. `system` replaces the default system message's first part. `strategy` says how wrong answers are
    corrected. `transcript` says what account tokens see of a run: answers, verdicts and names of tools, or all.
    `explain_with_model` lets the model say in words why no answer was accepted, within the limits.
    Raise `version` whenever a run that began with the old code could not go on with the new.
    """

    asks: Callable[..., str | Awaitable[str]] | None = None
    splits: Callable[[I, RunContext], Sequence[Item] | Awaitable[Sequence[Item]]] | None = None
    offers: Callable[[Step[I]], Offer] | None = None

    def __init__(
        self,
        *,
        key: str,
        name: str,
        agent_type: str,
        input: type[I] | JsonSchema[I],  # noqa: A002
        output: type[O] | JsonSchema[O],
        version: int = 1,
        description: str | None = None,
        tools: Sequence[Tool | ToolFunction] = (),
        failures: Mapping[str, str] | None = None,
        stop_codes: Sequence[str] = (),
        limits: Limits | None = None,
        corrections: int | None = None,
        max_tool_calls: int | None = None,
        accepts_files: bool = True,
        model: str | None = None,
        system: str | None = None,
        examples: Sequence[Example] = (),
        strategy: Strategy | None = None,
        transcript: Transcript = "answers",
        explain_with_model: bool = False,
    ) -> None:
        self.key, self.version = key, version
        self.name, self.description = name, description
        self.agent_type = agent_type
        self.input, self.output = input, output
        self.tools: tuple[Tool, ...] = tuple(as_tool(given) for given in tools)
        self.failures: dict[str, str] = dict(failures or {})
        self.stop_codes = tuple(stop_codes)
        self.limits = _limits(limits or Limits(), corrections=corrections, tool_calls=max_tool_calls)
        self.accepts_files = accepts_files
        self.model = model
        self.system = system
        self.examples = tuple(examples)
        self.strategy = strategy or Strategy()
        self.transcript, self.explain_with_model = transcript, explain_with_model
        self.validators: list[Validator[I, O]] = []

    def __repr__(self) -> str:
        return f"<Definition {self.reference}>"

    @property
    def reference(self) -> str:
        """Key and version in one word, such as echo@1: what workers offer and runs wait for."""
        return f"{self.key}@{self.version}"

    @property
    def models(self) -> list[str]:
        """The models that it names itself: of agents that name none, and what corrections escalate to."""
        return [name for name in (self.model, self.strategy.escalate_to) if name]

    @property
    def corrections(self) -> int:
        """How often a wrong answer may be corrected."""
        return self.limits.corrections

    @property
    def max_tool_calls(self) -> int:
        """Tool calls that a whole run may make."""
        return self.limits.tool_calls

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON Schema that clients see."""
        return schema_of(self.input, title=f"{self.name} Input")

    @property
    def output_schema(self) -> dict[str, Any]:
        """The JSON Schema of results."""
        return schema_of(self.output, title=f"{self.name} Output")

    def tool(self, name: str) -> Tool | None:
        """The tool of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)

    @overload
    def instructions(self, function: Callable[[I], str], /) -> Callable[[I], str]: ...

    @overload
    def instructions(self, function: Callable[[I, RunContext], str], /) -> Callable[[I, RunContext], str]: ...

    @overload
    def instructions(
        self, function: Callable[[I], Coroutine[Any, Any, str]], /
    ) -> Callable[[I], Coroutine[Any, Any, str]]: ...

    @overload
    def instructions(
        self, function: Callable[[I, RunContext], Coroutine[Any, Any, str]], /
    ) -> Callable[[I, RunContext], Coroutine[Any, Any, str]]: ...

    def instructions(self, function: Callable[..., Any], /) -> Callable[..., Any]:
        """Decorates what the model is asked: f(input) or f(input, context), sync or async, called once per run."""
        self.asks = function
        return function

    @overload
    def validator(self, function: Judge[I, O], /) -> Judge[I, O]: ...

    @overload
    def validator(self, function: AsyncJudge[I, O], /) -> AsyncJudge[I, O]: ...

    @overload
    def validator(self, /, *, cost: Cost) -> Callable[[Judged], Judged]: ...

    def validator(self, function: Callable[..., Any] | None = None, /, *, cost: Cost = "cheap") -> Callable[..., Any]:
        """Decorates f(proposal) -> Verdict; a plain def runs in a thread. All speak each cycle.

        They speak in the file's order, those of `cost="expensive"` after all others.
        """

        def register(judge: Judged) -> Judged:
            self.validators.append(Validator(getattr(judge, "__name__", repr(judge)), judge, cost))
            return judge

        return register if function is None else register(function)

    @property
    def speaking_order(self) -> list[Validator[I, O]]:
        """The validators as they speak: cheap before expensive, else in the file's order."""
        return sorted(self.validators, key=lambda validator: validator.cost == "expensive")

    @overload
    def items(
        self, function: Callable[[I, RunContext], Sequence[Item]], /
    ) -> Callable[[I, RunContext], Sequence[Item]]: ...

    @overload
    def items(
        self, function: Callable[[I, RunContext], Coroutine[Any, Any, Sequence[Item]]], /
    ) -> Callable[[I, RunContext], Coroutine[Any, Any, Sequence[Item]]]: ...

    def items(self, function: Callable[[I, RunContext], Any], /) -> Callable[[I, RunContext], Any]:
        """Decorates f(input, context) -> items, asked for one by one where the model's profile says item_by_item.

        The output must then be an object; each item's answer holds that item's keys, and they are merged.
        """
        self.splits = function
        return function

    def offer(self, function: Callable[[Step[I]], Offer], /) -> Callable[[Step[I]], Offer]:
        """Decorates f(step) -> Offer: what the model may do next. Without one it may do everything in every turn."""
        self.offers = function
        return function

    def next_offer(self, step: Step[I]) -> Offer:
        """What the model may do in this step."""
        if self.offers is not None:
            return self.offers(step)
        return Offer(tools={**{tool.name: None for tool in self.tools}, STOP_EXECUTION: None})


def _limits(limits: Limits, **short: int | None) -> Limits:
    return msgspec.structs.replace(limits, **{name: value for name, value in short.items() if value is not None})


AnyDefinition = Definition[Any, Any]
"""A definition whose types do not matter to the reader."""
