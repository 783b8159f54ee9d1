"""Named profiles as the worker opens them: keys, fallbacks, and how many questions are open at a time."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from service.settings import Settings
from tasks.llm.models import Models
from tasks.llm.protocol import Answer, Message, ModelError, Request, Usage, slot
from tests.tasks.llm.provider import Provider, serving
from tests.tasks.llm.wires import ANTHROPIC, OPENAI

ASKED = Request(messages=(Message(role="user", text="Hello"),), timeout_seconds=30)


def settings(profiles: dict[str, Any], **keys: str) -> Settings:
    return Settings.read({"AGENTIC_PROFILES": json.dumps(profiles), **keys})


def pair(first: Provider, second: Provider, **more: Any) -> Settings:
    """A profile on the OpenAI wire that falls back to one on Anthropic's."""
    main = {"model": "openai:gpt-fake", "base_url": first.url, "fallback": ["spare"], **more}
    spare = {"model": "anthropic:claude-sonnet-4-6", "base_url": second.url.removesuffix("/v1")}
    return settings({"main": main, "spare": spare})


def ask(given: Settings, name: str = "main", times: int = 1) -> list[Answer]:
    async def run() -> list[Answer]:
        models = Models(given)
        try:
            model = await models.get(name)
            return [await model.ask(ASKED) for _ in range(times)]
        finally:
            await models.close()

    return asyncio.run(run())


def test_fallback_when_first_provider_is_away_then_the_next_answers_and_all_attempts_count() -> None:
    with serving(OPENAI.refused(503, retry_after_ms="1")) as first, serving(ANTHROPIC.said("spare")) as second:
        (answer,) = ask(pair(first, second))

    assert (answer.text, answer.model, answer.answered_by) == ("spare", "claude-fake", "spare")
    assert answer.usage == Usage(input_tokens=7, output_tokens=3, attempts=4)


def test_fallback_when_first_provider_was_away_then_it_is_left_alone_for_a_while() -> None:
    with serving(OPENAI.refused(503, retry_after_ms="1")) as first, serving(ANTHROPIC.said("spare")) as second:
        answers = ask(pair(first, second), times=3)

    assert [answer.usage.attempts for answer in answers] == [4, 1, 1]
    assert len(first.bodies) == 3


def test_fallback_when_quota_is_used_up_then_the_next_answers() -> None:
    quota = OPENAI.refused(429, code="insufficient_quota")
    with serving(quota) as first, serving(ANTHROPIC.said("spare")) as second:
        (answer,) = ask(pair(first, second))

    assert (answer.text, len(first.bodies)) == ("spare", 1)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_fallback_when_the_request_or_the_key_is_at_fault_then_no_other_is_asked(status: int) -> None:
    with serving(OPENAI.refused(status)) as first, serving(ANTHROPIC.said()) as second:
        with pytest.raises(ModelError) as caught:
            ask(pair(first, second))
        assert second.bodies == []

    assert not caught.value.retryable


def test_fallback_when_all_are_away_then_the_error_of_the_soonest_counts_everything() -> None:
    first_away, second_away = OPENAI.refused(429, retry_after="600"), ANTHROPIC.refused(529, retry_after="60")
    with serving(first_away) as first, serving(second_away) as second, pytest.raises(ModelError) as caught:
        ask(pair(first, second))

    assert (caught.value.is_away, caught.value.retry_after_seconds) == (True, 60)
    assert caught.value.usage == Usage(attempts=2)


def test_fallback_when_models_are_asked_in_different_ways_then_it_is_refused() -> None:
    profiles = {"main": {"model": "echo", "fallback": ["small"]}, "small": {"model": "local:smollm2"}}
    with pytest.raises(ModelError, match="asked in another way"):
        ask(settings(profiles))


def test_profile_when_it_names_a_key_then_that_one_is_sent_and_no_other() -> None:
    with serving(OPENAI.said()) as provider:
        profile = {"model": "openai:m", "base_url": provider.url, "api_key_variable": "TEAM_KEY"}
        ask(settings({"main": profile}, TEAM_KEY="team", OPENAI_API_KEY="provider"))

    assert provider.headers[0]["authorization"] == "Bearer team"


def test_profile_when_it_leads_elsewhere_and_names_no_key_then_the_providers_key_is_not_sent() -> None:
    with serving(OPENAI.said()) as provider:
        ask(settings({"main": {"model": "openai:m", "base_url": provider.url}}, OPENAI_API_KEY="provider"))

    assert "provider" not in provider.headers[0]["authorization"]


def test_profile_when_its_key_is_not_set_then_the_error_names_the_variable() -> None:
    with pytest.raises(ModelError, match="set TEAM_KEY") as caught:
        ask(settings({"main": {"model": "anthropic:m", "api_key_variable": "TEAM_KEY"}}))

    assert not caught.value.retryable


def test_profile_when_it_has_options_and_room_then_they_are_on_the_wire() -> None:
    with serving(OPENAI.said()) as provider:
        profile = {"model": "openai:m", "base_url": provider.url, "options": {"service_tier": "flex"}}
        ask(settings({"main": profile}))

    assert provider.bodies[0]["service_tier"] == "flex"


def test_profile_when_it_has_a_concurrency_then_no_more_questions_are_open_at_a_time() -> None:
    async def run(given: Settings) -> list[str]:
        models = Models(given)
        model = await models.get("main")
        seen: list[str] = []

        async def one(name: str) -> None:
            async with slot(model):
                seen.append(f"+{name}")
                await model.ask(ASKED)
                seen.append(f"-{name}")

        await asyncio.gather(*[one(name) for name in "abcd"])
        await models.close()
        return seen

    with serving(OPENAI.said()) as provider:
        profile = {"model": "openai:m", "base_url": provider.url, "concurrency": 2}
        seen = asyncio.run(run(settings({"main": profile})))

    is_open = 0
    for each in seen:
        is_open += 1 if each.startswith("+") else -1
        assert is_open <= 2
    assert seen[:2] == ["+a", "+b"]
    assert len(provider.bodies) == 4
