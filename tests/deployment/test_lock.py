"""The lock files: pinned, hashed, without hosts, as pyproject.toml asks; and the check notices when they are not."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def lock() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lock", ROOT / "ci" / "lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_locks_are_what_the_project_asks_for(lock: ModuleType) -> None:
    assert lock.check() == []


@pytest.mark.parametrize(
    ("pattern", "replacement", "problem"),
    [
        (r"\A", "--index-url https://index.test/simple\n", "It names a host."),
        (r"(?m)^msgspec==.*\n(?: .*\n)*", "", "msgspec is missing."),
        (r"(?m)^(msgspec)==\S+", r"\1==0.1", "msgspec 0.1 is not"),
        (r"(?m)^(msgspec==\S+).*\n(?: .*\n)*", r"\1\n", "msgspec has no hash."),
        (r"(?m)^msgspec==\S+", "msgspec>=0.20", "Not a pin: 'msgspec>=0.20"),
    ],
)
def test_check_notices_a_lock_that_is_wrong(lock: ModuleType, pattern: str, replacement: str, problem: str) -> None:
    everything = (ROOT / lock.EVERYTHING).read_text()
    changed = re.sub(pattern, replacement, everything)
    assert changed != everything
    found = lock.problems(lock.EVERYTHING, changed, changed)
    assert any(each.startswith(problem) for each in found), found


def test_check_notices_a_part_that_differs_from_the_whole(lock: ModuleType) -> None:
    everything = (ROOT / lock.EVERYTHING).read_text()
    older = re.sub(r"(?m)^msgspec==\S+", "msgspec==0.20.0", (ROOT / lock.RUNTIME).read_text())
    assert "msgspec 0.20.0 is not what requirements.lock has." in lock.problems(lock.RUNTIME, older, everything)
