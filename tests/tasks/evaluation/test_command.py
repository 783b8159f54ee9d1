"""`agentic eval`: the whole command, in process; and Ctrl-C, which takes a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from service.errors import SetupError
from tasks.evaluation.command import command, seeds_of
from tests.tasks.evaluation.samples import write_lines

CASES = [
    {"id": "one", "input": {"n": 1}, "attributes": ["small"]},
    {"id": "two", "input": {"n": 2}, "held_out": True},
]
ECHO_1: dict[str, Any] = {"answer": {"n": 1}}


@pytest.fixture(autouse=True)
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("AGENTIC_MODEL", raising=False)
    return write_lines(tmp_path / "cases.jsonl", CASES)


def evaluated(cases: Path, *options: str, definition: str = "echo") -> Result:
    return CliRunner().invoke(command, [definition, "--cases", str(cases), *options], catch_exceptions=True)


def scripted(cases: Path, *lines: Any) -> str:
    return f"scripted:{write_lines(cases.with_name('script.jsonl'), lines)}"


def test_eval_when_every_answer_is_right_then_the_table_says_so(cases: Path) -> None:
    done = evaluated(cases, "--seeds", "3")
    assert done.exit_code == 0, done.output
    assert "echo@1: successes within k answers" in done.stdout
    assert re.search(r"echo +default +2 +6 +1\.00 \(0\.61–1\.00\)", done.stdout)
    assert "finished 6" in done.stdout


def test_eval_when_json_is_wanted_alone_then_standard_output_is_json(cases: Path) -> None:
    done = evaluated(cases, "--json", "-", "--model", scripted(cases, ECHO_1, ECHO_1, ECHO_1, ECHO_1))
    figures = json.loads(done.stdout)
    [strategy] = figures["strategies"]
    assert (figures["definition"], figures["answers"]) == ("echo@1", 4)
    assert [found["value"] for found in strategy["pass_at"]] == [0.5] * 4
    assert strategy["endings"] == {"finished": 1, "max_retries_exceeded": 1}
    assert strategy["validators"][0]["validator"] == "equals_input"


def test_eval_when_json_goes_to_a_file_then_the_table_is_printed_too(cases: Path) -> None:
    path = cases.with_name("figures.json")
    done = evaluated(cases, "--json", str(path))
    assert "pass@1" in done.stdout
    assert json.loads(path.read_text())["strategies"][0]["runs"] == 2


def test_eval_when_strategies_are_named_then_they_are_compared_in_pairs(cases: Path) -> None:
    model = scripted(cases, ECHO_1, ECHO_1, ECHO_1, ECHO_1)
    done = evaluated(cases, "--model", model, "--strategies", "default,blind")
    assert re.search(r"blind against default +2 +\+0\.00 \(\+0\.00–\+0\.00\) +\+0 -0", done.stdout)


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        (["--held-out"], 1),
        (["--tuning"], 1),
        (["--limit", "1"], 1),
        (["--case", "two"], 1),
        (["--seeds", "4-6"], 6),
        (["--parallel", "3", "--seeds", "2"], 4),
    ],
)
def test_eval_when_a_part_is_chosen_then_only_that_is_run(options: list[str], runs: int, cases: Path) -> None:
    done = evaluated(cases, *options, "--json", "-")
    assert json.loads(done.stdout)["strategies"][0]["runs"] == runs


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "parrot:1"], "no model 'parrot:1'"),
        (["--model", "scripted:/absent"], "cannot be read"),
        (["--strategies", "magic"], "no strategy 'magic'"),
        (["--strategies", ","], "Name at least one strategy"),
        (["--seeds", "0"], "no number of seeds"),
        (["--seeds", "5-3"], "no number of seeds"),
        (["--case", "three"], "no case 'three'"),
    ],
)
def test_eval_when_an_option_is_wrong_then_it_says_what(options: list[str], said: str, cases: Path) -> None:
    done = evaluated(cases, *options)
    assert isinstance(done.exception, SetupError)
    assert said in done.exception.detail


@pytest.mark.parametrize("name", ["parrot", "echo@7", "echo@x"])
def test_eval_when_the_definition_is_unknown_then_the_installed_ones_are_named(name: str, cases: Path) -> None:
    done = evaluated(cases, definition=name)
    assert isinstance(done.exception, SetupError)
    assert name in done.exception.detail
    assert "echo@1" in done.exception.detail


def test_eval_without_a_suite_or_a_model_then_it_says_what_to_name(cases: Path) -> None:
    done = CliRunner().invoke(command, ["echo"])
    assert "ships no cases" in str(done.exception)
    line = {"id": "a", "input": {"skus": ["A-1"]}}
    done = evaluated(write_lines(cases, [line]), definition="catalog-enrichment")
    assert "Name a model" in str(done.exception)


def test_eval_when_the_model_dies_then_what_was_done_is_kept_and_goes_on(cases: Path) -> None:
    results = cases.with_name("results.jsonl")
    dying = scripted(cases, ECHO_1, {"fault": "reset"})
    done = evaluated(cases, "--model", dying, "--results", str(results))
    assert "The model failed: The connection to the model provider was reset" in str(done.exception)
    assert f"1 of 2 runs are kept in {results}" in str(done.exception)
    assert re.search(r"default +1 +1 +1\.00", done.stdout)

    scripted(cases, ECHO_1, {"answer": {"n": 2}})
    done = evaluated(cases, "--model", dying, "--results", str(results))
    assert "finished 2" in done.stdout


def test_eval_when_everything_is_done_then_no_model_is_asked_again(cases: Path) -> None:
    results = cases.with_name("results.jsonl")
    first = evaluated(cases, "--results", str(results))
    size = results.stat().st_size
    assert evaluated(cases, "--results", str(results)).stdout == first.stdout
    assert results.stat().st_size == size


def test_eval_when_interrupted_then_finished_runs_are_kept_and_the_next_goes_on(cases: Path) -> None:
    results = cases.with_name("results.jsonl")
    model = scripted(cases, ECHO_1, {"delay_seconds": 60}, {"answer": {"n": 2}})
    arguments = ["echo", "--cases", str(cases), "--model", model, "--results", str(results)]
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "eval", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("AGENTIC_")},
    )
    deadline = time.monotonic() + 30
    # The second case's first answer is wrong; its correction waits.
    while not (results.exists() and results.read_bytes().count(b"\n") == 3):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "finished 1" in out
    assert f"interrupted. 1 of 2 runs are kept in {results}" in err
    assert "Traceback" not in err

    scripted(cases, ECHO_1, {"answer": {"n": 2}})
    done = evaluated(cases, "--model", model, "--results", str(results))
    assert "finished 2" in done.stdout


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [1, 2, 3]), ("11-13", [11, 12, 13]), ("5,3,5", [5, 3]), ("7-7", [7]), ("2, 9", [2, 9])]
)
def test_seeds_when_written_then_read(text: str, seeds: list[int]) -> None:
    assert seeds_of(text) == seeds
