"""Brings a database to the newest revision, one process at a time, as the owner role where there is one."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

import service
from service.settings import Settings

LOCK = 7002  # session advisory lock: five hosts may migrate at once, one does the work


def migrations_directory() -> Path:
    """The folder of the revisions: inside the installed package, or beside src/ in a checkout."""
    package = Path(service.__file__).resolve().parent
    carried = package / "migrations"
    return carried if carried.is_dir() else package.parent.parent / "migrations"


def config() -> Config:
    """Alembic's configuration, without an ini file."""
    made = Config()
    made.set_main_option("script_location", str(migrations_directory()))
    made.set_main_option("path_separator", "os")
    return made


def head_revision() -> str:
    """The revision that this code expects."""
    head = ScriptDirectory.from_config(config()).get_current_head()
    assert head is not None
    return head


def upgrade(settings: Settings) -> None:
    """Run all pending revisions under a lock and grant the named roles what they need. Safe to call from many hosts.

    Needs no superuser, no CREATEROLE and no extension. Raises psycopg.Error when the database refuses.
    """
    with psycopg.connect(settings.direct_url, autocommit=True, application_name="agentic-migrate") as lock:
        lock.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        engine = create_engine("postgresql+psycopg://", creator=lambda: _connect_as_owner(settings), poolclass=NullPool)
        with engine.connect() as connection:
            alembic = config()
            alembic.attributes["connection"] = connection
            try:
                command.upgrade(alembic, "head")
            except DBAPIError as error:
                raise error.orig or error from error
        with _connect_as_owner(settings) as connection_for_grants:
            _grant(connection_for_grants, settings)


def _connect_as_owner(settings: Settings) -> psycopg.Connection[tuple[object, ...]]:
    connection = psycopg.connect(settings.direct_url, application_name="agentic-migrate")
    connection.execute("SET lock_timeout = '4s'")
    connection.execute("SET client_min_messages = warning")
    is_member = connection.execute(
        "SELECT pg_has_role(current_user, rolname, 'MEMBER') FROM pg_roles WHERE rolname = %s", (settings.owner_role,)
    ).fetchone()
    if is_member is not None and is_member[0]:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(settings.owner_role)))
    connection.commit()
    return connection


def _grant(connection: psycopg.Connection[tuple[object, ...]], settings: Settings) -> None:
    """Grants are repeated at each migrate: a role may have been created since, a table added."""
    for role, statements in ((settings.app_role, APP_GRANTS), (settings.reporting_role, REPORTING_GRANTS)):
        exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        for statement in statements if exists is not None else ():
            connection.execute(sql.SQL(statement).format(role=sql.Identifier(role)))
    connection.commit()


APP_GRANTS = (
    "GRANT USAGE ON SCHEMA public TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
    "GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {role}",
)

REPORTING_GRANTS = (
    "GRANT USAGE ON SCHEMA reporting TO {role}",
    "GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO {role}",
)
