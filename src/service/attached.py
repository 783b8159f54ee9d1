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


def require_readable_urls(settings: Settings) -> None:
    """Raises SetupError where libpq cannot read a URL. Its own words quote the URL, password and all."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    for name, url in (("DATABASE_URL", settings.database_url), ("DATABASE_DIRECT_URL", settings.database_direct_url)):
        try:
            conninfo_to_dict(url)
        except ProgrammingError:
            raise SetupError(
                f"{name} is no URL that PostgreSQL's clients can read: expected postgresql://user@host:5432/database, "
                "with special characters in its parts written as %XX."
            ) from None


def settings_with_database(settings: Settings | None = None) -> Settings:
    """Settings whose database_url is set. Raises SetupError where none is named and none runs here."""
    settings = settings or Settings.read()
    require_readable_urls(settings)
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
