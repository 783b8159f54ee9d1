"""From made secrets to working roles: what the compose file does, on a real server that asks for passwords."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from service.embedded import Cluster, find_binaries
from service.sealing import read_keys
from tests import postgres
from tests.deployment.installation import ROOT, Installation
from tests.deployment.test_wheel import free_port


def make_secrets(folder: Path) -> None:
    subprocess.run([ROOT / "deploy" / "make-secrets", folder], check=True, capture_output=True)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    make_secrets(folder)
    return folder


def test_secrets_are_random_and_closed_to_other_users(secrets: Path, tmp_path: Path) -> None:
    make_secrets(tmp_path / "others")
    passwords = {path.read_text() for path in tmp_path.glob("*/*_password")}
    assert len(passwords) == 8
    assert min(map(len, passwords)) == 48
    keys = {path.read_text() for path in tmp_path.glob("*/secret_key")}
    assert (len(keys), [len(read_keys(key)) for key in keys]) == (2, [1, 1])
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700


def test_secrets_that_are_there_are_kept(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    make_secrets(secrets)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before


@dataclass(frozen=True)
class Server:
    """A server on loopback that asks for passwords, and its superuser's way around them."""

    port: int
    superuser_url: str


@pytest.fixture
def server() -> Iterator[Server]:
    port = free_port()
    listening = {**postgres.THROWAWAY, "listen_addresses": "127.0.0.1", "port": str(port)}
    # Not below root's pytest directories, which are closed to the account that the server runs as.
    with tempfile.TemporaryDirectory(prefix="pg-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        with Cluster(Path(folder), options=listening) as cluster:
            yield Server(port, f"{cluster.url}&port={port}")


def create_roles(server: Server, secrets: Path) -> None:
    known = psycopg.conninfo.conninfo_to_dict(server.superuser_url)
    environment = {
        "PATH": f"{find_binaries()}:{os.defpath}",
        "PGHOST": str(known["host"]),
        "PGPORT": str(server.port),
        "POSTGRES_USER": str(known["user"]),
        "POSTGRES_DB": str(known["dbname"]),
        "SECRETS": str(secrets),
    }
    subprocess.run([ROOT / "deploy" / "create-roles.sh"], env=environment, check=True)


def urls_of_this_server(server: Server, secrets: Path) -> None:
    """The made URLs name the host `db`, which exists among containers only."""
    for path in secrets.glob("*_database_url"):
        path.write_text(path.read_text().replace("@db/", f"@127.0.0.1:{server.port}/"))


@pytest.mark.slow
def test_roles_made_from_secrets_migrate_serve_and_report(
    installation: Installation, server: Server, secrets: Path
) -> None:
    create_roles(server, secrets)
    urls_of_this_server(server, secrets)
    owner, app = secrets / "owner_database_url", secrets / "app_database_url"
    migrated = installation.run("agentic", "migrate", DATABASE_URL_FILE=str(owner))
    assert migrated.returncode == 0, migrated.stderr
    with psycopg.connect(app.read_text()) as connection:
        assert connection.execute("SELECT count(*) FROM executions").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DROP TABLE executions")
    reader = app.read_text().replace("agentic_app", "reporting_reader")
    reader = reader.replace((secrets / "app_password").read_text(), (secrets / "reporting_password").read_text())
    with psycopg.connect(reader) as connection:
        assert connection.execute("SELECT count(*) FROM reporting.executions").fetchone() == (0,)
        limits = "SELECT current_setting('timezone'), current_setting('statement_timeout')"
        assert connection.execute(limits).fetchone() == ("UTC", "5min")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(app.read_text().replace("agentic_app:", "agentic_app:wrong"))
