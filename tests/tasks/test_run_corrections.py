"""Corrections of a run in a worker, on the database: rungs, models and fixes are in its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agentic import Strategy
from service.profiles import ModelProfile, Profiles
from tests.tasks.conftest import AsApp
from tests.tasks.correction_samples import RIGHT, WRONG_TITLE, cards
from tests.tasks.seed import Shop
from tests.tasks.test_run_execution import outcome, run, script


def test_run_that_escalates_and_is_fixed_leaves_its_rungs_models_and_fixes(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    steps: list[dict[str, Any]] = [
        {"answer": WRONG_TITLE},
        {"answer": {"title": "x"}},
        {"answer": {**RIGHT, "price": 1.0}},
    ]
    (tmp_path / "stronger").mkdir()
    usual, stronger = script(tmp_path, *steps), script(tmp_path / "stronger", *steps)
    shop.accept("cards")
    run(app, cards(fixes=True, corrections=2, model=usual, strategy=Strategy(escalate_to=stronger)))
    assert outcome(shop) == ("finished", None, None, None, RIGHT)
    turns = shop.connection.execute("SELECT cycle, strategy, model FROM turns ORDER BY number").fetchall()
    assert turns == [(1, "propose", usual), (2, "patch", usual), (3, "escalate", stronger)]
    fixes = "SELECT issues[0]['fix'] FROM verdicts WHERE validator = 'price_is_listed' AND cycle = 3"
    assert shop.connection.execute(fixes).fetchone() == ({"value": 9.5},)
    assert shop.connection.execute("SELECT max(cycle), count(DISTINCT cycle) FROM verdicts").fetchone() == (4, 4)


def test_run_whose_stronger_model_cannot_be_had_ends_as_runtime_error_that_names_it(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    model = script(tmp_path, {"answer": WRONG_TITLE})
    shop.accept("cards")
    run(app, cards(corrections=1, model=model, strategy=Strategy(escalate_to="strongest")))
    status, code, explanation, _, _ = outcome(shop)
    assert (status, code) == ("failed", "runtime_error")
    assert "'strongest'" in explanation


def test_run_whose_model_refuses_asks_the_fallback_of_its_profile(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    refusing = script(tmp_path, {"answer": "I may not.", "finish_reason": "refusal"})
    other = script(tmp_path / "other", {"fault": "500"}, {"answer": RIGHT})
    profiles = Profiles({"main": ModelProfile(model=refusing, fallback=("spare",)), "spare": ModelProfile(model=other)})
    shop.accept("cards")
    run(app, cards(model="main"), profiles=profiles)
    assert outcome(shop) == ("finished", None, None, None, RIGHT)
    models = shop.connection.execute("SELECT model FROM turns ORDER BY number").fetchall()
    assert [model for (model,) in models] == ["main", other]
