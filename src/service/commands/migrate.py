"""`agentic migrate`: bring the database to the newest revision."""

from __future__ import annotations

import click


@click.command("migrate")
def command() -> None:
    """Run pending migrations under a lock and grant the named roles what they need. Safe to call from many hosts."""
    from service.commands.target import settings_with_database

    settings = settings_with_database()  # before what is heavy: a mistake in it is told at once

    import psycopg

    from service.migrate import migration_failed, upgrade
    from service.revisions import head_revision

    try:
        upgrade(settings)
    except psycopg.Error as error:
        raise migration_failed(error) from error
    click.echo(f"The database is at revision {head_revision()}.")
