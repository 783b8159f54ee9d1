"""A definition whose output has fields, and runs of it under any strategy, that the tests of corrections share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec

from agentic import Accept, Definition, Fix, Input, Issue, Outcome, Proposal, Retry, Strategy, Verdict
from tasks import loop
from tasks.llm.protocol import LanguageModel, Profile
from tasks.llm.scripted import Speech
from tasks.testing import MemoryJournal
from tests.tasks.loop_samples import Telling, converse

RIGHT = {"title": "Steel bottle", "price": 9.5, "tags": ["steel", "750 ml"]}
WRONG_TITLE = {**RIGHT, "title": "Bottle"}
WRONG_TAG = {**RIGHT, "tags": ["steel", "huge"]}
WRONG_BOTH = {**RIGHT, "title": "Bottle", "price": 1.0}
ALL_WRONG = {"title": "Bottle", "price": 1.0, "tags": ["steel", "huge"]}


class Wish(Input):
    """What the card is to be about."""

    about: str = "bottle"


class Card(msgspec.Struct, forbid_unknown_fields=True):
    """What a shop shows of a product."""

    title: str
    price: float
    tags: list[str]


Cards = Definition[Wish, Card]


def cards(*, fixes: bool = False, narrows: bool = False, **options: Any) -> Cards:
    """Cards must equal RIGHT. `fixes`: the price is put right by code; `narrows`: the schema says what is right."""
    definition = Definition(
        key="cards",
        name="Cards",
        agent_type="cards",
        input=Wish,
        output=Card,
        failures={"sold_out": "No more."},
        **options,
    )

    @definition.instructions
    def ask(given: Wish) -> str:
        return f"Write a card about a {given.about}."

    @definition.validator
    def title_names_the_material(proposal: Proposal[Wish, Card]) -> Verdict:
        narrow = {"pattern": "^Steel"} if narrows else None
        return Accept() if proposal.output.title == "Steel bottle" else Retry(Issue("/title", "no steel", None, narrow))

    @definition.validator
    def price_is_listed(proposal: Proposal[Wish, Card]) -> Verdict:
        fix = Fix(9.5) if fixes else None
        return Accept() if proposal.output.price == 9.5 else Retry(Issue("/price", "is not listed", fix=fix))

    @definition.validator
    def tags_are_facts(proposal: Proposal[Wish, Card]) -> Verdict:
        wrong = [index for index, tag in enumerate(proposal.output.tags) if tag not in ("steel", "750 ml")]
        narrow = {"enum": ["750 ml"]} if narrows else None
        return Retry(*(Issue(f"/tags/{index}", "no fact", None, narrow) for index in wrong)) if wrong else Accept()

    return definition


class Panel:
    """A usual and a stronger model that answer from one script, and what each was asked."""

    def __init__(self, steps: Sequence[Speech], profile: Profile | None = None) -> None:
        self.usual = Telling(steps, profile)
        self.stronger = Telling(steps)
        self.stronger.name = "stronger"
        self.named: list[str] = []

    async def get(self, name: str) -> LanguageModel:
        self.named.append(name)
        return self.stronger

    @property
    def asked(self) -> int:
        return len(self.usual.requests) + len(self.stronger.requests)


ESCALATING = Strategy(escalate_to="stronger")


def run_panel(
    definition: Definition[Any, Any], panel: Panel, journal: MemoryJournal | None = None, **options: Any
) -> Outcome:
    """One run to its end, with a stronger model at hand, from what the journal holds already."""
    journal = journal or MemoryJournal()

    async def whole() -> Outcome:
        conversation = converse(definition, panel.usual, journal, models=panel.get, **options)
        return await loop.run(definition, {}, conversation, await journal.load())

    return asyncio.run(whole())


def strategies(journal: MemoryJournal) -> list[str]:
    """The rung of each turn."""
    return [turn.start.strategy for turn in journal.turns.values()]
