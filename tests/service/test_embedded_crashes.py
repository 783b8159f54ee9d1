"""The embedded server and kill -9: no acknowledged row is lost, no process is left, no help is needed."""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from service.embedded import Cluster, attach, child, find_binaries, postmaster
from service.embedded.account import server_account
from tests.service.embedded_processes import (
    DEADLINE_SECONDS,
    ORDINARY_UID,
    Supervisor,
    Writer,
    data_root,
    is_process,
    lost_rows,
    supervisor,
    wait_until,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="these tests follow processes through /proc"),
]


@pytest.fixture(scope="module", params=["as root", "as an ordinary user"])
def uid(request: pytest.FixtureRequest) -> int | None:
    """Who the supervisor becomes; None is whoever runs the tests."""
    if os.geteuid() == 0:
        return None if request.param == "as root" else ORDINARY_UID
    if request.param == "as root":
        pytest.skip("only root can start a server as root")
    return None


@pytest.fixture(scope="module")
def root(uid: int | None) -> Iterator[Path]:
    """One for all tests: each leaves a cluster that starts, or the next one says so."""
    with data_root(uid=uid) as made:
        yield made


@pytest.fixture(scope="module")
def own_root() -> Iterator[Path]:
    """One whose supervisor is this process."""
    with data_root() as made:
        with Cluster(made):
            pass
        yield made


def test_postmaster_when_killed_under_a_writer_loses_no_acknowledged_row(root: Path, uid: int | None) -> None:
    with supervisor(root, uid=uid) as running:
        writer = Writer(running.url)
        os.kill(running.postmaster_pid, signal.SIGKILL)
        writer.join()
        running.start_server_again()
        assert lost_rows(running.url, acknowledged=writer.acknowledged) == set()


def test_supervisor_when_killed_under_a_writer_takes_the_server_along_and_loses_no_row(
    root: Path, uid: int | None
) -> None:
    first = Supervisor(root, uid=uid)
    writer = Writer(first.url)
    postmaster_pid = first.postmaster_pid
    first.kill()
    wait_until(lambda: not is_process(postmaster_pid))
    writer.join()
    with supervisor(root, uid=uid) as second:
        assert lost_rows(second.url, acknowledged=writer.acknowledged) == set()


def test_start_when_supervisor_and_postmaster_were_killed_loses_no_acknowledged_row(
    root: Path, uid: int | None
) -> None:
    first = Supervisor(root, uid=uid)
    writer = Writer(first.url)
    os.kill(first.postmaster_pid, signal.SIGKILL)
    first.kill()
    writer.join()
    with supervisor(root, uid=uid) as second:
        assert lost_rows(second.url, acknowledged=writer.acknowledged) == set()


def test_start_when_the_supervisor_was_killed_a_moment_ago_waits_for_its_server(root: Path, uid: int | None) -> None:
    first = Supervisor(root, uid=uid)
    writer = Writer(first.url)
    first_pid = first.postmaster_pid
    first.kill()
    with supervisor(root, uid=uid) as second:
        assert not is_process(first_pid)
        writer.join()
        assert lost_rows(second.url, acknowledged=writer.acknowledged) == set()


def test_start_when_an_orphan_server_is_alive_stops_it_first(own_root: Path) -> None:
    data = own_root / "data"
    with (own_root / "log").open("ab") as log:
        orphan = child.spawn(
            [find_binaries() / "postgres", "-D", data, "-k", data, "-c", "listen_addresses="],
            account=server_account(data),
            output=log,
        )
    # Only its own parent can reap it, and until then it is a zombie, which has to count as dead.
    wait_until(lambda: (record := postmaster.pid_file(data)) is not None and record.status == "ready")
    with Cluster(own_root) as cluster:
        assert not is_process(orphan.pid)
        assert cluster.pid != orphan.pid
        psycopg.connect(cluster.url).close()
    assert orphan.wait() == 0


@pytest.mark.parametrize("lifetime", ["alive", "zombie"])
def test_start_when_the_recorded_pid_is_another_process_takes_it_for_stale(own_root: Path, lifetime: str) -> None:
    # Of the server's own account: PostgreSQL itself sees through the process of another.
    account = (own_root / "data").stat().st_uid
    stranger = subprocess.Popen(["sleep", "60"] if lifetime == "alive" else ["true"], user=account)
    try:
        if lifetime == "zombie":
            wait_until(lambda: not is_process(stranger.pid))
        _crash(own_root, recorded_pid=stranger.pid)
        assert attach(own_root) is None
        with Cluster(own_root) as cluster:
            psycopg.connect(cluster.url).close()
        assert is_process(stranger.pid) == (lifetime == "alive")
    finally:
        stranger.kill()
        stranger.wait()


def _crash(root: Path, *, recorded_pid: int) -> None:
    """Leaves everything as after a power cut, with the server's pid given to another process since."""
    cluster = Cluster(root)
    cluster.start()
    kept_url = (root / "url").read_text()
    sockets = Path(kept_url.strip().rpartition("host=")[2])
    assert cluster.pid is not None
    os.kill(cluster.pid, signal.SIGKILL)
    wait_until(lambda: not cluster.is_running)
    cluster.stop()
    (root / "url").write_text(kept_url)
    for lock_file in (root / "data" / "postmaster.pid", sockets / ".s.PGSQL.5432.lock"):
        lines = lock_file.read_text().partition("\n")[2]
        lock_file.write_text(f"{recorded_pid}\n{lines}")


def test_start_when_a_backend_still_computes_after_the_postmaster_was_killed_ends_it(own_root: Path) -> None:
    cluster = Cluster(own_root)
    cluster.start()
    try:
        with _computing_backend(cluster.url) as backend:
            assert cluster.pid is not None
            os.kill(cluster.pid, signal.SIGKILL)
            wait_until(lambda: not cluster.is_running)
            assert is_process(backend)
            cluster.start()
            assert not is_process(backend)
    finally:
        cluster.stop()


@contextlib.contextmanager
def _computing_backend(url: str) -> Iterator[int]:
    with psycopg.connect(url, autocommit=True) as connection:
        backend = connection.info.backend_pid
        busy = threading.Thread(target=_compute, args=[connection], daemon=True)
        busy.start()
        try:
            with psycopg.connect(url, autocommit=True) as watching:
                wait_until(lambda: _is_active(watching, backend))
            yield backend
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(backend, signal.SIGQUIT)
            busy.join(DEADLINE_SECONDS)


def _compute(connection: psycopg.Connection) -> None:
    """Counting never looks whether the postmaster is still there."""
    with contextlib.suppress(psycopg.OperationalError):
        connection.execute("SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b")


def _is_active(connection: psycopg.Connection, backend: int) -> bool:
    row = connection.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [backend]).fetchone()
    return row == ("active",)
