"""The worker's systemd unit: systemd accepts it, it drains before it is killed, and it comes back."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from service.settings import Settings
from tests.deployment.installation import ROOT

UNIT = ROOT / "deploy" / "agentic-worker.service"
ANALYZE = shutil.which("systemd-analyze")
MOST_EXPOSURE = 2.0  # of 10; a service without any confinement has 9.6

needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not on this machine")


def directives() -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))


@pytest.fixture
def installed_unit(tmp_path: Path) -> Path:
    """The unit with a program that is there."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/agentic/bin/procrastinate", "/bin/true"))
    return unit


@needs_systemd
def test_systemd_accepts_the_unit(installed_unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", installed_unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_systemd
def test_systemd_notices_a_misspelt_directive(installed_unit: Path) -> None:
    installed_unit.write_text(installed_unit.read_text().replace("KillMode=mixed", "KillMood=mixed"))
    done = subprocess.run(["systemd-analyze", "verify", installed_unit], capture_output=True, text=True, check=False)
    assert "KillMood" in done.stderr


@needs_systemd
def test_unit_is_confined(installed_unit: Path) -> None:
    command = ["systemd-analyze", "security", "--offline=true", str(installed_unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert exposure is not None
    assert float(exposure[1]) <= MOST_EXPOSURE


def test_unit_restarts_always_but_not_over_a_mistake_in_the_settings() -> None:
    said = directives()
    assert (said["Type"], said["Restart"], said["RestartPreventExitStatus"]) == ("exec", "always", "2")
    assert said["StartLimitIntervalSec"] == "0"


def test_unit_lets_the_worker_drain_before_it_is_killed() -> None:
    said = directives()
    assert (said["KillSignal"], said["KillMode"]) == ("SIGTERM", "mixed")
    assert float(said["TimeoutStopSec"]) >= Settings.read({}).drain_seconds + 15


def test_unit_runs_the_stock_command_with_its_secret_in_a_file() -> None:
    text = UNIT.read_text()
    assert directives()["ExecStart"].endswith("/procrastinate worker")
    assert "PROCRASTINATE_APP=tasks.app.app" in text
    assert "Environment=DATABASE_URL_FILE=%d/database_url" in text
    assert "Environment=DATABASE_URL=" not in text
