"""`agentic up`: everything under one supervisor, from the first start to the last signal."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes.up import Up, is_alive, until

pytestmark = pytest.mark.slow


@pytest.fixture
def up() -> Iterator[Up]:
    made = Up()
    yield made
    made.close()


def run_echo(up: Up, text: str) -> subprocess.CompletedProcess[str]:
    return run(up, "echo_agent", "echo", "--input", text)


def run(up: Up, agent: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`agentic run`, beside `agentic up`."""
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "run", str(up.access[agent]), *arguments],
        env={"AGENTIC_DATA_ROOT": str(up.directory), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_up_when_started_first_makes_a_sample_and_runs_executions(up: Up) -> None:
    up.start()
    shown = up.output.read_text()
    assert "Sample execution 1" in shown
    assert "validation_failed: This script has nothing to say." in shown
    assert up.access["token"] in shown
    assert stat.S_IMODE((up.directory / "cli.json").stat().st_mode) == 0o600
    done = run_echo(up, '{"a": [1, "é"]}')
    assert (done.returncode, done.stdout.split()) == (0, ["{", '"a":', "[", "1,", '"é"', "]", "}"]), done.stderr


def test_run_when_the_execution_fails_or_is_refused_says_why_and_exits_1_or_2(up: Up) -> None:
    up.start()
    sheet = str(up.directory / "product-sheet.txt")
    failed = run(up, "agent", "catalog-enrichment", "--input", '{"skus": ["SKU-001"]}', "--file", sheet)
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "failed: validation_failed: This script has nothing to say." in failed.stderr
    for arguments, said in (
        (["echo", "--input", "[1]"], "input: must be an object"),
        (["echo", "--input", "{"], "--input is not JSON"),
        (["nothing"], "'nothing' is unknown"),
    ):
        refused = run(up, "echo_agent", *arguments)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr


def test_up_when_interrupted_stops_everything_and_keeps_the_data(up: Up) -> None:
    up.start()
    children = up.children()
    assert set(children) == {"postgres", "serve", "worker"}
    assert run_echo(up, '{"kept": true}').returncode == 0
    token = up.access["token"]
    assert up.interrupt() == 0
    assert not [name for name, pid in children.items() if is_alive(pid)]
    up.start()
    assert token in up.output.read_text()
    assert "Sample execution" not in up.output.read_text()
    listed = httpx.get(f"{up.access['url']}/api/agentic-executions/", headers={"Authorization": f"Token {token}"})
    assert listed.json()["count"] == 2


def test_up_when_a_child_is_killed_starts_it_again(up: Up) -> None:
    up.start()
    before = up.children()
    for name in ("worker", "serve", "postgres"):
        os.kill(before[name], signal.SIGKILL)
        until(lambda name=name: up.children().get(name, before[name]) != before[name])  # type: ignore[misc]
    until(lambda: _answers(up))
    done = run_echo(up, '{"after": "kills"}')
    assert done.returncode == 0, done.stderr


def test_up_when_killed_leaves_no_orphan_and_starts_again_with_its_data(up: Up) -> None:
    up.start()
    children = up.children()
    assert run_echo(up, '{"kept": true}').returncode == 0
    up.kill()
    until(lambda: not [name for name, pid in children.items() if is_alive(pid)])
    up.start()
    listed = httpx.get(f"{up.access['url']}/api/agentic-executions/", headers=_headers(up))
    assert listed.json()["count"] == 2


def test_up_where_it_runs_already_says_so_and_exits_2(up: Up) -> None:
    up.start()
    second = subprocess.run(
        [sys.executable, "-m", "service.cli", "up", "--port", str(up.port + 1)],
        env={"AGENTIC_DATA_ROOT": str(up.directory), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 2
    assert "already runs here" in second.stderr


def test_up_on_a_port_in_use_says_so_and_leaves_nothing_running(up: Up, tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", up.port))
        taken.listen()
        with pytest.raises(AssertionError, match="cannot be used"):
            up.start()
    assert not (up.directory / "postgres" / "url").exists()


def test_commands_beside_up_when_run_attach_to_its_database(up: Up) -> None:
    up.start()
    for command, said in (
        (["doctor"], "1 alive"),
        (["psql", "--reporting", "-Atc", "SELECT count(*) FROM executions"], "1"),
        (["migrate"], "The database is at revision"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *command],
            env={"AGENTIC_DATA_ROOT": str(up.directory), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said in done.stdout, done.stderr


def _headers(up: Up) -> dict[str, str]:
    return {"Authorization": f"Token {up.access['token']}"}


def _answers(up: Up) -> bool:
    try:
        return httpx.get(f"{up.access['url']}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
