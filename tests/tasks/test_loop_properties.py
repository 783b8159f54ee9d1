"""Whatever a model says and validators judge: a run ends accepted by all of them, or with a code and a reason."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agentic import (
    Accept,
    Definition,
    Failed,
    FailureCode,
    Finished,
    Issue,
    Outcome,
    Proposal,
    Reject,
    Retry,
    ToolCall,
    Verdict,
)
from service.definitions.schema import is_clean
from tasks.llm.protocol import Answer, ModelError, Profile, ToolRequest
from tasks.testing import MemoryJournal
from tests.tasks.loop_samples import Counts, Died, Order, Telling, counting, dying, run

WITHOUT_EXPLAINING = (Phase.explicit, Phase.generate, Phase.shrink)
SLOW = [HealthCheck.too_slow]
ORDER = {"words": ["ape", "bear"]}
RIGHT = {"ape": 3, "bear": 4}

anything = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["", "\0", "\ud800", "{", "```json\n{}\n```", '{"ape": NaN}', '{"ape": 1, "ape": 2}', "[" * 5000, "9" * 5000]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | anything,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(anything, inner, max_size=3),
    max_leaves=8,
)
near = st.sampled_from([RIGHT, {"ape": 3}, {"ape": 3, "bear": 5}, {"ape": "3"}, [RIGHT], {"ape\0": 3}])
names = st.sampled_from(["measure", "look_up", "refuse", "explode", "hang", "stop_execution", "nothing"]) | anything
arguments = st.dictionaries(st.sampled_from(["word", "reason", "x"]), values, max_size=2)
calls = st.builds(lambda name, given: ToolCall(name=name, arguments=given), names, arguments)
requests = st.builds(lambda name, text: ToolRequest(call_id="c", name=name, arguments=text), names, anything)
reasons = st.sampled_from(["stop", "tool_calls", "length", "refusal"])
raw = st.builds(
    lambda text, asked, reason: Answer(text=text, tool_requests=tuple(asked), finish_reason=reason),
    anything,
    st.lists(requests, max_size=3),
    reasons,
)
faults = st.builds(lambda retryable: ModelError("The provider is away.", retryable=retryable), st.booleans())
wrapped = near.map(lambda value: f"Here you are:\n```json\n{json.dumps(value)}\n```\nAnything else?")
several = st.lists(calls, min_size=1, max_size=3)
steps = st.one_of(anything, values, near, near, wrapped, calls, calls, several, raw, raw, faults)
scripts = st.lists(steps, max_size=10).map(lambda some: [*some, *[RIGHT] * 3] if len(some) > 2 else [RIGHT, *some])

codes = st.none() | st.sampled_from(["too_hard", "unknown", "foreign_code"])
said = st.one_of(
    st.just(Accept()),
    st.builds(lambda path, message: Retry(Issue(path, message)), anything, anything),
    st.builds(Reject, anything, codes),
    st.sampled_from([None, True, ValueError("a secret"), "wrong"]),
)
profiles = st.builds(
    lambda one_by_one, prose: Profile(item_by_item=one_by_one, prose_feedback=prose, temperatures=(0.1, 0.2)),
    st.booleans(),
    st.booleans(),
)


def judged_by(verdicts: list[Any]) -> tuple[Definition[Order, Counts], list[tuple[Counts, object]]]:
    """A counting definition with one more validator that says these in turn, and what was said of which answer."""
    definition = counting(max_tool_calls=6)
    spoken: list[tuple[Counts, object]] = []

    @definition.validator
    def says(proposal: Proposal[Order, Counts]) -> Verdict:
        verdict = verdicts[(proposal.cycle - 1) % len(verdicts)] if verdicts else Accept()
        spoken.append((dict(proposal.output), verdict))
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    return definition, spoken


def assert_definite(outcome: Outcome, definition: Definition[Any, Any], spoken: list[tuple[Counts, object]]) -> None:
    match outcome:
        case Finished(result):
            assert all(result[word] == len(word) for word in ORDER["words"])
            assert spoken[-1] == (result, Accept())
            assert is_clean(result)
        case Failed(code, explanation):
            assert code in {*FailureCode, *definition.failures}
            assert explanation.strip()
            assert len(explanation) <= 2100
            assert is_clean(explanation)
            assert "secret" not in explanation


@settings(max_examples=100, deadline=None, derandomize=True, phases=WITHOUT_EXPLAINING, suppress_health_check=SLOW)
@given(script=scripts, verdicts=st.lists(said, max_size=4), profile=profiles)
def test_run_with_any_model_and_any_validator_ends_definitely(
    script: list[Any], verdicts: list[Any], profile: Profile
) -> None:
    definition, spoken = judged_by(verdicts)
    journal = MemoryJournal()
    outcome = run(definition, ORDER, Telling(script, profile), journal, max_answer_bytes=20_000)
    assert_definite(outcome, definition, spoken)
    msgspec.json.encode((list(journal.turns.values()), journal.verdicts))


@settings(max_examples=50, deadline=None, derandomize=True, phases=WITHOUT_EXPLAINING, suppress_health_check=SLOW)
@given(script=scripts, verdicts=st.lists(said, max_size=4), profile=profiles, data=st.data())
def test_run_that_dies_before_any_write_ends_as_if_it_had_not_and_asks_no_finished_turn_again(
    script: list[Any], verdicts: list[Any], profile: Profile, data: st.DataObject
) -> None:
    definition, _ = judged_by(verdicts)
    undisturbed = MemoryJournal()
    expected = run(definition, ORDER, Telling(script, profile), undisturbed)
    at = data.draw(st.integers(0, max(0, len(undisturbed.writes) - 1)))
    journal = MemoryJournal(before_write=dying(at))
    try:
        run(definition, ORDER, Telling(script, profile), journal)
    except Died:
        journal.before_write = None
    done = {number for number, turn in journal.turns.items() if turn.answer is not None}
    model = Telling(script, profile)
    assert run(definition, ORDER, model, journal) == expected
    assert not done & {request.turn for request in model.requests}
    assert [turn.answer for turn in journal.turns.values()] == [turn.answer for turn in undisturbed.turns.values()]
    assert journal.verdicts == undisturbed.verdicts
