"""The environment is read in service/settings.py and nowhere else."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.sources import name, parsed, python_files

READERS = {"environ", "environb", "getenv", "getenvb"}

PASSES_IT_ON = {
    "src/service/commands/psql.py": "gives psql the environment that it would have had, with its time zone",
    "src/service/settings.py": "reads every setting",
    "src/service/supervision/processes.py": "gives the API and the worker the environment that `agentic up` has",
    "src/tasks/documents.py": "gives the process that reads a file the few variables that Python itself needs",
}
"""Who may touch the environment, and what for."""


def reads_environment(tree: ast.Module) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in READERS:
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "os" and READERS & {alias.name for alias in node.names}:
            return True
    return False


def test_environment_is_read_only_where_settings_are() -> None:
    readers = {name(path) for path in python_files("src", "clients") if reads_environment(parsed(path))}
    assert readers == set(PASSES_IT_ON), "A setting is a field of Settings; see service/settings.py."


@pytest.mark.parametrize("line", ["import os; os.environ['A']", "import os; os.getenv('A')", "from os import environ"])
def test_reading_the_environment_is_noticed(line: str, tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(line)
    assert reads_environment(parsed(module))
