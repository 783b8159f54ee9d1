"""A package with a definition whose steps a test can follow: every model call and tool call is a line in a file.

Its model does what the input says: some tool calls, one a turn, then the answer. Lines are "WHAT EXECUTION TURN".
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agentic import Accept, Definition, Input, Proposal, Retry, ToolContext, Verdict, tool
from service.profiles import Price
from tasks.llm import models
from tasks.llm.protocol import Answer, LanguageModel, Profile, Request, ToolRequest, Usage


class StepsInput(Input):
    """What the run does. `tool` is called in each of the first `tool_calls` turns; `corrections` cycles are retried."""

    log: str
    tool: str = "work"
    tool_calls: int = 1
    corrections: int = 0
    model_seconds: float = 0.0
    tool_seconds: float = 0.0


def note(log: str, what: str, execution_id: int, turn: int) -> None:
    with Path(log).open("a") as file:
        file.write(f"{what} {execution_id} {turn}\n")


@tool
async def work(context: ToolContext, log: str, turn: int, seconds: float) -> str:
    """Does nothing for a while."""
    note(log, "tool", context.execution_id, turn)
    await asyncio.sleep(seconds)
    return "done"


@tool
async def read_catalogue(context: ToolContext, log: str, turn: int, seconds: float) -> int:
    """Asks the database after a while."""
    note(log, "tool", context.execution_id, turn)
    await asyncio.sleep(seconds)
    return len(await context.data_set.search("chair"))


@tool
async def kill_worker(context: ToolContext, log: str, turn: int, seconds: float) -> str:
    """Takes its whole process along."""
    note(log, "tool", context.execution_id, turn)
    os.kill(os.getpid(), signal.SIGKILL)
    return "never said"


@tool(timeout_seconds=60)
async def block_worker(context: ToolContext, log: str, turn: int, seconds: float) -> str:
    """Holds the event loop of its process, the first time."""
    note(log, "tool", context.execution_id, turn)
    hold_the_loop(Path(f"{log}.blocked"), seconds)
    return "done"


def hold_the_loop(first: Path, seconds: float) -> None:
    """At most so long; less where the test says by a file that it has seen enough."""
    if not first.exists():
        first.touch()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not first.with_suffix(".seen").exists():
            time.sleep(0.05)


@tool(timeout_seconds=600)
def hang(context: ToolContext, log: str, turn: int, seconds: float) -> str:
    """Holds its thread, whatever anybody says."""
    note(log, "tool", context.execution_id, turn)
    time.sleep(seconds)
    return "done"


steps = Definition(
    key="steps",
    name="Steps",
    agent_type="steps",
    input=StepsInput,
    output=dict[str, int],
    tools=[work, read_catalogue, kill_worker, block_worker, hang],
    model="steps:by-input",
    max_tool_calls=100,
)


@steps.instructions
def ask(input: StepsInput) -> str:  # noqa: A002
    return json.dumps({name: getattr(input, name) for name in input.__struct_fields__})


@steps.validator
def enough_cycles(proposal: Proposal[StepsInput, dict[str, int]]) -> Verdict:
    if proposal.cycle <= proposal.input.corrections:
        return Retry("Once more.")
    return Accept()


class StepsModel:
    """One instance per process; which turn it is, and of which run, it reads from the request.

    Each answer costs one token in, one out, and two dollars.
    """

    name = "steps:by-input"
    profile = Profile(price=Price(input=1_000_000, output=1_000_000))

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        asked = json.loads(next(message.text for message in request.messages if message.role == "user"))
        assert request.seed is not None
        execution_id, turn = divmod(request.seed, 1000)
        note(asked["log"], "asked", execution_id, turn)
        await asyncio.sleep(asked["model_seconds"])
        note(asked["log"], "answered", execution_id, turn)
        usage = Usage(input_tokens=1, output_tokens=1)
        if turn > asked["tool_calls"]:
            return Answer(text=json.dumps({"turns": turn}), usage=usage, model=self.name)
        arguments = json.dumps({"log": asked["log"], "turn": turn, "seconds": asked["tool_seconds"]})
        call = ToolRequest(call_id=f"call-{turn}", name=asked["tool"], arguments=arguments)
        return Answer(tool_requests=(call,), finish_reason="tool_calls", usage=usage, model=self.name)

    async def close(self) -> None:
        pass


def _open(wanted: models.Wanted) -> LanguageModel:
    return StepsModel()


models.OPENERS["steps"] = _open
