"""Behind pgbouncer in transaction mode, as a role that owns nothing: with a direct URL beside it, and alone."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from service.commands import psql
from service.commands.examinations import examine
from service.database import Database
from service.errors import SetupError
from service.migrate import upgrade
from service.revisions import head_revision
from service.settings import Settings
from tests import http, postgres
from tests.processes.conftest import Start
from tests.processes.workers import calls, check_all_finished, unfinished, until
from tests.service.commands.running import agentic_process
from tests.tasks.seed import Shop

CONFIGURATION = """
[databases]
* = host={host}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
default_pool_size = 2
"""


MIGRATOR = "pooled_migrator"
Through = Callable[[str, str], str]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def accepts_connections(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture(scope="module")
def pooler(pg_server: str) -> Iterator[Through]:
    """pgbouncer before the server. through(url, role): the same database through it."""
    binary = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must test behind a pooler: pgbouncer is not installed")
        pytest.skip("pgbouncer is not installed")
    sockets = Path(parse_qs(urlsplit(pg_server).query)["host"][0])
    # The server's socket is closed to others than the server's account, and pgbouncer does not run as root.
    account = pwd.getpwuid(sockets.stat().st_uid)
    folder = sockets.parent / f"{sockets.name}-pooler"
    folder.mkdir(mode=0o755)
    users, configuration, port = folder / "users", folder / "ini", free_port()
    users.write_text("".join(f'"{role}" ""\n' for role in (postgres.APP, postgres.OWNER, MIGRATOR)))
    configuration.write_text(CONFIGURATION.format(host=sockets, port=port, users=users))
    switch = ["-u", account.pw_name] if os.geteuid() == 0 else []
    process = subprocess.Popen([binary, *switch, configuration], stderr=subprocess.DEVNULL)
    try:

        def through(url: str, role: str) -> str:
            return f"postgresql://{role}@127.0.0.1:{port}{urlsplit(url).path}?sslmode=disable"

        until(lambda: accepts_connections(through(pg_server, postgres.OWNER)), what="pgbouncer listens")
        yield through
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


@pytest.fixture
def pooler_url(pooler: Through, database_url: str) -> str:
    """The test's database through pgbouncer, as the app role."""
    return pooler(database_url, postgres.APP)


def test_execution_accepted_and_run_through_a_transaction_pooler_finishes(
    pooler_url: str, database_url: str, shop: Shop, start: Start, connection: psycopg.Connection[Any], calls_log: Path
) -> None:
    start("one", url=pooler_url, DATABASE_DIRECT_URL=postgres.as_role(database_url, postgres.APP))
    with psycopg.connect(pooler_url, autocommit=True, prepare_threshold=None) as pooled:
        caller = Shop(pooled, shop.account_id, shop.data_set_id, shop.agent_id)
        for _ in range(12):
            caller.accept("steps", {"log": str(calls_log), "tool": "read_catalogue", "tool_calls": 2})
        for _ in range(12):
            caller.accept("echo", {"a": 1})
    until(lambda: not unfinished(connection))
    check_all_finished(connection)
    assert set(calls(calls_log, "asked").values()) == {1}


def test_worker_and_api_behind_a_transaction_pooler_alone_run_every_execution_to_its_end(
    pooler_url: str, start: Start, connection: psycopg.Connection[Any]
) -> None:
    data_set = http.create_data_set(connection)
    agent = http.create_agent(connection, data_set, file_upload=True)
    account = http.create_account(connection, "caller", data_sets=[data_set])
    worker = start("one", url=pooler_url)
    with http.serving(pooler_url) as client:
        client.headers.update(account.headers)
        assert client.get("/readyz").json() == {"status": "ok"}
        for _ in range(2):  # the second half finds connections that have changed hands
            with ThreadPoolExecutor(8) as callers:
                started = list(callers.map(lambda _: start_over_rest(client, agent), range(12)))
            for execution_id in started:
                until(lambda: read(client, execution_id)["status"] not in ("pending", "in_progress"))  # noqa: B023
                assert read(client, execution_id)["result"] == {"a": 1}
    check_all_finished(connection)
    assert worker.stop() == 0
    told = worker.log.read_text()
    assert "polling" in told
    assert not re.search("WARNING|ERROR", told)


def start_over_rest(client: http.Client, agent_id: int) -> int:
    started = client.post(
        f"/api/agents/{agent_id}/agentic-executions/",
        data={"execution_key": "echo", "input": json.dumps({"a": 1})},
        files={"files[]": ("note.txt", b"some words" * 60_000, "text/plain")},
    )
    assert started.status_code == 202, started.text
    execution_id: int = started.json()["id"]
    return execution_id


def read(client: http.Client, execution_id: int) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/api/agentic-executions/{execution_id}/").json()
    return found


def test_transaction_through_a_transaction_pooler_has_bounds_and_leaves_none_in_its_connections(
    pooler_url: str,
) -> None:
    bounds = (
        "SELECT current_setting('idle_in_transaction_session_timeout') AS idle, current_setting('lock_timeout') AS lock"
    )

    async def found() -> tuple[object, object]:
        database = Database(Settings.read({"DATABASE_URL": pooler_url}), application_name="test")
        await database.open()
        try:
            async with database.transaction() as connection:
                within = await (await connection.execute(bounds)).fetchone()
            async with database.connection() as connection:
                after = await (await connection.execute(bounds)).fetchone()
        finally:
            await database.close()
        return within, after

    assert asyncio.run(found()) == ({"idle": "10s", "lock": "10s"}, {"idle": "0", "lock": "0"})


@pytest.fixture
def migrator(pg_server: str) -> Iterator[str]:
    """A role that may become the owner."""
    with psycopg.connect(pg_server, autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {MIGRATOR} LOGIN IN ROLE {postgres.OWNER}".encode())
        yield MIGRATOR
        administrator.execute(f"DROP ROLE {MIGRATOR}".encode())


def test_migrate_through_a_transaction_pooler_by_two_at_once_leaves_nothing_in_its_connections(
    pooler: Through, pg_server: str, migrator: str
) -> None:
    with postgres.empty_database(pg_server) as url:
        pooled_url = pooler(url, migrator)
        settings = Settings.read({"DATABASE_URL": pooled_url})
        with ThreadPoolExecutor(1) as other_host:
            other = other_host.submit(agentic_process, "migrate", environment={"DATABASE_URL": pooled_url})
            upgrade(settings)
            assert other.result().returncode == 0, other.result().stderr
        with psycopg.connect(url, autocommit=True) as direct:
            assert direct.execute("SELECT version_num FROM alembic_version").fetchall() == [(head_revision(),)]
            owners = direct.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'").fetchall()
            assert owners == [(postgres.OWNER,)]
            assert direct.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
                " WHERE locktype = 'advisory' AND datname = current_database()"
            ).fetchone() == (0,)
        with psycopg.connect(pooled_url) as one, psycopg.connect(pooled_url) as two:  # both of its connections
            for session in (one, two):
                assert session.execute(
                    "SELECT current_user, current_setting('lock_timeout'), current_setting('client_min_messages')"
                ).fetchone() == (migrator, "0", "notice")


def test_doctor_behind_a_transaction_pooler_alone_tells_what_that_costs(
    pooler_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", pooler_url)
    found = {finding.subject: finding for finding in examine()}
    assert found["migrations"].state == "good"
    assert found["DATABASE_DIRECT_URL"].state == "note"
    assert "poll" in found["DATABASE_DIRECT_URL"].text


def test_psql_for_reporting_through_a_transaction_pooler_refuses_instead_of_writing_with_the_wrong_role(
    pooler_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", pooler_url)
    with pytest.raises(SetupError, match="DATABASE_DIRECT_URL"):
        psql.command.main(["--reporting", "-c", "SELECT 1"], standalone_mode=False)
