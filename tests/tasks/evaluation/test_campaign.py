"""What is to be run: in which order, and what makes a run another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.definitions.registry import Source
from tasks.definitions.echo import echo
from tasks.evaluation.arms import ARMS
from tasks.evaluation.campaign import Campaign, code_digest
from tasks.evaluation.cases import Case
from tasks.evaluation.results import Results
from tests.tasks.evaluation.samples import result

CAMPAIGN = Campaign(
    definition=echo,
    code="0",
    cases=[Case(id="a", input={}), Case(id="b", input={})],
    models=["m"],
    arms=[ARMS["default"], ARMS["told"]],
    seeds=[1, 2],
)


def test_campaign_when_begun_then_every_case_once_before_any_twice() -> None:
    work = [(case.id, seed, [arm.name for arm in arms]) for _, case, seed, arms in CAMPAIGN.pending(Results())]
    both = ["default", "told"]
    assert work == [("a", 1, both), ("b", 1, both), ("a", 2, both), ("b", 2, both)]


def test_campaign_when_a_strategy_is_done_then_only_the_other_is_left() -> None:
    results = Results()
    key = CAMPAIGN.key("m", ARMS["default"], CAMPAIGN.cases[0], 1)
    run = result()
    results.runs[key] = run
    _, case, seed, arms = CAMPAIGN.pending(results)[0]
    assert (case.id, seed, [arm.name for arm in arms]) == ("a", 1, ["told"])
    assert CAMPAIGN.done(results) == [run]


def test_code_when_a_module_of_the_definition_changes_then_its_digest_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "evaluated_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rules.py").write_text("STRICT = False\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    source = Source("evaluated", "evaluated", "evaluated_package")
    digests = [code_digest(source), code_digest(source)]
    (package / "rules.py").write_text("STRICT = True\n")
    digests.append(code_digest(source))
    assert digests[0] == digests[1] != digests[2]
