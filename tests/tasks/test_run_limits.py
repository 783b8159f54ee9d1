"""What a worker records of a run's limits and of what it spent."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from service.definitions.limits import Limits
from tests.tasks.conftest import AsApp
from tests.tasks.seed import Shop
from tests.tasks.test_run_execution import definition, run, script

WRONG = {"answer": "prose"}
FULL = {"corrections": 3, "tool_calls": 20}


def ended(shop: Shop) -> Any:
    return shop.connection.execute("SELECT failure_code, exit_reason, retryable FROM executions").fetchone()


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (FULL | {"corrections": 1}, ("max_retries_exceeded", "corrections", True)),
        (FULL | {"output_tokens": 1}, ("tokens_exceeded", "output_tokens", False)),
        (FULL | {"input_tokens": 1}, ("tokens_exceeded", "input_tokens", False)),
        (FULL | {"seconds": 0.000001}, ("time_exceeded", "seconds", True)),
    ],
)
def test_run_is_held_to_the_limits_of_its_execution(
    app: AsApp, shop: Shop, tmp_path: Path, limits: dict[str, Any], expected: tuple[object, ...]
) -> None:
    shop.accept("any", limits=limits)
    run(app, definition(model=script(tmp_path, *[WRONG] * 9)))
    assert ended(shop) == expected


def test_run_of_an_execution_without_limits_is_held_to_those_of_the_definition(
    app: AsApp, shop: Shop, tmp_path: Path
) -> None:
    shop.accept("any")
    run(app, definition(model=script(tmp_path, *[WRONG] * 9), limits=Limits(corrections=0)))
    assert ended(shop)[1] == "corrections"
    assert shop.connection.execute("SELECT count(*) FROM turns").fetchone() == (1,)


def test_run_whose_deadline_has_passed_ends_without_asking(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    shop.accept("any")
    shop.connection.execute("UPDATE executions SET deadline = now() - interval '1 second'")
    run(app, definition(model=script(tmp_path, WRONG)))
    assert ended(shop) == ("deadline_exceeded", "deadline", True)
    assert shop.connection.execute("SELECT count(*) FROM turns").fetchone() == (0,)


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([{"answer": {"a": 1}}], "finished"),
        ([{"tool": "stop_execution", "args": {"reason": "No."}}], "stopped"),
        ([{"fault": "401"}], "provider"),
    ],
)
def test_outcome_tells_what_ended_the_run(
    app: AsApp, shop: Shop, tmp_path: Path, steps: list[dict[str, Any]], reason: str
) -> None:
    shop.accept("any")
    run(app, definition(model=script(tmp_path, *steps)))
    assert ended(shop)[1] == reason


def test_outcome_has_the_sum_of_what_its_turns_cost(app: AsApp, shop: Shop, tmp_path: Path) -> None:
    shop.accept("any")
    run(app, definition(model=script(tmp_path, WRONG, {"answer": {"a": 1}})))
    recorded = shop.connection.execute(
        "SELECT input_tokens, cached_tokens, output_tokens, cost, calls, is_estimated FROM executions"
    ).fetchone()
    summed = shop.connection.execute(
        "SELECT sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(cost), count(*), false FROM turns"
    ).fetchone()
    assert recorded == summed
    assert recorded is not None
    assert recorded[0] > 0
    assert (recorded[3], recorded[4]) == (Decimal(0), 2)
