"""What is asked after a rejected answer, by whom, and what the model sees of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agentic import Accept, Definition, Failed, Finished, Fix, Issue, Item, Proposal, Reject, Retry, Strategy, Verdict
from tasks.llm.protocol import Answer, Message, Profile, ToolRequest
from tasks.testing import MemoryJournal
from tests.tasks.correction_samples import (
    ALL_WRONG,
    ESCALATING,
    RIGHT,
    WRONG_BOTH,
    WRONG_TAG,
    WRONG_TITLE,
    Card,
    Cards,
    Panel,
    Wish,
    cards,
    run_panel,
    strategies,
)
from tests.tasks.loop_samples import Telling, counting, run

SMALL = Profile(item_by_item=True, prose_feedback=False)


def last_text(messages: tuple[Message, ...]) -> str:
    return messages[-1].text


def test_patch_when_one_field_is_wrong_then_only_that_is_asked_for_and_put_into_the_answer() -> None:
    model, journal = Telling([WRONG_TITLE, {"title": "Steel bottle"}]), MemoryJournal()
    assert run(cards(), {}, model, journal) == Finished(RIGHT, cycles=2)
    asked = model.requests[1]
    assert asked.answer_schema == {
        "type": "object",
        "description": "What a shop shows of a product.",
        "additionalProperties": False,
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
    }
    assert "only these fields again, the others are kept: title." in last_text(asked.messages)
    assert all("750 ml" not in message.text for message in asked.messages)
    assert strategies(journal) == ["propose", "patch"]


def test_patch_when_one_place_of_a_list_is_wrong_then_the_others_are_held() -> None:
    model = Telling([WRONG_TAG, {"tags": ["steel", "750 ml"]}])
    assert isinstance(run(cards(narrows=True), {}, model), Finished)
    schema = model.requests[1].answer_schema
    assert schema is not None
    assert schema["properties"]["tags"]["prefixItems"] == [{"const": "steel"}, {"enum": ["750 ml"]}]


def test_patch_when_the_model_gives_everything_all_the_same_then_that_is_taken() -> None:
    assert run(cards(), {}, Telling([WRONG_TITLE, RIGHT])) == Finished(RIGHT, cycles=2)


def test_patch_when_a_field_has_the_wrong_type_then_only_that_is_asked_for() -> None:
    model = Telling([{**RIGHT, "price": "9.5"}, {"price": 9.5}])
    assert run(cards(), {}, model) == Finished(RIGHT, cycles=2)


def test_patch_when_the_answer_could_not_be_read_then_all_of_it_is_asked_for() -> None:
    journal = MemoryJournal()
    assert isinstance(run(cards(), {}, Telling(["I am sorry.", RIGHT]), journal), Finished)
    assert strategies(journal) == ["propose", "hint"]


def test_patch_when_the_patch_cannot_be_read_then_all_of_it_is_asked_for() -> None:
    journal = MemoryJournal()
    assert isinstance(run(cards(), {}, Telling([WRONG_TITLE, "Steel bottle", RIGHT]), journal), Finished)
    assert strategies(journal) == ["propose", "patch", "hint"]


def test_patch_when_an_issue_is_about_everything_then_all_of_it_is_asked_for() -> None:
    definition, journal = cards(), MemoryJournal()
    definition.validator(lambda proposal: Retry("It is dull.") if proposal.cycle == 1 else Accept())
    assert isinstance(run(definition, {}, Telling([WRONG_TITLE, RIGHT]), journal), Finished)
    assert strategies(journal) == ["propose", "hint"]


def test_ladder_when_the_same_issues_come_back_then_each_rung_shows_what_it_should() -> None:
    model, journal = Telling([WRONG_TITLE, {"title": "A bottle"}, WRONG_TITLE, RIGHT]), MemoryJournal()
    assert isinstance(run(cards(), {}, model, journal), Finished)
    assert strategies(journal) == ["propose", "patch", "hint", "full"]
    hint, full = model.requests[2], model.requests[3]
    assert [message.role for message in hint.messages] == ["system", "user", "user"]
    assert "give the complete answer again" in last_text(hint.messages)
    assert [message.role for message in full.messages] == ["system", "user", "assistant", "user"]
    assert json.loads(full.messages[2].text) == WRONG_TITLE


def test_full_when_the_model_takes_no_prose_then_is_passed_over() -> None:
    model, journal = Telling([WRONG_TITLE] * 4, Profile(prose_feedback=False)), MemoryJournal()
    run(cards(), {}, model, journal)
    assert strategies(journal) == ["propose", "patch", "hint", "hint"]
    assert len({request.messages for request in model.requests}) == 1


def test_full_when_the_last_answer_could_not_be_read_then_no_older_one_is_shown() -> None:
    model, journal = Telling([WRONG_TITLE, "prose", RIGHT]), MemoryJournal()
    run(cards(strategy=Strategy(ladder=("full",))), {}, model, journal)
    assert strategies(journal) == ["propose", "full", "hint"]
    assert [message.role for message in model.requests[2].messages] == ["system", "user", "user"]


def test_escalate_when_it_is_the_last_correction_then_the_stronger_model_sees_the_answer() -> None:
    panel, journal = Panel([WRONG_TITLE, {"title": "x"}, WRONG_TITLE, RIGHT]), MemoryJournal()
    assert isinstance(run_panel(cards(strategy=ESCALATING), panel, journal), Finished)
    assert strategies(journal) == ["propose", "patch", "hint", "escalate"]
    assert [turn.start.model for turn in journal.turns.values()][-1] == "stronger"
    (asked,) = panel.stronger.requests
    assert json.loads(asked.messages[2].text) == WRONG_TITLE


def test_escalate_when_there_is_no_stronger_model_then_is_passed_over() -> None:
    panel, journal = Panel([WRONG_TITLE] * 4), MemoryJournal()
    run_panel(cards(strategy=Strategy(ladder=("escalate", "hint"))), panel, journal)
    assert strategies(journal) == ["propose", "hint", "hint", "hint"]


def test_strategy_when_a_definition_names_its_rungs_then_those_are_taken() -> None:
    journal = MemoryJournal()
    run(cards(strategy=Strategy(ladder=("full",))), {}, Telling([WRONG_TITLE] * 4), journal)
    assert strategies(journal) == ["propose", "full", "full", "full"]


def test_fix_when_fixes_mend_everything_then_it_is_judged_again_without_asking() -> None:
    model, journal = Telling([{**RIGHT, "price": 1.0}]), MemoryJournal()
    assert run(cards(fixes=True), {}, model, journal) == Finished(RIGHT, cycles=2)
    assert len(model.requests) == 1
    assert [record.kind for record in journal.verdicts if record.cycle == 2] == ["accept"] * 4
    assert journal.verdicts[2].issues[0]["fix"] == {"value": 9.5}


def test_fix_when_no_correction_is_allowed_then_fixes_are_still_made() -> None:
    assert isinstance(run(cards(fixes=True, corrections=0), {}, Telling([{**RIGHT, "price": 1.0}])), Finished)


def test_fix_when_other_issues_are_left_then_it_is_made_before_the_model_is_asked() -> None:
    model = Telling([WRONG_BOTH, {"title": "Steel bottle"}])
    assert run(cards(fixes=True), {}, model) == Finished(RIGHT, cycles=2)
    assert "/price" not in last_text(model.requests[1].messages)


def test_fix_when_all_is_asked_for_again_then_the_fixed_value_is_held_and_shown() -> None:
    model = Telling([WRONG_BOTH, RIGHT])
    run(cards(fixes=True, strategy=Strategy(ladder=("full",))), {}, model)
    schema = model.requests[1].answer_schema
    assert schema is not None
    assert schema["properties"]["price"] == {"const": 9.5}
    assert json.loads(model.requests[1].messages[2].text)["price"] == 9.5


def test_fix_when_another_validator_objects_to_what_it_put_there_then_the_model_is_not_held_to_it() -> None:
    definition = cards(fixes=True, strategy=Strategy(ladder=("hint",)))
    definition.validator(lambda said: Retry(Issue("/price", "too low")) if said.output.price < 5 else Accept())
    model = Telling([{**RIGHT, "price": 1.0}, RIGHT])
    assert isinstance(run(definition, {}, model), Finished)
    schema = model.requests[1].answer_schema
    assert schema is not None
    assert schema["properties"]["price"] == {"type": "number"}


def test_fix_when_fixes_undo_each_other_then_the_run_ends_all_the_same() -> None:
    definition = cards(fixes=True, corrections=1)
    definition.validator(lambda said: Retry(Issue("/price", "one higher", fix=Fix(said.output.price + 1))))
    model, journal = Telling([RIGHT] * 2), MemoryJournal()
    outcome = run(definition, {}, model, journal)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.cycles, len(model.requests)) == ("max_retries_exceeded", 8, 2)


def test_fix_when_its_place_is_not_there_then_the_model_is_asked() -> None:
    definition = cards()
    definition.validator(lambda said: Retry(Issue("/tags/7", "add it", fix=Fix("x"))) if said.cycle == 1 else Accept())
    model = Telling([RIGHT, {"tags": RIGHT["tags"]}])
    assert isinstance(run(definition, {}, model), Finished)
    assert "/tags/7: add it" in last_text(model.requests[1].messages)


def test_fix_when_its_value_does_not_decode_then_that_is_an_issue_and_the_run_goes_on() -> None:
    definition = cards()
    definition.validator(lambda said: Retry(Issue("/price", "x", fix=Fix("dear"))) if said.cycle == 1 else Accept())
    journal = MemoryJournal()
    assert run(definition, {}, Telling([RIGHT, {"price": 9.5}]), journal) == Finished(RIGHT, cycles=3)
    assert journal.verdicts[-6].validator == "output"


@pytest.mark.parametrize("value", [object(), float("nan"), "\0", "\ud800"])
def test_fix_when_its_value_cannot_be_stored_then_runtime_error_names_the_validator(value: object) -> None:
    definition = cards()

    @definition.validator
    def odd(proposal: Proposal[Wish, Card]) -> Verdict:
        return Retry(Issue("/title", "x", fix=Fix(value)))

    outcome = run(definition, {}, Telling([RIGHT]))
    assert isinstance(outcome, Failed)
    assert outcome.code == "runtime_error"
    assert "'odd'" in outcome.explanation


def test_narrow_when_all_is_asked_for_again_then_the_schema_holds_each_place() -> None:
    model = Telling([{**WRONG_TAG, "title": "Bottle"}, RIGHT])
    run(cards(narrows=True, strategy=Strategy(ladder=("hint",))), {}, model)
    schema = model.requests[1].answer_schema
    assert schema is not None
    assert schema["properties"]["title"] == {"type": "string", "pattern": "^Steel"}
    assert schema["properties"]["tags"]["prefixItems"] == [{"type": "string"}, {"enum": ["750 ml"]}]
    assert schema["properties"]["tags"]["maxItems"] == 2


@pytest.mark.parametrize("narrow", [{"properties": []}, {"minLength": "long"}, {"const": object()}, []])
def test_narrow_when_it_is_no_schema_then_runtime_error_names_the_validator(narrow: Any) -> None:
    definition = cards()

    @definition.validator
    def odd(proposal: Proposal[Wish, Card]) -> Verdict:
        return Retry(Issue("/title", "x", narrow=narrow))

    outcome = run(definition, {}, Telling([RIGHT]))
    assert isinstance(outcome, Failed)
    assert outcome.code == "runtime_error"
    assert "'odd'" in outcome.explanation


def by_item() -> Definition[Any, dict[str, Card]]:
    """Two cards, one item each; the title is wrong unless it is long enough."""
    definition = Definition(key="pairs", name="Pairs", agent_type="cards", input=Wish, output=dict[str, Card])
    definition.instructions(lambda given: "Both.")
    definition.items(lambda given, context: [Item("a", "Card a"), Item("b", "Card b")])

    @definition.validator
    def titles(proposal: Proposal[Wish, dict[str, Card]]) -> Verdict:
        short = [key for key, card in proposal.output.items() if len(card.title) < 3]
        narrow = {"minLength": 3}
        return Retry(*(Issue(f"/{key}/title", "too short", None, narrow) for key in short)) if short else Accept()

    @definition.validator
    def prices(proposal: Proposal[Wish, dict[str, Card]]) -> Verdict:
        low = [key for key, card in proposal.output.items() if card.price < 1]
        return Retry(*(Issue(f"/{key}/price", "too low", fix=Fix(1.0)) for key in low)) if low else Accept()

    return definition


def test_patch_by_item_then_only_the_items_wrong_fields_are_asked_for_and_fixes_reach_items() -> None:
    right = {"title": "Good", "price": 2.0, "tags": []}
    steps = [{"a": {**right, "price": 0.0}}, {"b": {**right, "title": "x"}}, {"b": {"title": "Good"}}]
    model = Telling(steps, SMALL)
    outcome = run(by_item(), {}, model)
    assert outcome == Finished({"a": {**right, "price": 1.0}, "b": right}, cycles=2)
    schema = model.requests[2].answer_schema
    assert schema is not None
    assert schema["properties"]["b"]["properties"] == {"title": {"type": "string", "minLength": 3}}
    assert len(model.requests) == 3


def test_validators_when_some_are_expensive_then_they_speak_after_the_cheap_ones() -> None:
    definition: Cards = cards()
    spoken: list[str] = []

    @definition.validator(cost="expensive")
    def asks_the_shop(proposal: Proposal[Wish, Card]) -> Verdict:
        spoken.append("expensive")
        return Accept()

    @definition.validator(cost="cheap")
    async def looks(proposal: Proposal[Wish, Card]) -> Verdict:
        spoken.append("cheap")
        return Accept()

    journal = MemoryJournal()
    run(definition, {}, Telling([WRONG_TITLE, RIGHT]), journal)
    assert spoken == ["cheap", "expensive"] * 2
    assert [record.validator for record in journal.verdicts if record.cycle == 1][-2:] == ["looks", "asks_the_shop"]


def test_explanation_when_corrections_made_it_worse_then_tells_of_the_best_answer() -> None:
    outcome = run(cards(strategy=Strategy(ladder=("hint",))), {}, Telling([WRONG_TITLE, ALL_WRONG, "prose", ALL_WRONG]))
    assert isinstance(outcome, Failed)
    assert outcome.explanation == (
        "No answer was accepted within 4 cycles.\nThe best was that of cycle 1:\n"
        "title_names_the_material (1 issue): /title: no steel"
    )


def cut(text: str = '{"title":') -> Answer:
    return Answer(text=text, finish_reason="length")


def test_length_when_an_answer_was_cut_then_it_is_asked_for_with_twice_the_tokens_in_the_same_cycle() -> None:
    model, journal = Telling([cut(), RIGHT]), MemoryJournal()
    assert run(cards(), {}, model, journal) == Finished(RIGHT, cycles=1)
    assert [request.max_output_tokens for request in model.requests] == [4096, 8192]
    assert model.requests[0].messages == model.requests[1].messages


def test_length_when_answers_are_cut_for_ever_then_a_shorter_one_is_asked_for_and_the_run_ends() -> None:
    model, journal = Telling([cut()] * 9), MemoryJournal()
    outcome = run(cards(), {}, model, journal)
    assert isinstance(outcome, Failed)
    assert outcome.code == "max_retries_exceeded"
    assert len(model.requests) == 5
    assert "answer shorter" in last_text(model.requests[2].messages)
    assert {request.max_output_tokens for request in model.requests[1:]} == {8192}


def test_length_when_a_tool_call_was_cut_then_it_is_not_made() -> None:
    call = ToolRequest(call_id="1", name="measure", arguments='{"wo')
    broken = Answer(tool_requests=(call,), finish_reason="length")
    journal = MemoryJournal()
    assert isinstance(run(counting(), {"words": ["ape"]}, Telling([broken, {"ape": 3}]), journal), Finished)
    assert journal.turns[1].calls == ()


REFUSED = Answer(text="I may not.", finish_reason="refusal")


def test_refusal_when_there_is_no_other_model_then_validation_failed_with_its_words() -> None:
    journal = MemoryJournal()
    outcome = run(cards(), {}, Telling([REFUSED]), journal)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("validation_failed", False)
    assert outcome.explanation == "The model refused to answer: I may not."
    assert [record.validator for record in journal.verdicts] == ["refusal"]


def test_refusal_when_it_says_nothing_then_the_explanation_says_that() -> None:
    outcome = run(cards(), {}, Telling([Answer(finish_reason="refusal")]))
    assert isinstance(outcome, Failed)
    assert outcome.explanation == "The model refused to answer: It gave no reason."


def test_refusal_when_there_is_a_stronger_model_then_it_is_asked_once_and_kept() -> None:
    panel, journal = Panel([REFUSED, WRONG_TITLE, {"title": "Steel bottle"}]), MemoryJournal()
    assert run_panel(cards(strategy=ESCALATING), panel, journal) == Finished(RIGHT, cycles=2)
    assert len(panel.usual.requests) == 1
    assert strategies(journal) == ["propose", "propose", "patch"]
    assert [turn.start.model for turn in journal.turns.values()] == ["scripted", "stronger", "stronger"]
    assert [message.role for message in journal.turns[2].start.added] == ["system", "user"]


def test_refusal_when_a_fallback_is_there_then_that_is_asked() -> None:
    panel = Panel([REFUSED, RIGHT])
    assert run_panel(cards(), panel, others=["stronger"]) == Finished(RIGHT, cycles=1)
    assert (len(panel.usual.requests), len(panel.stronger.requests)) == (1, 1)


def test_refusal_when_the_stronger_model_refuses_too_then_validation_failed() -> None:
    panel = Panel([REFUSED] * 3)
    outcome = run_panel(cards(strategy=ESCALATING), panel, others=["third"])
    assert isinstance(outcome, Failed)
    assert outcome.code == "validation_failed"
    assert (panel.asked, panel.named) == (2, ["stronger"])


def test_reject_when_fixes_are_there_too_then_the_run_ends() -> None:
    definition = cards(fixes=True)
    definition.validator(lambda said: Reject("Gone.", "sold_out"))
    outcome = run(definition, {}, Telling([{**RIGHT, "price": 1.0}]))
    assert isinstance(outcome, Failed)
    assert outcome.code == "sold_out"
