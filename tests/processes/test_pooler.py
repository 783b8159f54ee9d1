"""Behind pgbouncer in transaction mode, as a role that owns nothing, with a direct URL beside it for the queue."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from tests import postgres
from tests.processes.conftest import Start
from tests.processes.workers import calls, check_all_finished, unfinished, until
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
default_pool_size = 3
"""


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


@pytest.fixture
def pooler_url(database_url: str) -> Iterator[str]:
    """The test's database through pgbouncer, as the app role."""
    binary = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must test behind a pooler: pgbouncer is not installed")
        pytest.skip("pgbouncer is not installed")
    sockets = Path(parse_qs(urlsplit(database_url).query)["host"][0])
    # The server's socket is closed to others than the server's account, and pgbouncer does not run as root.
    account = pwd.getpwuid(sockets.stat().st_uid)
    folder = sockets.parent / f"{sockets.name}-pooler"
    folder.mkdir(mode=0o755)
    users, configuration, port = folder / "users", folder / "ini", free_port()
    users.write_text(f'"{postgres.APP}" ""\n')
    configuration.write_text(CONFIGURATION.format(host=sockets, port=port, users=users))
    switch = ["-u", account.pw_name] if os.geteuid() == 0 else []
    process = subprocess.Popen([binary, *switch, configuration], stderr=subprocess.DEVNULL)
    try:
        url = f"postgresql://{postgres.APP}@127.0.0.1:{port}{urlsplit(database_url).path}?sslmode=disable"
        until(lambda: accepts_connections(url) or process.poll() is not None, what="pgbouncer listens")
        yield url
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


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
