"""A third party's package, developed in a folder that also holds a tasks.py, is found, checked and tested there."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "foreign_package"
BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Workshop:
    """The folder that the author works in, and the folder that the package is installed to."""

    folder: Path
    site: Path

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the author does: in the folder, with the package installed."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.site), **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def install(self) -> None:
        has_pip = importlib.util.find_spec("pip") is not None  # an environment that uv made has none
        pip = [sys.executable, "-m", "pip"] if has_pip else ["uv", "pip"]
        options = [
            *([] if has_pip else ["--python", sys.executable]),
            "--quiet",
            "--no-deps",
            "--no-build-isolation",
            "--no-index",
            "--upgrade",
            "--target",
            str(self.site),
        ]
        done = self.run(*pip, "install", *options, str(self.folder))
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    folder = tmp_path_factory.mktemp("workshop")
    shutil.copytree(SOURCES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("conftest.py", "__pycache__"))
    (folder / "tasks.py").write_text('OWNER = "author"\n')
    made = Workshop(folder, tmp_path_factory.mktemp("site"))
    made.install()
    return made


def test_check_when_a_foreign_package_is_installed_then_it_is_listed_beside_ours(workshop: Workshop) -> None:
    done = workshop.run(str(BIN / "agentic"), "check", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    findings = {finding["package"]: finding for finding in json.loads(done.stdout)["findings"]}
    assert findings["pottery-definitions"]["definitions"] == [
        {
            "key": "glazing",
            "version": 1,
            "name": "Glazing",
            "agent_type": "pottery",
            "tools": ["melting_point"],
            "validators": ["kiln_is_hot_enough", "was_looked_up"],
            "failure_codes": ["kiln_too_cold"],
        }
    ]
    assert "agentic-executions" in findings


@pytest.mark.parametrize("name", ["pottery-definitions", "Pottery_Definitions"])
def test_check_when_one_package_is_named_then_only_that_is_checked(workshop: Workshop, name: str) -> None:
    done = workshop.run(str(BIN / "agentic"), "check", name)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "glazing@1 for agents of type pottery" in done.stdout
    assert "echo" not in done.stdout


def test_own_tests_when_the_author_runs_them_beside_a_tasks_module_then_they_pass(workshop: Workshop) -> None:
    done = workshop.run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "pottery")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_play_when_the_tasks_module_was_imported_first_then_the_error_names_it(workshop: Workshop) -> None:
    done = workshop.run(sys.executable, "-c", "import tasks; from agentic import Definition; from agentic import play")
    assert done.returncode == 1
    assert "the module 'tasks' was imported from" in done.stderr
    assert str(workshop.folder / "tasks.py") in done.stderr


def test_worker_when_started_beside_a_tasks_module_then_it_finds_our_app(workshop: Workshop) -> None:
    environment = {"PROCRASTINATE_APP": "tasks.app.app", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    done = workshop.run(str(BIN / "procrastinate"), "healthchecks", **environment)
    assert "Connection refused" in done.stdout + done.stderr


def test_check_when_a_definition_imports_what_is_heavy_or_internal_then_it_fails(workshop: Workshop) -> None:
    source = workshop.folder / "pottery" / "glazing.py"
    text = source.read_text()
    source.write_text(text.replace('GLAZES = {"', 'import httpx\nfrom service.settings import Settings\n\nGLAZES = {"'))
    try:
        workshop.install()
        done = workshop.run(str(BIN / "agentic"), "check", "pottery-definitions")
    finally:
        source.write_text(text)
        workshop.install()
    assert done.returncode == 1
    assert "imports httpx with its module" in done.stdout
    assert "pottery.glazing imports service.settings: only agentic is for authors" in done.stdout
