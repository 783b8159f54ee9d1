"""Brings a database to the newest revision, one process at a time, as the owner role where there is one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from service.database import explained
from service.errors import SetupError
from service.revisions import migrations_directory
from service.settings import Settings

LOCK = 7002  # advisory lock: five hosts may migrate at once, one does the work
LOOK_SECONDS = 0.1
LOCK_TIMEOUT = "4s"
ATTEMPTS = 10
PAUSE_SECONDS = 0.5
"""Workers and APIs go on while revisions run, and may hold what one needs; it is tried again rather than given up."""


def config() -> Config:
    """Alembic's configuration, without an ini file."""
    made = Config()
    made.set_main_option("script_location", str(migrations_directory()))
    made.set_main_option("path_separator", "os")
    return made


def upgrade(settings: Settings) -> None:
    """Run all pending revisions under a lock and grant the named roles what they need. Safe to call from many hosts.

    Needs no superuser, no CREATEROLE and no extension. Raises psycopg.Error when the database refuses.
    """
    with _alone(settings) as connection:
        manners = _manners(connection, settings)
        for attempts_left in reversed(range(ATTEMPTS)):
            try:
                _run_revisions(_engine(settings, manners))
                break
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                if not attempts_left:
                    raise
                time.sleep(PAUSE_SECONDS)
        connection.execute(manners)
        _grant(connection, settings)


def migration_failed(error: psycopg.Error) -> SetupError:
    """What is told of a migration that PostgreSQL refused or did not answer: why, and where to look."""
    return SetupError(explained(error).detail.replace("The database refused:", "Migration failed:"))


def _run_revisions(engine: Engine) -> None:
    """Those that are pending, each in its transaction: one that others were in the way of is undone whole."""
    with engine.connect() as connection:
        alembic = config()
        alembic.attributes["connection"] = connection
        try:
            command.upgrade(alembic, "head")
        except DBAPIError as error:
            raise error.orig or error from error


@contextmanager
def _alone(settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """A connection that holds the lock, in a transaction that stays open: a session's lock would stay behind in the
    connection of a transaction pooler. Asks again instead of waiting: whoever waits for a lock holds a snapshot, which
    an index that is built concurrently waits for.
    """
    with _connect(settings) as connection:
        while True:
            held = connection.execute(TRY_LOCK, (LOCK,)).fetchone()
            if held is not None and held[0]:
                break
            connection.rollback()
            time.sleep(LOOK_SECONDS)
        yield connection


TRY_LOCK = """
SELECT pg_try_advisory_xact_lock(%s), set_config('idle_in_transaction_session_timeout', '0', true)
"""


def _manners(connection: psycopg.Connection[Any], settings: Settings) -> sql.Composed:
    """What each transaction begins with, and forgets at its end: short waits for locks, and the owner's role for
    whoever may take it."""
    statements: list[sql.Composable] = [
        sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT),
        sql.SQL("SET LOCAL client_min_messages = warning"),
    ]
    is_member = connection.execute(
        "SELECT pg_has_role(current_user, rolname, 'MEMBER') FROM pg_roles WHERE rolname = %s", (settings.owner_role,)
    ).fetchone()
    if is_member is not None and is_member[0]:
        statements.append(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(settings.owner_role)))
    return sql.SQL("; ").join(statements)


def _engine(settings: Settings, manners: sql.Composed) -> Engine:
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(settings), poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(manners.as_string()))
    return engine


def _connect(settings: Settings) -> psycopg.Connection[Any]:
    return psycopg.connect(settings.direct_url, application_name="agentic-migrate", prepare_threshold=None)


def _grant(connection: psycopg.Connection[Any], settings: Settings) -> None:
    """Grants are repeated at each migrate: a role may have been created since, a table added."""
    for role, statements in ((settings.app_role, APP_GRANTS), (settings.reporting_role, REPORTING_GRANTS)):
        exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone()
        for statement in statements if exists is not None else ():
            connection.execute(sql.SQL(statement).format(role=sql.Identifier(role)))


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
