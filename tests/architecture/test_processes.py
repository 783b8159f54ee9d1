"""What the two kinds of process load, seen in real interpreters: a lazy import that is not lazy shows here."""

from __future__ import annotations

import subprocess
import sys

import pytest

PYDANTIC = ("pydantic",)
"""Which only a definition with a model brings."""

MODEL_CLIENTS_AND_PARSERS = ("anthropic", "openai", "pydantic_ai", "pypdfium2", "xllamacpp")
MIGRATION = ("alembic", "sqlalchemy")
WEB_FRAMEWORK = ("litestar", "uvicorn")


def loaded(statement: str, packages: tuple[str, ...]) -> list[str]:
    """Which of the packages a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {packages!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def test_worker_loads_no_web_framework() -> None:
    assert loaded("import tasks.app", WEB_FRAMEWORK) == []


def test_worker_loads_no_model_client_before_a_model_is_named() -> None:
    assert loaded("import tasks.app", MODEL_CLIENTS_AND_PARSERS) == []


@pytest.mark.parametrize(
    "statement",
    ["import service.app", "from service.definitions.registry import Registry; Registry.discover()"],
)
def test_api_loads_no_model_client_no_parser_and_nothing_that_migrates(statement: str) -> None:
    assert loaded(statement, MODEL_CLIENTS_AND_PARSERS + PYDANTIC + MIGRATION) == []


def test_command_loads_nothing_heavy_before_a_subcommand_runs() -> None:
    heavy = (*WEB_FRAMEWORK, *MODEL_CLIENTS_AND_PARSERS, "alembic", "procrastinate", "psycopg", "sqlalchemy")
    assert loaded("import service.cli", heavy) == []
