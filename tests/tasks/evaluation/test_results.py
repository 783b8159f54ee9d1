"""The results file: kept run by run, read again, mended after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import SetupError
from tasks.evaluation.results import Results, Told
from tasks.llm.protocol import Answer
from tests.tasks.evaluation.samples import result

TOLD = Told(digest="d", seconds=1.5, answer=Answer(text="yes"))


def test_results_when_read_again_then_the_same(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results = Results(path)
    results.keep(TOLD)
    results.keep(result())
    results.close()
    again = Results(path)
    again.close()
    assert again.runs == {result().key: result()}
    assert again.answer("d") == TOLD
    assert again.answer("e") is None


def test_results_when_a_kill_tore_the_last_line_then_it_is_cut_off_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results = Results(path)
    results.keep(result())
    results.close()
    with path.open("ab") as file:
        file.write(b'{"type":"run","key":')
    results = Results(path)
    results.keep(result(seed=2))
    results.close()
    again = Results(path)
    again.close()
    assert list(again.runs) == [result().key, result(seed=2).key]


def test_results_when_the_file_is_something_else_then_its_line_is_named_and_it_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("notes\n")
    with pytest.raises(SetupError, match="line 1 is no result"):
        Results(path)
    assert path.read_text() == "notes\n"


def test_results_when_the_folder_is_not_there_then_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be used"):
        Results(tmp_path / "absent" / "results.jsonl")
