"""Log lines as an operator reads them."""

from __future__ import annotations

import logging

import pytest

from service.logs import FieldFormatter


def line_with(path: str) -> str:
    return FieldFormatter().format(logging.makeLogRecord({"msg": "request", "path": path}))


def test_line_when_a_field_is_plain_then_as_it_is() -> None:
    assert line_with("/api/agents/").endswith(" request path=/api/agents/")


@pytest.mark.parametrize("character", ["\n", "\0", "\x1b", "\x85", "\u2028", " ", "="])
def test_line_when_a_field_could_forge_or_break_a_line_then_quoted_and_escaped(character: str) -> None:
    path = f"/api/{character}[2J"
    assert line_with(path).endswith(f" request path={path!r}")
