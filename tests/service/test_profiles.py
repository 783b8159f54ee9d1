"""Named models as an operator writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from service.errors import SetupError
from service.profiles import ModelProfile, Price
from service.settings import Settings
from tests.architecture.sources import ROOT

TOML = """
[fast]
model = "openai:gpt-5-mini"
fallback = ["spare"]
price = { input = 0.25, output = 2 }

[spare]
model = "anthropic:claude-haiku-4-5"
api_key_variable = "SPARE_KEY"
"""


def profiles(text: str, **environment: str) -> dict[str, ModelProfile]:
    return dict(Settings.read({"AGENTIC_PROFILES": text, **environment}).profiles.by_name)


def test_profiles_are_read_from_json_and_from_toml_alike() -> None:
    read = profiles(TOML)
    assert read["fast"].price == Price(input=0.25, output=2)
    written = {name: {"model": each.model, "fallback": each.fallback} for name, each in read.items()}
    written["fast"]["price"] = {"input": 0.25, "output": 2}  # type: ignore[assignment]
    written["spare"]["api_key_variable"] = "SPARE_KEY"
    assert profiles(json.dumps(written)) == read


def test_profiles_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "profiles.toml"
    path.write_text(TOML)
    assert list(Settings.read({"AGENTIC_PROFILES_FILE": str(path)}).profiles.by_name) == ["fast", "spare"]


def test_profiles_find_their_keys_in_the_environment_or_in_files(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("from-a-file\n")
    environment = {"AGENTIC_PROFILES": TOML, "OPENAI_API_KEY": "provider", "SPARE_KEY_FILE": str(path)}
    settings = Settings.read(environment)
    keys = {name: settings.profiles.key(profile) for name, profile in settings.profiles.by_name.items()}
    assert keys == {"fast": "provider", "spare": "from-a-file"}
    assert "from-a-file" not in repr(settings.profiles)


def test_profiles_in_the_documentation_can_be_read() -> None:
    document = (ROOT / "docs" / "operations.md").read_text()
    example = document.split("```toml\n")[1].split("```")[0]
    assert list(profiles(example)) == ["fast", "spare", "house"]


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"a b": {"model": "echo"}}, "'a b' is no name of a profile"),
        ({"echo": {"model": "echo"}}, "'echo' is no name of a profile"),
        ({"openai:x": {"model": "echo"}}, "'openai:x' is no name of a profile"),
        ({"a": {}}, "profile a: Object missing required field `model`"),
        ({"a": {"model": "azure:x"}}, "profile a: model must be one of"),
        ({"a": {"model": "openai:"}}, "profile a: model must be one of"),
        ({"a": {"model": "echo", "api_key": "sk"}}, "profile a: Object contains unknown field `api_key`"),
        ({"a": {"model": "echo", "concurrency": -1}}, "profile a: concurrency must be positive"),
        ({"a": {"model": "echo", "attempt_seconds": 0}}, "profile a: attempt_seconds must be positive"),
        ({"a": {"model": "echo", "fallback": ["b"]}}, "profile a: fallback 'b' is no other profile"),
        ({"a": {"model": "echo", "fallback": ["a"]}}, "profile a: fallback 'a' is no other profile"),
        ({"a": 5}, "profile a: Expected `object`, got `int`"),
    ],
)
def test_profiles_with_a_mistake_are_refused_with_its_place(given: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SetupError) as caught:
        profiles(json.dumps(given))
    assert "AGENTIC_PROFILES" in caught.value.detail
    assert complaint in caught.value.detail


@pytest.mark.parametrize("text", ["{", "[a", "a = ", "= 1"])
def test_profiles_that_are_neither_json_nor_toml_are_refused(text: str) -> None:
    with pytest.raises(SetupError, match="AGENTIC_PROFILES"):
        profiles(text)
