"""The wheel, installed in an environment of its own that holds what deploy/requirements.lock names and nothing else."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installation:
    """An environment away from the checkout, and a folder to work in."""

    home: Path
    work: Path

    @property
    def python(self) -> Path:
        return self.home / "bin" / "python"

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Nothing of ours but `variables`."""
        return {"PATH": f"{self.home / 'bin'}:{os.defpath}", "HOME": str(self.work), "LANG": "C.UTF-8", **variables}

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """The finished command, with what it printed."""
        environment = self.environment(variables)
        return subprocess.run(
            self._found(command),
            cwd=self.work,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @contextmanager
    def running(self, *command: str | Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
        """The command while the block runs; told to stop, then killed if it does not."""
        log = self.work / "log"
        with log.open("ab") as output:
            environment = self.environment(variables)
            process = subprocess.Popen(
                self._found(command), cwd=self.work, env=environment, stdout=output, stderr=output
            )
            try:
                yield process
            except BaseException:
                sys.stderr.write(log.read_text())
                raise
            finally:
                process.terminate()
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    def _found(self, command: tuple[str | Path, ...]) -> list[str | Path]:
        """Only commands of the environment itself: one that it lacks must not be found elsewhere on PATH."""
        program, *arguments = command
        return [self.home / "bin" / program, *arguments]


def build_wheel(folder: Path) -> Path:
    """Built by the backend that is installed here, so nothing is fetched."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel: Path, folder: Path) -> Installation:
    home, work = folder / "environment", folder / "work"
    work.mkdir(parents=True)
    venv.create(home, symlinks=True)
    if uv := shutil.which("uv"):
        installer = [uv, "pip", "install", "-q", "--offline", "--python", str(home / "bin" / "python")]
    else:
        installer = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "-q"]
    subprocess.run([*installer, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    (packages,) = home.glob("lib/python*/site-packages")
    for name in runtime_distributions():
        _link(name, packages)
    return Installation(home, work)


def runtime_distributions() -> list[str]:
    """What deploy/requirements.lock asks for on this platform and Python."""
    lines = (ROOT / "deploy" / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line.removesuffix("\\").strip()) for line in lines if line[:1].isalnum()]
    return [pin.name for pin in pins if pin.marker is None or pin.marker.evaluate()]


def _link(name: str, packages: Path) -> None:
    """Put what this environment has of a distribution into another one, without copying."""
    distribution = importlib.metadata.distribution(name)
    for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
        target = packages / top
        if not target.exists():
            target.symlink_to(Path(str(distribution.locate_file(top))))
    scripts = packages.parents[2] / "bin"
    for script in distribution.entry_points.select(group="console_scripts"):
        command = scripts / script.name
        if not command.exists():
            body = f"from {script.module} import {script.attr.split('.')[0]}\n{script.attr}()\n"
            command.write_text(f"#!{scripts / 'python'}\n{body}")
            command.chmod(0o755)
