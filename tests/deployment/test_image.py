"""The Dockerfile: its linter is content, it runs as nobody in particular, and what it copies reaches the build."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.deployment.installation import ROOT

HADOLINT = Path(sys.executable).parent / "hadolint"
DOCKERFILE = ROOT / "Dockerfile"


def test_hadolint_accepts_the_dockerfile() -> None:
    done = subprocess.run([HADOLINT, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_hadolint_notices_a_careless_dockerfile(tmp_path: Path) -> None:
    careless = tmp_path / "Dockerfile"
    careless.write_text(DOCKERFILE.read_text().replace(":3.13-slim", ""))
    done = subprocess.run([HADOLINT, careless], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "DL3006" in done.stdout


def test_image_runs_as_an_ordinary_user_and_stops_by_default_signal() -> None:
    final = DOCKERFILE.read_text().rpartition("\nFROM ")[2]
    assert "USER 10001:10001" in final
    assert "STOPSIGNAL" not in final


def test_dependencies_are_installed_with_hashes_and_nothing_else_is() -> None:
    installs = re.findall(r"pip install (.+?)(?: \\)?\n", DOCKERFILE.read_text())
    assert len(installs) == 3
    assert all("--require-hashes" in install or "--no-index" in install for install in installs)


def test_everything_that_is_copied_is_let_through_and_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    allowed = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE.read_text(), re.MULTILINE)
    sources = [source for copy in copies for source in copy.split()]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in allowed), source
