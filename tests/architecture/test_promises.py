"""docs/promises.md: every requirement names tests or commands that show it, and each of them exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from service.cli import COMMANDS
from tests.architecture.sources import ROOT, parsed

REQUIREMENTS = [f"{part}{number}" for part, most in (("S", 23), ("H", 10), ("V", 10)) for number in range(1, most + 1)]
ROW = re.compile(r"^\| ([HSV]\d+) \| (.+?) \| (.*?) ?\|$", re.MULTILINE)
SHOWN_BY = re.compile(r"`([^`]+)`")


def promises() -> dict[str, list[str]]:
    document = (ROOT / "docs" / "promises.md").read_text()
    return {name: SHOWN_BY.findall(shown) for name, _, shown in ROW.findall(document)}


def exists(evidence: str) -> bool:
    """Whether a test id (a folder, a file, or a function in a file) or a command is there."""
    if evidence.startswith("tests/"):
        path, _, function = evidence.partition("::")
        return (ROOT / path).exists() and (not function or function.split("[")[0] in functions(ROOT / path))
    program, *arguments = evidence.removeprefix(".venv/bin/").split()
    if program == "make":
        return re.search(rf"^{re.escape(arguments[0])}:", (ROOT / "Makefile").read_text(), re.MULTILINE) is not None
    if program == "agentic":
        return arguments[0] in COMMANDS
    return (ROOT / program).is_file()


@cache
def functions(path: Path) -> set[str]:
    return {node.name for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_promises_list_every_requirement_once() -> None:
    assert list(promises()) == REQUIREMENTS


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_promise_names_what_shows_it_and_it_exists(requirement: str) -> None:
    shown_by = promises()[requirement]
    assert shown_by, f"{requirement}: nothing shows that it holds"
    assert [evidence for evidence in shown_by if not exists(evidence)] == []


@pytest.mark.parametrize(
    "evidence",
    ["tests/absent", "tests/conftest.py::test_absent", "make absent", "agentic absent", "absent/script"],
)
def test_evidence_that_is_not_there_is_noticed(evidence: str) -> None:
    assert not exists(evidence)
