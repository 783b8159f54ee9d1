"""Which database this process works on: DATABASE_URL, or the one that `agentic up` runs here."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from service.errors import SetupError
from service.settings import Settings


def data_directory(settings: Settings) -> Path:
    """Where `agentic up` keeps its database and cli.json: AGENTIC_DATA_ROOT; a relative one lies in the checkout that
    this code runs from, else in the working directory."""
    checkout = Path(__file__).resolve().parents[2]
    base = checkout if (checkout / "pyproject.toml").is_file() else Path.cwd()
    return base / settings.data_root


def settings_with_database(settings: Settings | None = None) -> Settings:
    """Settings whose database_url is set. Raises SetupError where none is named and none runs here."""
    settings = settings or Settings.read()
    if settings.database_url:
        return settings
    from service.embedded import attach

    root = data_directory(settings)
    url = attach(root / "postgres")
    if url is None:
        raise SetupError(
            f"DATABASE_URL is not set and no database runs in {str(root)!r}: "
            "set DATABASE_URL to a PostgreSQL URL, or start everything here with `agentic up`."
        )
    return dataclasses.replace(settings, database_url=url)
