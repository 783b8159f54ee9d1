"""Choosing a glaze for a pot."""

from __future__ import annotations

from agentic import Accept, Definition, Input, Issue, Proposal, Reject, Retry, ToolContext, ToolFailed, Verdict, tool

GLAZES = {"celadon": 1260, "majolica": 1050}


class Pot(Input):
    """The pot to glaze."""

    shape: str
    kiln_celsius: int


class Glaze(Input):
    """The glaze that was chosen."""

    name: str
    celsius: int


@tool
async def melting_point(context: ToolContext, glaze: str) -> int:
    """Degrees Celsius at which a glaze melts."""
    if glaze not in GLAZES:
        raise ToolFailed(f"nobody makes a glaze {glaze!r}")
    return GLAZES[glaze]


glazing = Definition(
    key="glazing",
    name="Glazing",
    agent_type="pottery",
    input=Pot,
    output=Glaze,
    tools=[melting_point],
    failures={"kiln_too_cold": "No glaze melts in this kiln."},
)


@glazing.instructions
def ask(pot: Pot) -> str:
    return f"Choose a glaze for a {pot.shape}; the kiln reaches {pot.kiln_celsius} °C."


@glazing.validator
def kiln_is_hot_enough(proposal: Proposal[Pot, Glaze]) -> Verdict:
    if proposal.input.kiln_celsius < min(GLAZES.values()):
        return Reject(f"No glaze melts at {proposal.input.kiln_celsius} °C.", "kiln_too_cold")
    if proposal.output.celsius > proposal.input.kiln_celsius:
        return Retry(Issue("/celsius", "is more than the kiln reaches"))
    return Accept()


@glazing.validator
def was_looked_up(proposal: Proposal[Pot, Glaze]) -> Verdict:
    asked = {call.arguments.get("glaze") for call in proposal.tool_calls if call.succeeded}
    return Accept() if proposal.output.name in asked else Retry(Issue("/name", "was not looked up"))


definitions = [glazing]
