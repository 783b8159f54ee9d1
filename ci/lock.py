"""Writes the lock files from pyproject.toml with uv, or checks that they are what pyproject.toml asks for.

requirements.lock is everything; the two in deploy/ are the parts of it that an image runs and that build the wheel. A
check needs no uv and no network: every requirement must be pinned within its bounds, every pin hashed, no host named.
uv's own lock file names hosts, so it is not kept.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
EVERYTHING = "requirements.lock"
RUNTIME = "deploy/requirements.lock"
BUILD = "deploy/requirements-build.lock"
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)")
ENTRY = re.compile(r"\n(?=\S)")
EXPORT = ("uv", "export", "-q", "--no-emit-project", "--no-header")
CHOICES = {
    EVERYTHING: ("--all-groups", "--all-extras"),
    RUNTIME: ("--no-default-groups",),
    BUILD: ("--only-group", "build"),
}


def wanted(lock: str) -> list[Requirement]:
    """The direct requirements that a lock must hold."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups: dict[str, list[str]] = project["dependency-groups"]
    extras: dict[str, list[str]] = project["project"].get("optional-dependencies", {})
    runtime: list[str] = project["project"]["dependencies"]
    lines = {
        EVERYTHING: [*runtime, *chain(*groups.values(), *extras.values())],
        RUNTIME: runtime,
        BUILD: groups["build"],
    }
    return [Requirement(line) for line in lines[lock]]


def entries(text: str) -> list[str]:
    """The pins of a lock with their hashes, without the comments on who asks for them."""
    return ENTRY.split(re.sub(r"\n? *#.*", "", text).strip())


def problems(lock: str, text: str, everything: str) -> list[str]:
    """What is wrong with a lock, one sentence each."""
    found = ["It names a host."] if "://" in text else []
    pins = {}
    for entry in entries(text):
        match = PIN.match(entry)
        if match is None:
            found.append(f"Not a pin: {entry.splitlines()[0]!r}.")
            continue
        pins[canonicalize_name(match[1])] = match[2]
        if "--hash=sha256:" not in entry:
            found.append(f"{match[1]} has no hash.")
        if f"{match[1]}=={match[2]}" not in everything:
            found.append(f"{match[1]} {match[2]} is not what {EVERYTHING} has.")
    for requirement in wanted(lock):
        version = pins.get(canonicalize_name(requirement.name))
        if version is None:
            found.append(f"{requirement.name} is missing.")
        elif not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{requirement.name} {version} is not {requirement.specifier}.")
    return found


def write() -> int:
    """Make the locks with uv, for every platform and Python that the project supports."""
    if shutil.which("uv") is None:
        print("uv is needed to write the locks: pip install uv", file=sys.stderr)
        return 1
    subprocess.run(["uv", "lock", "-q"], cwd=ROOT, check=True)
    for lock, choice in CHOICES.items():
        exported = subprocess.run([*EXPORT, *choice], cwd=ROOT, check=True, capture_output=True).stdout
        (ROOT / lock).write_bytes(exported)
    return 0


def check() -> list[str]:
    """What is wrong with any of the locks."""
    texts = {lock: (ROOT / lock).read_text() for lock in CHOICES}
    return [f"{lock}: {each}" for lock, text in texts.items() for each in problems(lock, text, texts[EVERYTHING])]


def main() -> int:
    if "--check" not in sys.argv[1:]:
        return write()
    found = check()
    for problem in found:
        print(f"{problem} Run `make lock`.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
