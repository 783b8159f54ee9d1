"""Writes requirements.lock from pyproject.toml with uv, or checks that it is what pyproject.toml asks for.

A check needs no uv and no network: every requirement of pyproject.toml must be pinned within its bounds, every pin must
be hashed, and no host may be named. uv's own lock file names hosts, so it is not kept.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.lock"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")
EXPORT = ("uv", "export", "-q", "--no-emit-project", "--all-groups", "--all-extras", "--no-header")


def wanted() -> list[Requirement]:
    """Every direct requirement: the project's, its extras' and its groups'."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines: list[str] = list(project["project"]["dependencies"])
    for extra in project["project"].get("optional-dependencies", {}).values():
        lines += extra
    for group in project.get("dependency-groups", {}).values():
        lines += group
    return [Requirement(line) for line in lines]


def problems(lock: str) -> list[str]:
    """What is wrong with the lock, one sentence each."""
    found = ["It names a host."] if "://" in lock else []
    entries = re.split(r"\n(?=\S)", lock.strip())
    pins = {}
    for entry in entries:
        match = PIN.match(entry)
        if match is None:
            found.append(f"Not a pin: {entry.splitlines()[0]!r}.")
            continue
        pins[canonicalize_name(match[1])] = match[2]
        if "--hash=sha256:" not in entry:
            found.append(f"{match[1]} has no hash.")
    for requirement in wanted():
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{requirement.name} is missing.")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name} {version} is not {requirement.specifier}.")
    return found


def write() -> int:
    """Make the lock with uv, for every platform and Python that the project supports."""
    if shutil.which("uv") is None:
        print("uv is needed to write the lock: pip install uv", file=sys.stderr)
        return 1
    subprocess.run(["uv", "lock", "-q"], cwd=ROOT, check=True)
    LOCK.write_bytes(subprocess.run(EXPORT, cwd=ROOT, check=True, capture_output=True).stdout)
    return 0


def main() -> int:
    if "--check" not in sys.argv[1:]:
        return write()
    found = problems(LOCK.read_text())
    for problem in found:
        print(f"requirements.lock: {problem} Run `make lock`.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
