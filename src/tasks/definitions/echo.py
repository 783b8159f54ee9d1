"""The echo: any object comes back as the result, through the whole loop and its journal. For smoke and load tests."""

from __future__ import annotations

import json
from typing import Any

from service.definitions.definition import Definition, Proposal
from service.definitions.verdicts import Accept, Retry, Verdict

echo = Definition(
    key="echo",
    name="Echo",
    agent_type="echo",
    description="Gives its input back as the result.",
    input=dict[str, Any],
    output=dict[str, Any],
    model="echo",
)


@echo.instructions
def ask(input: dict[str, Any]) -> str:  # noqa: A002
    """The input as JSON, which the echo model answers with."""
    return json.dumps(input, ensure_ascii=False, separators=(",", ":"))


@echo.validator
def equals_input(proposal: Proposal[dict[str, Any], dict[str, Any]]) -> Verdict:
    """The result is the input."""
    if proposal.output == proposal.input:
        return Accept()
    return Retry("The answer must be exactly the JSON object that was given.")
