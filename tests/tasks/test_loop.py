"""The correction loop: what ends a run, what goes back to the model, what is counted."""

from __future__ import annotations

import pytest

from agentic import Accept, Failed, Finished, Issue, Proposal, Reject, Retry, Verdict
from service.errors import Unavailable
from tasks.journal import LostClaim
from tasks.llm.protocol import ModelError, Profile
from tasks.testing import MemoryJournal
from tests.tasks.loop_samples import Counts, Order, Telling, counting, run

APE = {"words": ["ape"]}
BOTH = {"words": ["ape", "bear"]}
SMALL = Profile(item_by_item=True, prose_feedback=False)


def test_run_when_first_answer_is_right_then_finishes_in_one_cycle() -> None:
    assert run(counting(), APE, Telling([{"ape": 3}])) == Finished({"ape": 3}, cycles=1)


def test_run_when_answer_is_corrected_then_finishes_with_the_corrected_answer() -> None:
    assert run(counting(), APE, Telling([{"ape": 4}, {"ape": 3}])) == Finished({"ape": 3}, cycles=2)


def test_run_when_two_validators_object_then_both_are_told_in_one_message() -> None:
    model = Telling([{"cat": 1}, {"ape": 3}])
    run(counting(), APE, model)
    feedback = model.requests[1].messages[-1].text
    assert "1. /ape: is missing" in feedback
    assert "2. /cat: is not its length" in feedback


def test_run_when_answer_is_rejected_then_the_answer_is_not_shown_again() -> None:
    model = Telling([{"ape": 12345}, {"ape": 3}])
    run(counting(), APE, model)
    assert all("12345" not in message.text for message in model.requests[1].messages)


def test_run_when_output_does_not_decode_then_other_validators_do_not_speak() -> None:
    journal = MemoryJournal()
    run(counting(), APE, Telling([{"ape": "3"}, {"ape": 3}]), journal)
    assert [record.validator for record in journal.verdicts if record.cycle == 1] == ["output"]
    assert journal.verdicts[0].issues[0]["path"] == "/ape"


def test_run_when_every_answer_is_wrong_then_ends_after_three_corrections_with_the_issues() -> None:
    model = Telling([{"ape": 4}] * 10)
    outcome = run(counting(), APE, model)
    assert isinstance(outcome, Failed)
    assert outcome.code == "max_retries_exceeded"
    assert "counts_rightly (1 issue): /ape: is not its length" in outcome.explanation
    assert len(model.requests) == 4


def test_run_when_definition_allows_no_corrections_then_ends_after_one_answer() -> None:
    model = Telling([{"ape": 4}] * 2)
    outcome = run(counting(corrections=0), APE, model)
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.cycles) == ("max_retries_exceeded", 1)


def test_run_when_answers_stay_empty_then_explanation_says_so() -> None:
    outcome = run(counting(), APE, Telling([""] * 4))
    assert isinstance(outcome, Failed)
    assert outcome.code == "max_retries_exceeded"
    assert "is empty" in outcome.explanation


def test_run_when_issues_are_endless_then_explanation_stays_bounded() -> None:
    words = {"words": [f"word{number}" * 20 for number in range(200)]}
    outcome = run(counting(), words, Telling([{}] * 4))
    assert isinstance(outcome, Failed)
    assert len(outcome.explanation) <= 2000


@pytest.mark.parametrize(
    ("reject", "code", "explanation"),
    [
        (Reject("Not today."), "validation_failed", "Not today."),
        (Reject("Too much.", "too_hard"), "too_hard", "Too much."),
        (Reject("No code given.", "unknown"), "unknown", "No code given."),
        (Reject("NUL\0."), "validation_failed", "NUL�."),
    ],
)
def test_run_when_a_validator_rejects_then_ends_with_its_code_and_words(
    reject: Reject, code: str, explanation: str
) -> None:
    definition = counting()
    definition.validator(lambda proposal: reject)
    assert run(definition, APE, Telling([{"ape": 3}])) == Failed(code, explanation, retryable=False, cycles=1)


def test_run_when_a_reject_says_nothing_then_explanation_names_the_validator() -> None:
    definition = counting()

    @definition.validator
    def is_mute(proposal: Proposal[Order, Counts]) -> Verdict:
        return Reject(" ")

    outcome = run(definition, APE, Telling([{"ape": 3}]))
    assert isinstance(outcome, Failed)
    assert "'is_mute'" in outcome.explanation


def test_run_when_one_rejects_and_one_would_retry_then_all_have_spoken() -> None:
    definition = counting()
    definition.validator(lambda proposal: Reject("Never."))
    journal = MemoryJournal()
    run(definition, APE, Telling([{"ape": 4}]), journal)
    assert [record.kind for record in journal.verdicts] == ["accept", "accept", "retry", "reject"]


def test_run_when_reject_code_is_not_registered_then_runtime_error_names_the_validator() -> None:
    definition = counting()

    @definition.validator
    def strange(proposal: Proposal[Order, Counts]) -> Verdict:
        return Reject("Why not.", "no_such_code")

    outcome = run(definition, APE, Telling([{"ape": 3}]))
    assert isinstance(outcome, Failed)
    assert outcome.code == "runtime_error"
    assert "'strange'" in outcome.explanation
    assert "'no_such_code'" in outcome.explanation


def test_run_when_a_validator_raises_then_runtime_error_names_it_and_no_cycle_is_spent() -> None:
    definition = counting()

    @definition.validator
    def broken(proposal: Proposal[Order, Counts]) -> Verdict:
        raise KeyError("password=hunter2")

    model = Telling([{"ape": 3}, {"ape": 3}])
    outcome = run(definition, APE, model)
    assert isinstance(outcome, Failed)
    assert outcome.code == "runtime_error"
    assert "'broken'" in outcome.explanation
    assert "hunter2" not in outcome.explanation
    assert len(model.requests) == 1


def test_run_when_a_validator_returns_no_verdict_then_runtime_error_says_what_it_was() -> None:
    definition = counting()
    definition.validator(lambda proposal: True)  # type: ignore[arg-type,return-value]
    outcome = run(definition, APE, Telling([{"ape": 3}]))
    assert isinstance(outcome, Failed)
    assert "returned bool" in outcome.explanation


@pytest.mark.parametrize("error", [LostClaim(), Unavailable()])
def test_run_when_the_database_is_lost_in_a_validator_then_it_gets_out(error: Exception) -> None:
    definition = counting()

    @definition.validator
    async def reads(proposal: Proposal[Order, Counts]) -> Verdict:
        raise error

    with pytest.raises(type(error)):
        run(definition, APE, Telling([{"ape": 3}]))


@pytest.mark.parametrize(("retryable", "advice"), [(True, "may help"), (False, "will not help")])
def test_run_when_the_model_cannot_be_used_then_runtime_error_says_whether_to_try_again(
    retryable: bool, advice: str
) -> None:
    outcome = run(counting(), APE, Telling([ModelError("The key was refused.", retryable=retryable)]))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable) == ("runtime_error", retryable)
    assert outcome.explanation.startswith("The key was refused. Trying again")
    assert advice in outcome.explanation


def test_run_when_stored_input_does_not_fit_the_definition_then_runtime_error() -> None:
    outcome = run(counting(), {"letters": 1}, Telling([]))
    assert isinstance(outcome, Failed)
    assert outcome.code == "runtime_error"
    assert "counting@1" in outcome.explanation


def test_run_when_the_merged_result_is_larger_than_kept_then_output_too_large() -> None:
    model = Telling([{"ape": 3}, {"bear": 4}], SMALL)
    outcome = run(counting(splits=True), BOTH, model, max_answer_bytes=15)
    assert isinstance(outcome, Failed)
    assert outcome.code == "output_too_large"


def test_run_when_an_answer_is_larger_than_kept_then_it_counts_as_too_long() -> None:
    journal = MemoryJournal()
    outcome = run(counting(), APE, Telling(["[" * 3000, {"ape": 3}]), journal, max_answer_bytes=1000)
    assert isinstance(outcome, Finished)
    assert "too long" in journal.verdicts[0].issues[0]["message"]
    assert len(journal.turns[1].answer.text) == 1000  # type: ignore[union-attr]


def test_run_item_by_item_when_one_item_fails_then_only_that_item_is_asked_again() -> None:
    model = Telling([{"ape": 3}, {"bear": 5}, {"bear": 4}], SMALL)
    assert run(counting(splits=True), BOTH, model) == Finished({"ape": 3, "bear": 4}, cycles=2)
    assert [request.messages[-1].text for request in model.requests] == ["Count ape", "Count bear", "Count bear"]


def test_run_item_by_item_when_a_later_cycle_breaks_an_earlier_item_then_that_is_asked_again() -> None:
    definition = counting(splits=True)

    @definition.validator
    def objects_to_ape_once(proposal: Proposal[Order, Counts]) -> Verdict:
        return Retry(Issue("/ape", "again, please")) if proposal.cycle == 2 else Accept()

    model = Telling([{"ape": 3}, {"bear": 5}, {"bear": 4}, {"ape": 3}], SMALL)
    assert run(definition, BOTH, model) == Finished({"ape": 3, "bear": 4}, cycles=3)


def test_run_item_by_item_when_an_answer_holds_another_items_key_then_it_is_corrected() -> None:
    model = Telling([{"ape": 3}, {"ape": 4, "bear": 4}, {"bear": 4}], SMALL)
    assert run(counting(splits=True), BOTH, model) == Finished({"ape": 3, "bear": 4}, cycles=2)


def test_run_item_by_item_when_an_issue_is_about_everything_then_all_items_are_asked_again() -> None:
    definition = counting(splits=True)
    definition.validator(lambda proposal: Retry("All of it.") if proposal.cycle == 1 else Accept())
    model = Telling([{"ape": 3}, {"bear": 4}] * 2, SMALL)
    assert run(definition, BOTH, model) == Finished({"ape": 3, "bear": 4}, cycles=2)


def test_run_item_by_item_when_there_are_no_items_then_the_empty_answer_passes_the_gate_without_a_turn() -> None:
    model = Telling([], SMALL)
    assert run(counting(splits=True), {"words": []}, model) == Finished({}, cycles=1)
    assert model.requests == []


def test_run_item_by_item_when_no_items_are_not_accepted_then_it_fails_for_good_saying_why() -> None:
    definition = counting(splits=True)
    definition.validator(lambda proposal: Retry("count something"))
    outcome = run(definition, {"words": []}, Telling([], SMALL))
    assert isinstance(outcome, Failed)
    assert (outcome.code, outcome.retryable, outcome.cycles) == ("validation_failed", False, 1)
    assert "found no items" in outcome.explanation
    assert "count something" in outcome.explanation
