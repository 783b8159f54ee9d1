"""play(): what an author's own tests run."""

from __future__ import annotations

import asyncio

import pytest

from agentic import (
    Accept,
    AttachedFile,
    Definition,
    Failed,
    Finished,
    MemoryDataSet,
    Product,
    ProductChange,
    Proposal,
    RunContext,
    ToolCall,
    ToolContext,
    ToolFailed,
    Verdict,
    play,
    play_async,
    tool,
)
from service.errors import InvalidInput
from tasks.definitions.echo import echo
from tasks.llm.echo import EchoModel
from tests.tasks.loop_samples import Order, counting, run

MEASURE = ToolCall(name="measure", arguments={"word": "ape"})


def test_play_when_the_answer_is_right_then_finished() -> None:
    assert play(counting(), {"words": ["ape"]}, [{"ape": 3}]).outcome == Finished({"ape": 3}, cycles=1)


def test_play_when_printed_is_a_short_transcript() -> None:
    played = play(counting(), {"words": ["ape"]}, [MEASURE, {"ape": 4}, {"ape": 3}])
    first, second, *issues, third, end = str(played).splitlines()
    assert (first, second, third) == (
        "cycle 1: calls measure",
        'cycle 1: answers {"ape": 4}',
        'cycle 2: answers {"ape": 3}',
    )
    assert issues == [f"  {issue}" for issue in played.issues(cycle=1)]
    assert end == 'finished after 2 cycles: {"ape": 3}'
    failed = str(play(counting(), {"words": ["ape"]}, [{"ape": "a" * 5000}] * 9))
    assert "\nfailed after " in failed
    assert len(failed) < 5000


def test_play_when_the_input_is_an_object_of_the_type_then_it_is_taken() -> None:
    assert play(counting(), Order(words=["ape"]), [{"ape": 3}]).outcome == Finished({"ape": 3}, cycles=1)


def test_play_when_the_input_is_wrong_then_refused_as_the_api_would() -> None:
    with pytest.raises(InvalidInput, match=r"input\.words"):
        play(counting(), {"words": 3}, [])


def test_play_when_answers_are_corrected_then_verdicts_tool_calls_and_turns_are_shown() -> None:
    played = play(counting(), {"words": ["ape"]}, [MEASURE, {"ape": 0}, {"ape": 3}])
    assert played.issues(1) == ["counts_rightly: /ape is not its length"]
    assert played.issues(2) == []
    assert [(call.name, call.result) for call in played.tool_calls] == [("measure", 3)]
    assert [turn.start.cycle for turn in played.turns] == [1, 1, 2]


@pytest.mark.parametrize(
    ("fake", "result", "succeeded"),
    [
        (9, 9, True),
        (lambda word: len(word) * 2, 6, True),
        (ToolFailed("the shop is closed"), {"error": "the shop is closed"}, False),
    ],
)
def test_play_when_a_tool_is_faked_then_the_fake_is_called(fake: object, result: object, succeeded: bool) -> None:
    played = play(counting(), {"words": ["ape"]}, [MEASURE, {"ape": 3}], tools={"measure": fake})
    assert [(call.result, call.succeeded) for call in played.tool_calls] == [(result, succeeded)]


def test_play_when_a_fake_names_no_tool_then_refused() -> None:
    with pytest.raises(ValueError, match="'measur'"):
        play(counting(), {"words": ["ape"]}, [], tools={"measur": 1})


def test_play_async_when_a_loop_runs_already_then_it_can_be_awaited() -> None:
    played = asyncio.run(play_async(counting(), {"words": ["ape"]}, [{"ape": 3}]))
    assert isinstance(played.outcome, Finished)


def test_play_when_the_definition_reads_files_and_data_then_it_gets_what_was_given() -> None:
    definition = Definition(
        key="naming", name="Naming", agent_type="naming", input=Order, output=dict[str, str], tools=[rename]
    )

    @definition.instructions
    async def ask(order: Order, context: RunContext) -> str:
        return f"{context.files[0].text} {(await context.data_set.products(order.words))[0].name}"

    @definition.validator
    async def is_written(proposal: Proposal[Order, dict[str, str]]) -> Verdict:
        products = await proposal.data_set.products(proposal.input.words)
        assert [product.name for product in products] == list(proposal.output.values())
        return Accept()

    played = play(
        definition,
        {"words": ["S-1"]},
        [ToolCall(name="rename", arguments={"sku": "S-1", "name": "New"}), {"S-1": "New"}],
        files=[AttachedFile("a.txt", "text/plain", "Rename it.")],
        data_set=MemoryDataSet([Product(sku="S-1", name="Old")]),
    )
    assert isinstance(played.outcome, Finished)
    assert played.turns[0].start.added[1].text == "Rename it. Old"


@tool
async def rename(context: ToolContext, sku: str, name: str) -> str:
    """Rename a product."""
    await context.data_set.upsert([ProductChange(sku=sku, name=name)])
    return "renamed"


def test_memory_data_set_when_searched_then_best_match_first_and_bounded() -> None:
    data_set = MemoryDataSet(
        [Product(sku="1", name="red lamp"), Product(sku="2", name="red desk lamp"), Product(sku="3")]
    )
    assert [product.sku for product in asyncio.run(data_set.search("desk lamp"))] == ["2", "1"]
    assert [product.sku for product in asyncio.run(data_set.search("lamp", limit=1))] == ["1"]


def test_memory_data_set_when_upserted_then_details_merge_and_none_stays() -> None:
    data_set = MemoryDataSet([Product(sku="1", name="lamp", details={"colour": "red", "watts": 5})])
    changed = asyncio.run(data_set.upsert([ProductChange(sku="1", details={"watts": 7}), ProductChange(sku="2")]))
    assert changed == [Product(sku="1", name="lamp", details={"colour": "red", "watts": 7}), Product(sku="2")]


@pytest.mark.parametrize("given", [{}, {"a": {"b": [1, None, "é"]}}, {"n": 10**30}])
def test_echo_when_the_model_echoes_then_the_input_is_the_result(given: dict[str, object]) -> None:
    assert run(echo, given, EchoModel()) == Finished(given, cycles=1)


def test_echo_when_the_model_changes_it_for_ever_then_failed() -> None:
    outcome = play(echo, {"a": 1}, [{"a": 2}] * 4).outcome
    assert isinstance(outcome, Failed)
    assert outcome.code == "max_retries_exceeded"
