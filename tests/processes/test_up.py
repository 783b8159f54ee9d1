"""`agentic up`: everything under one supervisor, from the first start to the last signal."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
from collections.abc import Iterator

import httpx
import pytest

from tests.processes.up import Up, is_alive, until
from tests.service.commands.running import Done, agentic, agentic_process

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def first() -> Iterator[Up]:
    """Started once for all tests here, on an empty directory: a start is six seconds of CPU."""
    made = Up()
    try:
        made.start()
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def first_shown(first: Up) -> str:
    """What the first start printed; a later one prints anew."""
    return first.output.read_text()


@pytest.fixture
def up(first: Up, first_shown: str) -> Up:
    """It runs, whatever was done to it before."""
    if not first.is_running:
        first.start()
    return first


def run_echo(up: Up, text: str) -> Done:
    return run(up, "echo_agent", "echo", "--input", text)


def listed(up: Up) -> int:
    """How many executions its account sees."""
    answer = httpx.get(f"{up.access['url']}/api/agentic-executions/", headers=_headers(up))
    count: int = answer.json()["count"]
    return count


def run(up: Up, agent: str, *arguments: str) -> Done:
    """`agentic run`, beside `agentic up`."""
    return agentic("run", str(up.access[agent]), *arguments, environment=_beside(up))


def test_up_when_started_first_makes_a_sample_and_runs_executions(first_shown: str, up: Up) -> None:
    assert "Sample execution 1" in first_shown
    assert "validation_failed: This script has nothing to say." in first_shown
    assert up.access["token"] in first_shown
    for name in ("cli.json", "secret.key"):
        assert stat.S_IMODE((up.directory / name).stat().st_mode) == 0o600
    assert httpx.post(f"{up.access['url']}/api/webhooks/", json={}, headers=_headers(up)).status_code == 201
    beside = ["run", str(up.access["echo_agent"]), "echo", "--input", '{"a": [1, "é"]}']
    done = agentic_process(*beside, environment=_beside(up))
    assert (done.returncode, done.stdout.split()) == (0, ["{", '"a":', "[", "1,", '"é"', "]", "}"]), done.stderr


def test_run_when_the_execution_fails_or_is_refused_says_why_and_exits_1_or_2(up: Up) -> None:
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
    children = up.children()
    assert set(children) == {"postgres", "serve", "worker"}
    assert run_echo(up, '{"kept": true}').returncode == 0
    token, before = up.access["token"], listed(up)
    assert up.interrupt() == 0
    assert not [name for name, pid in children.items() if is_alive(pid)]
    up.start()
    assert token in up.output.read_text()
    assert "Sample execution" not in up.output.read_text()
    assert (up.access["token"], listed(up)) == (token, before)


def test_up_when_a_child_is_killed_starts_it_again(up: Up) -> None:
    before = up.children()
    for name in ("worker", "serve", "postgres"):
        os.kill(before[name], signal.SIGKILL)
        until(lambda name=name: up.children().get(name, before[name]) != before[name])  # type: ignore[misc]
    until(lambda: _answers(up))
    done = run_echo(up, '{"after": "kills"}')
    assert done.returncode == 0, done.stderr


def test_up_when_killed_leaves_no_orphan_and_starts_again_with_its_data(up: Up) -> None:
    children = up.children()
    assert run_echo(up, '{"kept": true}').returncode == 0
    before = listed(up)
    up.kill()
    until(lambda: not [name for name, pid in children.items() if is_alive(pid)])
    up.start()
    assert listed(up) == before


def test_up_where_it_runs_already_says_so_and_exits_2(up: Up) -> None:
    second = agentic_process("up", "--port", str(up.port), environment=_beside(up))
    assert second.returncode == 2
    assert "already runs here" in second.stderr


def test_up_on_a_port_in_use_says_so_and_leaves_nothing_running() -> None:
    another = Up()
    try:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", another.port))
            taken.listen()
            with pytest.raises(AssertionError, match="cannot be used"):
                another.start()
        assert not (another.directory / "postgres").exists()
    finally:
        another.close()


def test_commands_beside_up_when_run_attach_to_its_database(up: Up) -> None:
    doctor = agentic("doctor", environment=_beside(up))
    # A worker that an earlier test killed counts until its lease is over.
    assert re.search(r"[1-9]\d* alive", doctor.stdout), doctor.stdout
    migrated = agentic("migrate", environment=_beside(up))
    assert "The database is at revision" in migrated.stdout, migrated.stderr
    count = ("psql", "--reporting", "-Atc", "SELECT count(*) FROM executions")
    read = agentic_process(*count, environment=_beside(up))
    assert read.stdout == f"{listed(up)}\n", read.stderr


def _beside(up: Up) -> dict[str, str]:
    return {"AGENTIC_DATA_ROOT": str(up.directory)}


def _headers(up: Up) -> dict[str, str]:
    return {"Authorization": f"Token {up.access['token']}"}


def _answers(up: Up) -> bool:
    try:
        return httpx.get(f"{up.access['url']}/readyz", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
