"""The potter's own tests, run where the potter works: beside a tasks.py."""

from __future__ import annotations

from agentic import Accept, Failed, Finished, MemoryDataSet, Proposal, Retry, ToolCall, play

from .glazing import Glaze, Pot, glazing, kiln_is_hot_enough

BOWL = Pot(shape="bowl", kiln_celsius=1100)


def look_up(glaze: str) -> ToolCall:
    return ToolCall(name="melting_point", arguments={"glaze": glaze})


def test_glazing_when_the_first_choice_melts_too_late_then_it_is_corrected() -> None:
    hot, fitting = {"name": "celadon", "celsius": 1260}, {"name": "majolica", "celsius": 1050}
    played = play(glazing, BOWL, [look_up("celadon"), hot, look_up("majolica"), fitting])
    assert played.outcome == Finished(fitting, cycles=2)
    assert played.issues(1) == ["kiln_is_hot_enough: /celsius is more than the kiln reaches"]


def test_glazing_when_the_kiln_is_cold_then_it_ends_with_its_own_code() -> None:
    played = play(glazing, {"shape": "jug", "kiln_celsius": 20}, [{"name": "celadon", "celsius": 1260}])
    assert isinstance(played.outcome, Failed)
    assert played.outcome.code == "kiln_too_cold"


def test_kiln_is_hot_enough_when_called_by_itself_then_it_judges() -> None:
    def judge(celsius: int) -> object:
        output = Glaze(name="celadon", celsius=celsius)
        return kiln_is_hot_enough(Proposal(input=BOWL, output=output, cycle=1, data_set=MemoryDataSet()))

    assert judge(1000) == Accept()
    assert isinstance(judge(1200), Retry)
