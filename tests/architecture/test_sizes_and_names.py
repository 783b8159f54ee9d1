"""Files and functions that can be read in one go, and modules that are named after what they hold."""

from __future__ import annotations

import ast

from tests.architecture.sources import name, parsed, python_files

LONGEST_FILE, LONGEST_FUNCTION = 400, 40
NAMELESS = {"util", "utils", "helper", "helpers", "common", "base", "manager", "managers", "misc", "shared"}


def test_files_have_at_most_400_lines() -> None:
    lengths = {name(path): path.read_text().count("\n") for path in python_files()}
    assert lengths
    too_long = {path: lines for path, lines in lengths.items() if lines > LONGEST_FILE}
    assert not too_long, "Split these by meaning."


def test_functions_have_at_most_40_lines() -> None:
    too_long = {
        f"{name(path)}::{node.name}": node.end_lineno - node.lineno + 1
        for path in python_files()
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > LONGEST_FUNCTION
    }
    assert not too_long, "Name the steps and give them functions of their own."


def test_modules_are_named_after_what_they_hold() -> None:
    nameless = [name(path) for path in python_files() if NAMELESS & {path.stem, *path.parent.parts[-1:]}]
    assert not nameless, "Such a name gathers whatever has no other place."
