"""Which database and which API a command works on."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from service.errors import SetupError
from service.settings import Settings

Result = TypeVar("Result")

NO_DATABASE = (
    "DATABASE_URL is not set and no database runs in {root}. "
    "Set DATABASE_URL to a PostgreSQL URL, or start everything here with `agentic up`."
)


def settings_with_database() -> Settings:
    """Settings whose database_url is set: from the environment, else the one that `agentic up` runs here.

    Raises SetupError (exit status 2) when there is neither.
    """
    settings = Settings.read()
    if settings.database_url:
        return settings
    from service.embedded import attach

    url = attach(Path(settings.data_root))
    if url is None:
        raise SetupError(NO_DATABASE.format(root=settings.data_root))
    return dataclasses.replace(settings, database_url=url)


def with_connection(work: Callable[..., Awaitable[Result]], *arguments: object) -> Result:
    """Run `work(connection, *arguments)` in one transaction on the database and return what it returns.

    Raises Unavailable, which the command line prints as one line, when the database cannot be reached.
    """
    from service.database import Database

    async def run() -> Result:
        database = Database(settings_with_database(), application_name="agentic-cli")
        await database.open()
        try:
            async with database.transaction() as connection:
                return await work(connection, *arguments)
        finally:
            await database.close()

    return asyncio.run(run())


def api_target(settings: Settings) -> tuple[str, str]:
    """The API's URL and a token: AGENTIC_URL and AGENTIC_TOKEN, else what `agentic up` wrote to cli.json."""
    written = Path(settings.data_root) / "cli.json"
    known: dict[str, str] = json.loads(written.read_text()) if written.is_file() else {}
    url, token = settings.url or known.get("url", ""), settings.token or known.get("token", "")
    if not url or not token:
        raise SetupError(
            f"No API to talk to: set AGENTIC_URL and AGENTIC_TOKEN, or start everything here with `agentic up` "
            f"(it writes {written})."
        )
    return url.rstrip("/"), token


def print_record(record: object, *, as_json: bool) -> None:
    """A record as REST gives it: JSON on one line for programs, indented for people."""
    click.echo(json.dumps(record, ensure_ascii=False) if as_json else json.dumps(record, ensure_ascii=False, indent=2))
