"""`ci/prepare` on machines that lack something: one line says what to install, and nothing is left behind."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("sh", "cat", "date")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A directory that serves as the whole PATH of a machine without Python and uv."""
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def add(bare: Path, name: str, script: str) -> None:
    command = bare / name
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)


def prepare(bare: Path) -> subprocess.CompletedProcess[str]:
    venv = bare / "venv"
    done = subprocess.run(
        [bare / "sh", ROOT / "ci" / "prepare", str(venv)],
        cwd=ROOT, env={"PATH": str(bare)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not venv.exists()
    assert done.stdout == ""
    return done


def test_prepare_without_python_says_what_to_install(bare: Path) -> None:
    done = prepare(bare)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "apt-get install python3 python3-venv" in done.stderr


def test_prepare_with_an_old_python_or_a_dead_shim_says_what_to_install(bare: Path) -> None:
    add(bare, "python3", "exit 1")
    add(bare, "python3.13", "exit 127")
    done = prepare(bare)
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr


def test_prepare_without_venv_says_what_to_install(bare: Path) -> None:
    add(bare, "python3", 'case "$2" in *ensurepip*) exit 1 ;; *version_info*) exit 0 ;; esac; exit 9')
    done = prepare(bare)
    assert done.returncode == 1
    assert done.stderr == "python3 lacks venv: apt-get install python3-venv (or install uv).\n"
