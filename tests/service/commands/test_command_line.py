"""`agentic` without a database, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from service.cli import COMMANDS
from tests.service.commands.running import agentic, agentic_process

HEAVY = ("litestar", "sqlalchemy", "alembic", "psycopg", "procrastinate", "pydantic", "httpx", "uvicorn")


def test_help_when_asked_names_every_command() -> None:
    done = agentic_process("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_a_command_when_asked_explains_it(name: str) -> None:
    # `eval` is an exec of the worker's code: in this process it would be the tests that are replaced.
    done = agentic_process(name, "--help") if name == "eval" else agentic(name, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout


def test_help_when_asked_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom service.cli import agentic\n"
        "try:\n    agentic.main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [["serve"], ["migrate"], ["account", "create", "ann"], ["psql"]])
def test_command_without_a_database_exits_2_and_says_so(command: list[str], tmp_path: Path) -> None:
    done = agentic(*command, environment={"AGENTIC_DATA_ROOT": str(tmp_path)})
    assert done.returncode == 2
    assert "DATABASE_URL is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_worker_without_a_database_exits_2_and_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "procrastinate", "worker"],
        env={"PROCRASTINATE_APP": "tasks.app.app", "AGENTIC_DATA_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "DATABASE_URL is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_command_with_an_unreachable_database_exits_2_without_a_traceback() -> None:
    unreachable = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "AGENTIC_POOL_TIMEOUT_SECONDS": "1"}
    for run, command in ((agentic_process, ["account", "create", "ann"]), (agentic, ["migrate"])):
        done = run(*command, environment=unreachable)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_unreadable_setting_when_read_names_its_variable() -> None:
    done = agentic("serve", environment={"AGENTIC_POOL_SIZE": "many", "DATABASE_URL": "postgresql:///x"})
    assert done.returncode == 2
    assert "AGENTIC_POOL_SIZE" in done.stderr


def test_run_without_an_api_exits_2_and_says_what_to_set(tmp_path: Path) -> None:
    done = agentic("run", "1", "echo", environment={"AGENTIC_DATA_ROOT": str(tmp_path)})
    assert done.returncode == 2
    assert "AGENTIC_URL" in done.stderr
