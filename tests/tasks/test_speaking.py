"""How validators are let speak: in a thread in a row, each with its own time, none after one that broke."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from agentic import Accept, Definition, Failed, Finished, Outcome, Proposal, Verdict
from tasks import speaking
from tests.tasks.loop_samples import Counts, Order, Telling, counting, run

Shown = Proposal[Order, Counts]


def judged(definition: Definition[Order, Counts]) -> Outcome:
    return run(definition, {"words": ["ape"]}, Telling([{"ape": 3}]))


def explained(definition: Definition[Order, Counts]) -> str:
    outcome = judged(definition)
    assert isinstance(outcome, Failed)
    assert outcome.code == "runtime_error"
    return outcome.explanation


def test_speak_when_plain_validators_follow_each_other_then_they_share_a_thread_of_their_own() -> None:
    definition, threads = counting(), []
    for name in ("first", "second"):

        def tells_its_thread(proposal: Shown) -> Verdict:
            threads.append(threading.get_ident())
            return Accept()

        tells_its_thread.__name__ = name
        definition.validator(tells_its_thread)
    assert isinstance(judged(definition), Finished)
    assert threads[0] == threads[1] != threading.get_ident()


def test_speak_when_a_validator_raises_then_none_after_it_begins() -> None:
    definition, began = counting(), []

    @definition.validator
    def breaks(proposal: Shown) -> Verdict:
        raise KeyError

    @definition.validator
    def follows(proposal: Shown) -> Verdict:
        began.append("follows")
        return Accept()

    assert "'breaks'" in explained(definition)
    assert began == []


@pytest.mark.parametrize("position", [0, 1])
def test_speak_when_a_plain_validator_hangs_then_it_is_named_and_none_after_it_begins(
    position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaking, "VALIDATOR_SECONDS", 0.05)
    definition, began, given_up = counting(), [], threading.Event()

    def quick(proposal: Shown) -> Verdict:
        began.append("quick")
        return Accept()

    def hangs(proposal: Shown) -> Verdict:
        given_up.wait(10)
        return Accept()

    validators: list[Callable[[Shown], Verdict]] = [quick]
    validators.insert(position, hangs)
    for validator in validators:
        definition.validator(validator)
    threading.Timer(0.5, given_up.set).start()
    assert "'hangs' of counting@1 took longer than 0.05 seconds" in explained(definition)
    assert began == ["quick"] * position


def test_speak_when_validators_in_a_row_take_long_together_then_each_has_its_own_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(speaking, "VALIDATOR_SECONDS", 0.3)
    definition = counting()
    for name in ("first", "second"):

        def slow(proposal: Shown) -> Verdict:
            threading.Event().wait(0.2)
            return Accept()

        slow.__name__ = name
        definition.validator(slow)
    assert isinstance(judged(definition), Finished)


async def _accepts() -> Verdict:
    return Accept()


async def _times_out() -> Verdict:
    raise TimeoutError


async def _hangs() -> Verdict:
    await asyncio.Event().wait()
    return Accept()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (_accepts, None),
        (_times_out, "'gives' of counting@1 raised TimeoutError"),
        (_hangs, "'gives' of counting@1 took longer than 0.05 seconds"),
    ],
)
def test_speak_when_a_plain_validator_gives_something_to_await_then_it_is_awaited(
    given: Callable[[], Awaitable[Verdict]], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speaking, "VALIDATOR_SECONDS", 0.05)
    definition = counting()

    def gives(proposal: Shown) -> Awaitable[Verdict]:
        return given()

    definition.validator(gives)  # type: ignore[arg-type]
    if said is None:
        assert isinstance(judged(definition), Finished)
    else:
        assert said in explained(definition)
