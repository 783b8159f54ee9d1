"""`agentic psql`: psql on the right database, with the right role and in UTC."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from service.errors import SetupError


@click.command("psql", context_settings={"ignore_unknown_options": True})
@click.option("--reporting", is_flag=True, help="Read only, on the reporting schema, as the reporting role.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(reporting: bool, arguments: tuple[str, ...]) -> None:
    """Open psql on the database; further ARGUMENTS, such as -c "SELECT …", go to psql."""
    from service.commands.target import settings_with_database

    settings = settings_with_database()
    environment = {**os.environ, "PGTZ": "UTC"}
    if reporting:
        _refuse_pooler(settings.direct_url)
        environment["PGOPTIONS"] = (
            f"-c role={settings.reporting_role} -c search_path=reporting -c default_transaction_read_only=on"
        )
    url, password = _without_password(settings.direct_url)
    if password:
        environment["PGPASSWORD"] = password
    program = _find_psql()
    os.execve(program, [program, url, *arguments], environment)  # noqa: S606


def _refuse_pooler(url: str) -> None:
    """Raises SetupError: a pooler passes on neither the role nor that it is to read only."""
    import psycopg

    from service.poolers import is_pooled

    try:
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            if is_pooled(connection):
                raise SetupError("--reporting needs a session of its own: set DATABASE_DIRECT_URL, past the pooler.")
    except psycopg.Error:
        return  # psql says it better


def _without_password(url: str) -> tuple[str, str]:
    """The URL as a connection string without its password, and that: arguments are there for all to see."""
    from psycopg.conninfo import conninfo_to_dict, make_conninfo

    known = conninfo_to_dict(url)
    password = str(known.pop("password", ""))
    return make_conninfo("", **known), password


def _find_psql() -> str:
    """The psql on PATH, else the embedded one. Raises SetupError where there is neither."""
    if found := shutil.which("psql"):
        return found
    from service.embedded import find_binaries

    program = Path(find_binaries()) / "psql"
    if not program.is_file():
        raise SetupError("psql was not found: install the PostgreSQL client, or `make install` in a checkout.")
    return str(program)
