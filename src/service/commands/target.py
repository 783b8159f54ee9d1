"""Which database and which API a command works on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import click

from service.accounts.access import LOCAL_ADMIN
from service.attached import data_directory, settings_with_database
from service.definitions.schema import Undecodable, convert
from service.errors import SetupError
from service.settings import Settings
from service.supervision.access_file import read_access

Result = TypeVar("Result")


__all__ = ["LOCAL_ADMIN", "api_target", "checked", "print_record", "settings_with_database", "with_connection"]


def with_connection(work: Callable[..., Awaitable[Result]], *arguments: object) -> Result:
    """Run `work(connection, *arguments)` in one transaction on the database and return what it returns.

    Raises SetupError, which the command line prints as one line, when the database cannot be reached or refuses.
    """
    from service.database import own_transaction

    async def run() -> Result:
        async with own_transaction(settings_with_database(), application_name="agentic-cli") as connection:
            return await work(connection, *arguments)

    return asyncio.run(run())


def api_target(settings: Settings) -> tuple[str, str]:
    """The API's URL and a token: AGENTIC_URL and AGENTIC_TOKEN, else what `agentic up` wrote to cli.json."""
    written = data_directory(settings) / "cli.json"
    known = read_access(written)
    url, token = settings.url or (known.url if known else ""), settings.token or (known.token if known else "")
    if not url or not token:
        raise SetupError(
            f"No API to talk to: set AGENTIC_URL and AGENTIC_TOKEN, or start everything here with `agentic up` "
            f"(it writes {written})."
        )
    if not url.startswith(("http://", "https://")):
        raise SetupError(f"AGENTIC_URL={url!r} is no URL of an API: expected one such as http://127.0.0.1:8000.")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SetupError("AGENTIC_TOKEN is no token: it has characters that none has, such as a space or a line's end.")
    return url.rstrip("/"), token


def checked(kind: type[Result], **fields: object) -> Result:
    """A record to create, held to the same bounds as over REST. Raises SetupError naming every field that is wrong."""
    try:
        return convert(kind, fields)
    except Undecodable as error:
        wrong = [f"{problem.field('').removeprefix('.')} {problem.message}" for problem in error.problems]
        raise SetupError(f"{'; '.join(wrong)}.") from error


def print_record(record: object, *, as_json: bool) -> None:
    """A record as REST gives it: JSON on one line for programs, indented for people."""
    click.echo(json.dumps(record, ensure_ascii=False) if as_json else json.dumps(record, ensure_ascii=False, indent=2))
