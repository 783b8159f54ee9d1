"""Runs whose input and output are a pydantic model or a raw JSON Schema: corrected as those of msgspec types are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from agentic import (
    Accept,
    Definition,
    Finished,
    Fix,
    Issue,
    Item,
    JsonSchema,
    Proposal,
    Retry,
    RunContext,
    Verdict,
    play,
)
from tasks.llm.protocol import Profile
from tasks.testing import MemoryJournal
from tests.tasks.correction_samples import ALL_WRONG, RIGHT, WRONG_TAG, WRONG_TITLE, strategies
from tests.tasks.loop_samples import Telling, run


class Wish(BaseModel):
    """What the card is to be about."""

    about: str = "bottle"


class Card(BaseModel):
    """What a shop shows of a product."""

    title: str
    price: float
    tags: list[str]


CARD: Any = JsonSchema(
    {
        "description": "What a shop shows of a product.",
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "price": {"$ref": "#/$defs/Price"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["title", "price", "tags"],
        "additionalProperties": False,
        "$defs": {"Price": {"type": "number"}},
    },
    title="Card",
)
WISH: Any = JsonSchema({"type": "object", "properties": {"about": {"type": "string", "default": "bottle"}}})
each_style = pytest.mark.parametrize(("wish", "card"), [(Wish, Card), (WISH, CARD)], ids=["pydantic", "raw"])


def cards(wish: Any, card: Any) -> Definition[Any, Any]:
    """Cards must equal RIGHT; the price is put right by code."""
    definition = Definition(key="cards", name="Cards", agent_type="cards", input=wish, output=card)

    def part(value: Any, name: str) -> Any:
        return value[name] if isinstance(value, dict) else getattr(value, name)

    @definition.instructions
    def ask(given: Any) -> str:
        return f"Write a card about a {part(given, 'about')}."

    @definition.validator
    def is_right(proposal: Proposal[Any, Any]) -> Verdict:
        output = proposal.output
        issues = []
        if part(output, "title") != "Steel bottle":
            issues.append(Issue("/title", "no steel"))
        if part(output, "price") != 9.5:
            issues.append(Issue("/price", "is not listed", fix=Fix(9.5)))
        wrong = [index for index, tag in enumerate(part(output, "tags")) if tag not in ("steel", "750 ml")]
        issues += [Issue(f"/tags/{index}", "no fact", narrow={"enum": ["750 ml"]}) for index in wrong]
        return Retry(*issues) if issues else Accept()

    return definition


@each_style
def test_run_when_an_answer_is_not_of_the_type_then_every_place_is_told(wish: Any, card: Any) -> None:
    played = play(cards(wish, card), {}, answers=[{"title": 1, "tags": ["a", 2], "more": 1}, RIGHT])
    assert played.outcome == Finished(RIGHT, cycles=2)
    assert sorted(played.issues(cycle=1)) == [
        "output: /more is not a known field",
        "output: /price is required",
        "output: /tags/1 must be a string, got a number",
        "output: /title must be a string, got a number",
    ]
    assert "about a bottle" in played.turns[0].start.added[1].text


@each_style
def test_run_when_an_answer_stands_in_a_fence_then_it_is_found(wish: Any, card: Any) -> None:
    text = 'Here: ```json\n{"title": "Steel bottle", "price": 9.5, "tags": []}\n```'
    assert isinstance(play(cards(wish, card), {}, answers=[text]).outcome, Finished)


@each_style
def test_patch_when_one_field_is_wrong_then_only_that_is_asked_for(wish: Any, card: Any) -> None:
    model, journal = Telling([WRONG_TITLE, {"title": "Steel bottle"}]), MemoryJournal()
    assert run(cards(wish, card), {}, model, journal) == Finished(RIGHT, cycles=2)
    assert model.requests[1].answer_schema == {
        "type": "object",
        "description": "What a shop shows of a product.",
        "additionalProperties": False,
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
    }
    assert strategies(journal) == ["propose", "patch"]


@each_style
def test_narrow_when_a_place_of_a_list_is_wrong_then_the_others_are_held(wish: Any, card: Any) -> None:
    model = Telling([WRONG_TAG, {"tags": ["steel", "750 ml"]}])
    assert isinstance(run(cards(wish, card), {}, model), Finished)
    schema = model.requests[1].answer_schema
    assert schema is not None
    assert schema["properties"]["tags"]["prefixItems"] == [{"const": "steel"}, {"enum": ["750 ml"]}]


@each_style
def test_fix_when_code_knows_the_price_then_it_is_put_in_place(wish: Any, card: Any) -> None:
    played = play(cards(wish, card), {}, answers=[ALL_WRONG, {"title": "Steel bottle", "tags": RIGHT["tags"]}])
    assert played.outcome == Finished(RIGHT, cycles=2)


@each_style
def test_run_when_asked_item_by_item_then_the_parts_are_decoded_together(wish: Any, card: Any) -> None:
    definition = cards(wish, card)

    @definition.items
    def split(given: Any, context: RunContext) -> list[Item]:
        return [Item(key, f"the {key}") for key in RIGHT]

    played = play(
        definition, {}, answers=[{key: value} for key, value in RIGHT.items()], profile=Profile(item_by_item=True)
    )
    assert played.outcome == Finished(RIGHT, cycles=1)


def test_run_when_the_types_are_models_then_functions_get_models() -> None:
    definition = Definition(key="cards", name="Cards", agent_type="cards", input=Wish, output=Card)
    seen: list[object] = []

    @definition.instructions
    def ask(given: Wish) -> str:
        return given.about

    @definition.validator
    def look(proposal: Proposal[Wish, Card]) -> Verdict:
        seen.extend([proposal.input, proposal.output])
        return Accept()

    played = play(definition, Wish(about="cup"), answers=[RIGHT])
    assert seen == [Wish(about="cup"), Card.model_validate(RIGHT)]
    assert played.outcome == Finished(RIGHT, cycles=1)


def test_run_when_a_validator_changes_a_raw_answer_then_the_result_is_what_the_model_said() -> None:
    definition = Definition(key="cards", name="Cards", agent_type="cards", input=WISH, output=CARD)
    definition.instructions(lambda given: "Write.")

    @definition.validator
    def meddle(proposal: Proposal[Any, Any]) -> Verdict:
        proposal.output["tags"].clear()
        return Accept()

    assert play(definition, {}, answers=[RIGHT]).outcome == Finished(RIGHT, cycles=1)
