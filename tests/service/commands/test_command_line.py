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


@pytest.mark.parametrize("command", [["account", "create", "ann"], ["migrate"]])
def test_command_with_an_unreachable_database_says_why_in_one_line_and_exits_2(command: list[str]) -> None:
    done = agentic(*command, environment={"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    assert done.returncode == 2
    assert done.stderr.startswith("agentic: The database cannot be reached: ")
    assert "port 1 failed: Connection refused. Does its server run" in done.stderr
    assert "what is missing" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("content", ['{"url": 3', "[]"])
def test_file_of_up_that_cannot_be_read_is_as_if_it_were_not_there(tmp_path: Path, content: str) -> None:
    (tmp_path / "cli.json").write_text(content)
    done = agentic("cancel", "1", environment={"AGENTIC_DATA_ROOT": str(tmp_path)})
    assert done.returncode == 2
    assert "No API to talk to" in done.stderr


@pytest.mark.parametrize(
    ("url", "token", "said"),
    [("127.0.0.1:8000", "a", "AGENTIC_URL='127.0.0.1:8000' is no URL"), ("http://a", "ä", "AGENTIC_TOKEN is no token")],
)
def test_url_or_token_that_can_be_none_is_said_to_be(url: str, token: str, said: str) -> None:
    done = agentic("run", "1", "echo", environment={"AGENTIC_URL": url, "AGENTIC_TOKEN": token})
    assert done.returncode == 2
    assert said in done.stderr


def test_argument_that_is_no_number_is_said_to_be_no_integer() -> None:
    assert "'abc' is not a valid integer.\n" in agentic("cancel", "abc").stderr


def test_unreadable_setting_when_read_names_its_variable() -> None:
    done = agentic("serve", environment={"AGENTIC_POOL_SIZE": "many", "DATABASE_URL": "postgresql:///x"})
    assert done.returncode == 2
    assert "AGENTIC_POOL_SIZE" in done.stderr


def test_run_without_an_api_exits_2_and_says_what_to_set(tmp_path: Path) -> None:
    done = agentic("run", "1", "echo", environment={"AGENTIC_DATA_ROOT": str(tmp_path)})
    assert done.returncode == 2
    assert "AGENTIC_URL" in done.stderr
