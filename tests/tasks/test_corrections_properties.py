"""Whatever models say, validators fix and narrow, and strategies ask: a run ends definitely, and again the same."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agentic import Accept, Failed, FailureCode, Finished, Fix, Issue, Reject, Retry, Strategy
from service.definitions.strategy import RUNGS
from tasks.llm.protocol import Answer, Profile
from tasks.prompt import MAX_FEEDBACK_BYTES
from tasks.testing import MemoryJournal
from tests.tasks.correction_samples import (
    ALL_WRONG,
    RIGHT,
    WRONG_BOTH,
    WRONG_TAG,
    WRONG_TITLE,
    Cards,
    Panel,
    cards,
    run_panel,
)
from tests.tasks.loop_samples import Died, dying

PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
SLOW = [HealthCheck.too_slow]

values = st.sampled_from([None, 9.5, 1, "Steel bottle", [], ["steel"], {}, {"a": 1}, "\ud800", float("nan"), 2**80])
whole = st.sampled_from([RIGHT, WRONG_TITLE, WRONG_TAG, WRONG_BOTH, ALL_WRONG])
patches = st.dictionaries(st.sampled_from(["title", "price", "tags", "more"]), values, max_size=3)
odd = st.sampled_from(
    [Answer(text="{", finish_reason="length"), Answer(finish_reason="refusal"), "prose", "", "[" * 999]
)
scripts = st.lists(st.one_of(whole, whole, patches, odd), min_size=1, max_size=12)

paths = st.sampled_from(
    ["", "/", "/title", "/tags", "/tags/0", "/tags/9", "/tags/x", "/none", "/title/a", "price", "/~1"]
)
schemas: st.SearchStrategy[dict[str, Any] | None] = st.sampled_from(
    [
        None,
        {"const": 1},
        {"type": "string"},
        {"prefixItems": [{"const": "x"}]},
        {"properties": {"a": {}}},
        {"minLength": 3},
    ]
)
issues = st.builds(
    lambda path, narrow, fix: Issue(path, "is wrong", None, narrow, fix),
    paths,
    schemas,
    st.none() | st.builds(Fix, values),
)
said = st.one_of(st.just(Accept()), st.lists(issues, min_size=1, max_size=3).map(lambda some: Retry(*some)))
verdicts = st.lists(st.one_of(said, said, said, st.just(Reject("Gone.", "sold_out"))), max_size=4)
ladders = st.lists(st.sampled_from(RUNGS), min_size=1, unique=True).map(tuple)
profiles = st.builds(lambda prose: Profile(prose_feedback=prose), st.booleans())


def definition(said: list[Any], ladder: tuple[Any, ...]) -> Cards:
    made = cards(fixes=True, narrows=True, strategy=Strategy(ladder=ladder, escalate_to="stronger"))
    made.validator(lambda proposal: said[(proposal.cycle - 1) % len(said)] if said else Accept())
    return made


@settings(max_examples=100, deadline=None, derandomize=True, phases=PHASES, suppress_health_check=SLOW)
@given(script=scripts, said=verdicts, ladder=ladders, profile=profiles)
def test_run_under_any_strategy_ends_definitely_within_its_corrections_and_its_prompt(
    script: list[Any], said: list[Any], ladder: tuple[Any, ...], profile: Profile
) -> None:
    panel, journal = Panel([*script, *[RIGHT] * 5], profile), MemoryJournal()
    match run_panel(definition(said, ladder), panel, journal):
        case Finished(result):
            assert result == RIGHT
        case Failed(code, explanation):
            assert code in {*FailureCode, "sold_out"}
            assert explanation.strip()
    asked = {turn.start.cycle for turn in journal.turns.values()}
    assert len(asked) <= 4
    assert panel.asked <= 6
    requests = [*panel.usual.requests, *panel.stronger.requests]
    sizes = [len(msgspec.json.encode(request.messages)) for request in requests if request.messages]
    assert max(sizes) <= min(sizes) + MAX_FEEDBACK_BYTES + 1500


@settings(max_examples=60, deadline=None, derandomize=True, phases=PHASES, suppress_health_check=SLOW)
@given(script=scripts, said=verdicts, ladder=ladders, data=st.data())
def test_run_that_dies_before_any_write_ends_as_if_it_had_not(
    script: list[Any], said: list[Any], ladder: tuple[Any, ...], data: st.DataObject
) -> None:
    steps = [*script, *[RIGHT] * 5]
    undisturbed = MemoryJournal()
    expected = run_panel(definition(said, ladder), Panel(steps), undisturbed)
    at = data.draw(st.integers(0, max(0, len(undisturbed.writes) - 1)))
    journal = MemoryJournal(before_write=dying(at))
    try:
        run_panel(definition(said, ladder), Panel(steps), journal)
    except Died:
        journal.before_write = None
    done = {number for number, turn in journal.turns.items() if turn.answer is not None}
    panel = Panel(steps)
    assert run_panel(definition(said, ladder), panel, journal) == expected
    assert not done & {request.turn for request in [*panel.usual.requests, *panel.stronger.requests]}
    assert [turn.start for turn in journal.turns.values()] == [turn.start for turn in undisturbed.turns.values()]
    assert journal.verdicts == undisturbed.verdicts
