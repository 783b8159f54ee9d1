"""Migrations: by anybody who may create tables, by many at once, to exactly what the code declares."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from procrastinate.schema import SchemaManager
from psycopg import sql
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from service import migrate
from service.migrate import config, upgrade
from service.revisions import head_revision, migrations_directory
from service.settings import Settings
from service.tables import metadata
from tests import postgres
from tests.service.commands.running import agentic

WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'agentic-migrate' AND wait_event_type = 'Lock'"
FOREIGN = ("procrastinate_", "alembic_")


@pytest.fixture(params=["pg_server", "pg15_server"])
def empty_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database on the newest and on the oldest supported server, as an owner who is no superuser."""
    with postgres.empty_database(request.getfixturevalue(request.param)) as url:
        yield url


def test_migrated_database_when_compared_is_what_the_tables_declare(empty_url: str) -> None:
    postgres.migrate(empty_url)
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(empty_url), poolclass=NullPool)
    with engine.connect() as connection:
        found = MigrationContext.configure(
            connection,
            opts={"include_name": lambda name, kind, _: kind != "table" or not name.startswith(FOREIGN)},
        )
        assert compare_metadata(found, metadata) == []


def test_queue_when_migrated_is_what_the_installed_release_ships(empty_url: str, pg_server: str) -> None:
    postgres.migrate(empty_url)
    with postgres.empty_database(pg_server) as shipped_url, psycopg.connect(shipped_url) as shipped:
        shipped.execute(SchemaManager.get_schema().encode())
        shipped.commit()
        with psycopg.connect(empty_url) as migrated:
            assert _queue_columns(migrated) == _queue_columns(shipped)


def test_migrate_when_five_processes_call_it_at_once_runs_each_revision_once(empty_url: str) -> None:
    # Forked from one that has imported: five that import cost six seconds and start further apart.
    forks = get_context("forkserver")
    forks.set_forkserver_preload(["service.migrate"])
    together = forks.Barrier(5)
    running = [forks.Process(target=_migrate_with, args=(together, empty_url)) for _ in range(5)]
    for process in running:
        process.start()
    for process in running:
        process.join(90)
    assert [process.exitcode for process in running] == [0] * 5
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(head_revision(),)]


def test_migrate_when_a_process_at_work_is_in_the_way_tries_again_until_it_is_not(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.read({"DATABASE_URL": empty_url})
    monkeypatch.setattr(migrate, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(migrate, "LOCK_TIMEOUT", "100ms")
    with psycopg.connect(empty_url) as worker, psycopg.connect(empty_url, autocommit=True) as watcher:
        worker.execute("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        worker.commit()
        worker.execute("LOCK TABLE alembic_version")
        with ThreadPoolExecutor(1) as pool:
            migrating = pool.submit(migrate.upgrade, settings)
            waited: set[int] = set()
            while len(waited) < 2:  # an attempt that gave up, and the next one
                waited |= {pid for (pid,) in watcher.execute(WAITING).fetchall()}
            worker.commit()
            migrating.result(timeout=60)
        assert watcher.execute("SELECT version_num FROM alembic_version").fetchone() == (head_revision(),)


def test_migrate_where_a_role_may_not_create_tables_says_so_and_exits_2(empty_url: str) -> None:
    reader = postgres.as_role(empty_url, postgres.REPORTING)
    done = agentic("migrate", environment={"DATABASE_URL": reader})
    assert done.returncode == 2
    assert "Migration failed: permission denied" in done.stderr


def test_migrate_by_a_member_of_the_owner_role_leaves_the_tables_to_the_owner(pg_server: str) -> None:
    with psycopg.connect(pg_server, autocommit=True) as administrator:
        administrator.execute("CREATE ROLE migrator LOGIN")
        administrator.execute(sql.SQL("GRANT {} TO migrator").format(sql.Identifier(postgres.OWNER)))
    try:
        with postgres.empty_database(pg_server) as url:
            upgrade(Settings.read({"DATABASE_URL": postgres.as_role(url, "migrator")}))
            with psycopg.connect(url) as connection:
                owners = connection.execute(
                    "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
                ).fetchall()
            assert owners == [(postgres.OWNER,)]
    finally:
        with psycopg.connect(pg_server, autocommit=True) as administrator:
            administrator.execute("DROP ROLE migrator")


def test_migrate_where_the_named_roles_do_not_exist_succeeds_without_them(empty_url: str) -> None:
    names = {"AGENTIC_OWNER_ROLE": "no_owner", "AGENTIC_APP_ROLE": "no_app", "AGENTIC_REPORTING_ROLE": "no_reader"}
    upgrade(Settings.read({"DATABASE_URL": empty_url, **names}))
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (head_revision(),)


def test_app_role_when_granted_reads_and_writes_but_owns_nothing(empty_url: str) -> None:
    postgres.migrate(empty_url)
    with psycopg.connect(postgres.as_role(empty_url, postgres.APP), autocommit=True) as app:
        app.execute("INSERT INTO data_sets (name) VALUES ('one')")
        app.execute("SELECT * FROM claim_execution(1, '{}')")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("ALTER TABLE data_sets ADD COLUMN extra text")


def test_head_revision_when_read_from_the_names_is_the_one_that_alembic_would_upgrade_to() -> None:
    assert ScriptDirectory.from_config(config()).get_heads() == [head_revision()]


def test_migrations_when_read_ask_for_no_extension_and_no_role() -> None:
    sources = [path for kind in ("*.py", "*.sql") for path in Path(migrations_directory()).rglob(kind)]
    assert sources
    text = "\n".join(path.read_text() for path in sources).upper()
    for statement in ("CREATE EXTENSION", "CREATE ROLE", "SUPERUSER"):
        assert statement not in text


def _migrate_with(together: Barrier, url: str) -> None:
    """In a process of its own, when all are there."""
    together.wait(60)
    postgres.migrate(url)


def _queue_columns(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    """Tables, columns, and functions of the queue."""
    columns = connection.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name LIKE 'procrastinate%' ORDER BY 1, 2"
    ).fetchall()
    functions = connection.execute(
        "SELECT proname, pg_get_function_identity_arguments(oid), '' FROM pg_proc"
        " WHERE proname LIKE 'procrastinate%' ORDER BY 1, 2"
    ).fetchall()
    return [*columns, *functions]
