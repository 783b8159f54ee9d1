"""Reading settings: values, defaults, secrets from files, and what is said about a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.errors import SetupError
from service.settings import Settings


def test_read_without_variables_takes_the_defaults() -> None:
    settings = Settings.read({})
    assert (settings.database_url, settings.worker_concurrency, settings.open_docs) == ("", 20, True)


def test_read_of_an_empty_variable_takes_the_default() -> None:
    assert Settings.read({"AGENTIC_POOL_SIZE": ""}).pool_size == 10


def test_read_converts_to_the_type_of_the_field() -> None:
    settings = Settings.read(
        {
            "AGENTIC_LEASE_SECONDS": "2.5",
            "AGENTIC_OPEN_DOCS": "no",
            "AGENTIC_CORS_ORIGINS": "https://a.test, https://b.test",
        }
    )
    assert (settings.lease_seconds, settings.open_docs) == (2.5, False)
    assert settings.cors_origins == ("https://a.test", "https://b.test")


@pytest.mark.parametrize("name", ["AGENTIC_POOL_SIZE", "AGENTIC_OPEN_DOCS", "AGENTIC_LEASE_SECONDS"])
def test_read_of_a_bad_value_names_the_variable(name: str) -> None:
    with pytest.raises(SetupError, match=f"{name}='maybe'"):
        Settings.read({name: "maybe"})


def test_read_takes_a_secret_from_a_file_without_its_last_newline(tmp_path: Path) -> None:
    secret = tmp_path / "openai_api_key"
    secret.write_text("sk-test\n")
    assert Settings.read({"OPENAI_API_KEY_FILE": str(secret)}).openai_api_key == "sk-test"


def test_read_of_a_missing_secret_file_names_variable_and_path(tmp_path: Path) -> None:
    missing = tmp_path / "absent"
    with pytest.raises(SetupError, match=r"DATABASE_URL_FILE=.*absent"):
        Settings.read({"DATABASE_URL_FILE": str(missing)})


def test_read_of_a_value_and_a_file_refuses_to_choose(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="DATABASE_URL and DATABASE_URL_FILE"):
        Settings.read({"DATABASE_URL": "postgresql:///a", "DATABASE_URL_FILE": str(tmp_path / "url")})
