"""Runs whose model provider is away: they wait without a worker, come back, and at last end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tasks.llm.protocol import ModelError
from tasks.waiting import Patience
from tests.tasks.conftest import AsApp
from tests.tasks.llm.provider import serving
from tests.tasks.llm.wires import OPENAI
from tests.tasks.seed import Shop
from tests.tasks.test_run_execution import attach, definition, outcome, run

AWAY = OPENAI.refused(429, retry_after="45")


def phase(shop: Shop) -> Any:
    return shop.connection.execute(
        "SELECT phase, worker_id, losses, extract(epoch FROM resume_at - now()) > 40 AS is_later FROM execution_runtime"
    ).fetchone()


def wake(shop: Shop) -> None:
    """What the sweep does when the time has come."""
    shop.connection.execute("UPDATE execution_runtime SET phase = 'ready', resume_at = NULL")


def test_run_whose_provider_asks_for_a_long_wait_gives_up_its_slot_and_goes_on_later(app: AsApp, shop: Shop) -> None:
    shop.accept("any")
    with serving(AWAY, OPENAI.said('{"a": 1}', tokens=(70, 5))) as provider:
        made = definition(model="openai:m")
        run(app, made, openai_base_url=provider.url)
        assert phase(shop) == ("waiting", None, 0, True)
        assert outcome(shop)[0] == "in_progress"
        wake(shop)
        run(app, made, openai_base_url=provider.url)
        bodies = provider.bodies
    assert outcome(shop)[:2] == ("finished", None)
    assert bodies[0] == bodies[1]
    turns = shop.connection.execute("SELECT number, cycle, attempts, input_tokens, output_tokens FROM turns").fetchall()
    assert turns == [(1, 1, 2, 70, 5)]
    waits = shop.connection.execute("SELECT data->>'resume_at' IS NOT NULL FROM events WHERE kind = 'waiting'")
    assert waits.fetchall() == [(True,)]


def test_run_whose_provider_stays_down_waits_a_bounded_number_of_times(app: AsApp, shop: Shop) -> None:
    shop.accept("any")
    with serving(OPENAI.refused(503, "sk-12345 SELECT", retry_after_ms="1")) as provider:
        made = definition(model="openai:m")
        for _ in range(2):
            run(app, made, openai_base_url=provider.url, provider_waits=2)
            assert phase(shop)[0] == "waiting"
            wake(shop)
        run(app, made, openai_base_url=provider.url, provider_waits=2)
        asked = len(provider.bodies)
    status, code, explanation, retryable, _ = outcome(shop)
    assert (status, code, retryable, asked) == ("failed", "runtime_error", True, 9)
    assert "not available" in explanation
    assert "(503" in explanation
    assert not any(secret in explanation for secret in ("sk-", "SELECT", "Traceback"))


@pytest.mark.parametrize(("status", "code"), [(401, "invalid_api_key"), (403, None), (429, "insufficient_quota")])
def test_run_whose_key_or_quota_is_at_fault_ends_at_once_and_is_not_retryable(
    app: AsApp, shop: Shop, status: int, code: str | None
) -> None:
    shop.accept("any")
    with serving(OPENAI.refused(status, code=code)) as provider:
        run(app, definition(model="openai:m"), openai_base_url=provider.url)
        assert len(provider.bodies) == 1
    ended, failure, explanation, retryable, _ = outcome(shop)
    assert (ended, failure, retryable) == ("failed", "runtime_error", False)
    assert str(status) in explanation


def test_run_whose_deadline_comes_before_the_provider_does_ends_at_once(app: AsApp, shop: Shop) -> None:
    shop.accept("any")
    shop.connection.execute("UPDATE executions SET deadline = now() + interval '20 seconds'")
    with serving(AWAY) as provider:
        run(app, definition(model="openai:m"), openai_base_url=provider.url)
    assert outcome(shop)[:2] == ("failed", "runtime_error")


def test_run_shows_its_files_to_a_model_that_sees_and_records_only_references(app: AsApp, shop: Shop) -> None:
    execution_id = shop.accept("any")
    image = b"\x89PNG" + bytes(range(256)) * 16
    attach(shop.connection, execution_id, "photo.png", "image/png", image)
    profile = '{"eye": {"model": "openai:m", "base_url": "URL", "sees_images": true}}'
    with serving(OPENAI.said('{"a": 1}')) as provider:
        read = type(app.settings).read({"AGENTIC_PROFILES": profile.replace("URL", provider.url)})
        run(app, definition(model="eye"), profiles=read.profiles)
        ((*parts, question),) = [body["messages"][1]["content"] for body in provider.bodies]
    assert outcome(shop)[0] == "finished"
    assert (question["text"], parts[1]["type"]) == ("Do it.", "image_url")
    recorded = shop.connection.execute("SELECT request FROM turns").fetchone()
    assert recorded is not None
    assert b'"filename":"photo.png"' in recorded[0]
    assert len(recorded[0]) < 2000


def test_run_whose_provider_is_away_is_answered_by_the_fallback_at_its_price(app: AsApp, shop: Shop) -> None:
    shop.accept("any")
    with serving(OPENAI.refused(503, retry_after_ms="1")) as first, serving(OPENAI.said('{"a": 1}')) as second:
        main = {"model": "openai:m", "base_url": first.url, "fallback": ["spare"], "price": {"input": 9, "output": 9}}
        spare = {"model": "openai:m", "base_url": second.url, "price": {"input": 2, "output": 4}}
        read = type(app.settings).read({"AGENTIC_PROFILES": json.dumps({"main": main, "spare": spare})})
        run(app, definition(model="main"), profiles=read.profiles)
    assert outcome(shop)[0] == "finished"
    million = shop.connection.execute("SELECT cost * 1000000 FROM turns").fetchone()
    assert million == (7 * 2 + 3 * 4,)


def test_patience_grows_follows_the_provider_and_ends() -> None:
    down = ModelError("down", retryable=True, is_away=True)
    waits = [Patience(waits=waits, most=8).wait_for(down) or 0 for waits in range(8)]
    assert 30 <= waits[0] <= 36
    assert all(600 <= wait <= 720 for wait in waits[5:])
    assert Patience(waits=8, most=8).wait_for(down) is None
    hour = ModelError("busy", retryable=True, is_away=True, retry_after_seconds=3000)
    assert 3000 <= (Patience(waits=0, most=8).wait_for(hour) or 0) <= 3600
    tomorrow = ModelError("busy", retryable=True, is_away=True, retry_after_seconds=86400)
    assert Patience(waits=0, most=8).wait_for(tomorrow) is None
    assert Patience(waits=0, most=8, seconds_left=20).wait_for(down) is None


@pytest.mark.parametrize(("retryable", "is_away"), [(True, False), (False, True), (False, False)])
def test_patience_has_none_with_what_waiting_does_not_mend(retryable: bool, is_away: bool) -> None:
    assert Patience(waits=0, most=8).wait_for(ModelError("no", retryable=retryable, is_away=is_away)) is None
