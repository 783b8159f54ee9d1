"""What each correction strategy is worth: the real loop on product cards, with a simulated weak model or a local one.

    .venv/bin/python benchmarks/strategies.py
    .venv/bin/python benchmarks/strategies.py --model local:smollm2 --seeds 5

The simulated model draws every field anew unless it is shown its last answer, which it copies, and keeps to the schema;
its rates are those that SmolLM2-135M had. All strategies see the same cases, seeds and first answers. Tokens count
prompt and answer alike, cached or not; their price is what a success cost against one in the first cycle.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

import click
import msgspec
from msgspec import Meta

from agentic import Accept, AttachedFile, Definition, Example, Fix, Input, Issue, Proposal, Retry, Strategy, Verdict
from service.definitions.context import RunContext, as_data
from service.definitions.failures import Finished
from tasks import loop
from tasks.conversation import Conversation
from tasks.definitions.catalog_enrichment.sheets import Section, section_of, words_of
from tasks.llm.local import open_smollm2
from tasks.llm.protocol import Answer, LanguageModel, Profile, Request, Usage
from tasks.testing import MemoryDataSet, MemoryJournal

SKUS = [f"SKU-00{number}" for number in range(1, 7)]
EASY, HARD, COPIES = 0.97, 0.75, 0.95
"""How often a field is right when it is drawn, the case's hard one, and how often a shown value is kept."""

Short = Annotated[str, Meta(min_length=3, max_length=40)]
Bullet = Annotated[str, Meta(min_length=5, max_length=60)]


class Wish(Input):
    """A product of the sheet."""

    sku: str


class Card(msgspec.Struct):
    """What is shown of a product."""

    category: Short
    material: Short
    weight: Short
    bullets: Annotated[list[Bullet], Meta(min_length=3, max_length=3)]
    description: Annotated[str, Meta(pattern="^[A-Z][a-zA-Z0-9 -]{30,125}[.]$")]


SHEET = AttachedFile(
    "product-sheet.txt",
    "text/plain",
    (files("service.supervision") / "sample" / "product-sheet.txt").read_text(encoding="utf-8"),
)
EXAMPLE_TEXT = """Canvas Bag
Category: travel
Material: cotton
Weight: 400 g
- two side pockets
- closes with a zip
- holds 20 l"""
EXAMPLE = Example(
    f"Write the card.\n{as_data('sheet', EXAMPLE_TEXT)}",
    [],
    {
        "category": "travel",
        "material": "cotton",
        "weight": "400 g",
        "bullets": ["two side pockets", "closes with a zip", "holds 20 l"],
        "description": "The canvas bag is made of cotton and carries what you need on a trip.",
    },
)


@dataclass(frozen=True)
class Arm:
    """A way to correct. `help`: validators give fixes and narrowed schemas."""

    name: str
    strategy: Strategy
    help: bool = False


ARMS = [
    Arm("patch", Strategy(ladder=("patch",))),
    Arm("hint", Strategy(ladder=("hint",))),
    Arm("full", Strategy(ladder=("full",))),
    Arm("default ladder", Strategy()),
    Arm("ladder, escalates", Strategy(escalate_to="stronger")),
    Arm("ladder, fix and narrow", Strategy(), help=True),
]


def section(sku: str) -> Section:
    found = section_of(sku, [SHEET])
    assert found is not None
    return found


def cards(arm: Arm) -> Definition[Wish, Card]:
    """The definition under one arm."""
    made = Definition(
        key="cards", name="Cards", agent_type="cards", input=Wish, output=Card, strategy=arm.strategy,
        system="You write product cards from product sheets.", examples=[EXAMPLE],
    )  # fmt: skip
    made.instructions(lambda given: f"Write the card.\n{as_data('sheet', section(given.sku).text)}")

    @made.validator
    def copies_values(proposal: Proposal[Wish, Card]) -> Verdict:
        labels = section(proposal.input.sku).labels
        wrong = [name for name in ("category", "material", "weight") if getattr(proposal.output, name) != labels[name]]
        found = [
            Issue(f"/{name}", "is not what the sheet says", fix=Fix(labels[name]) if arm.help else None)
            for name in wrong
        ]
        return Retry(*found) if found else Accept()

    @made.validator
    def bullets_are_facts(proposal: Proposal[Wish, Card]) -> Verdict:
        facts = section(proposal.input.sku).facts
        wrong = [number for number, bullet in enumerate(proposal.output.bullets) if bullet not in facts]
        left = [fact for fact in facts if fact not in proposal.output.bullets]
        narrows = [{"enum": left[turn :: len(wrong)]} if arm.help else None for turn in range(len(wrong))]
        found = [
            Issue(f"/bullets/{number}", "is no line of the sheet", narrow=narrow)
            for number, narrow in zip(wrong, narrows, strict=True)
        ]
        if not found and len(set(proposal.output.bullets)) < 3:
            found = [Issue("/bullets", "must be three different lines")]
        return Retry(*found) if found else Accept()

    @made.validator
    def describes_the_product(proposal: Proposal[Wish, Card]) -> Verdict:
        name = section(proposal.input.sku).name.lower()
        narrow = {"pattern": f"^The {name} [a-zA-Z -]{{15,110}}[.]$"} if arm.help else None
        if name.split()[-1] in words_of(proposal.output.description):
            return Accept()
        return Retry(Issue("/description", "does not name the product", f"name the {name}", narrow))

    return made


class Simulated:
    """A weak model, or a stronger one, that answers by draws which only the case, the seed and the turn decide."""

    def __init__(self, sku: str, seed: int, *, name: str = "simulated", is_strong: bool = False) -> None:
        self.name = name
        self.profile = Profile()
        self._sku, self._seed, self._is_strong = sku, seed, is_strong
        self._hard = random.Random(f"{sku} {seed}").choice(Card.__struct_fields__)  # noqa: S311

    async def ask(self, request: Request, options: Mapping[str, Any] | None = None) -> Answer:
        """One answer under the request's schema."""
        draws = random.Random(f"{self._sku} {self._seed} {request.turn}")  # noqa: S311
        shown: dict[str, Any] = next(
            (msgspec.json.decode(said.text) for said in request.messages[2:] if said.role == "assistant"), {}
        )
        schema = request.answer_schema or {}
        answer = {
            name: shown[name]
            if name in shown and not self._is_strong and draws.random() < COPIES
            else self._drawn(name, inner, draws)
            for name, inner in schema["properties"].items()
        }
        text = json.dumps(answer)
        heard = sum(len(message.text) for message in request.messages)
        return Answer(text=text, usage=Usage(input_tokens=heard // 4, output_tokens=len(text) // 4), model=self.name)

    async def close(self) -> None:
        """Nothing is held."""

    def _drawn(self, name: str, schema: Mapping[str, Any], draws: random.Random) -> Any:
        if "const" in schema:
            return schema["const"]
        right = draws.random() < (1.0 if self._is_strong else HARD if name == self._hard else EASY)
        known = section(self._sku)
        match name:
            case "bullets":
                slots = schema.get("prefixItems", [{}] * 3)
                drawn = [*known.facts[:2], known.facts[2] if right else f"has {draws.randrange(99)} more uses"]
                return [_held(slot, value) for slot, value in zip(slots, drawn, strict=True)]
            case "description":
                named = right or known.name.lower() in schema["pattern"]
                subject = known.name.lower() if named else "thing"
                return f"The {subject} is made of {known.labels['material']} and is good to have."
            case _:
                return known.labels[name] if right else f"wrong {draws.randrange(99)}"


def _held(slot: Mapping[str, Any], value: Any) -> Any:
    return slot["const"] if "const" in slot else slot.get("enum", [value])[0]


@dataclass(frozen=True)
class Run:
    """What one case and seed came to under one arm. `first` are the tokens of the first cycle."""

    sku: str
    is_finished: bool
    answers: int
    tokens: int
    first: int
    growth: float


async def run_once(arm: Arm, sku: str, seed: int, model: LanguageModel | None) -> Run:
    """One run, in memory."""
    journal = MemoryJournal()

    async def another(name: str) -> LanguageModel:
        return Simulated(sku, seed, name=name, is_strong=True)

    definition = cards(arm)
    conversation = Conversation(
        definition=definition,
        model=model or Simulated(sku, seed),
        journal=journal,
        context=RunContext(data_set=MemoryDataSet(), files=[SHEET], execution_id=seed),
        models=another,
    )
    outcome = await loop.run(definition, {"sku": sku}, conversation, await journal.load())
    used = [turn.answer.usage for turn in journal.turns.values() if turn.answer]
    return Run(
        sku=sku,
        is_finished=isinstance(outcome, Finished),
        answers=len(used),
        tokens=sum(usage.input_tokens + usage.output_tokens for usage in used),
        first=used[0].input_tokens + used[0].output_tokens,
        growth=used[-1].input_tokens / used[0].input_tokens,
    )


def line(arm: Arm, runs: Sequence[Run]) -> str:
    """The arm's rates, and the tokens of a success with a 95 % interval by resampling cases."""
    passed = [sum(run.is_finished and run.answers <= most for run in runs) / len(runs) for most in range(1, 5)]
    rates = " ".join(f"{rate:.2f}" for rate in passed)
    draws = random.Random(0)  # noqa: S311
    names = sorted({run.sku for run in runs})
    by_case = {name: [run for run in runs if run.sku == name] for name in names}
    again = sorted(
        _price([run for name in draws.choices(names, k=len(names)) for run in by_case[name]]) for _ in range(500)
    )
    interval = f"{_price(runs):5.2f} ({again[12]:.2f}–{again[487]:.2f})"
    return f"{arm.name:24}{rates:24}{interval:20}{max(run.growth for run in runs):6.2f}"


def _price(runs: Sequence[Run]) -> float:
    """Tokens per success over those of a success in the first cycle."""
    successes = sum(run.is_finished for run in runs)
    first = sum(run.first for run in runs) / len(runs)
    return sum(run.tokens for run in runs) / successes / first if successes else float("inf")


async def main() -> None:
    """Every arm over the same cases and seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--model", default="simulated", choices=["simulated", "local:smollm2"])
    parser.add_argument("--arm", choices=[arm.name for arm in ARMS], help="only this one")
    given = parser.parse_args()
    model = None if given.model == "simulated" else open_smollm2(max_answer_bytes=1 << 20)
    cases = [(sku, seed) for seed in range(given.first_seed, given.first_seed + given.seeds) for sku in SKUS]
    click.echo(f"{given.model}, {len(cases)} runs an arm, at most 3 corrections\n")
    click.echo(f"{'strategy':24}{'pass@1..4':24}{'tokens per success':20}{'largest prompt / first':>6}")
    try:
        for arm in ARMS:
            is_wanted = given.arm in (None, arm.name)
            if is_wanted and (model is None or arm.strategy.escalate_to is None):
                click.echo(line(arm, [await run_once(arm, sku, seed, model) for sku, seed in cases]))
    finally:
        if model is not None:
            await model.close()


if __name__ == "__main__":
    asyncio.run(main())
