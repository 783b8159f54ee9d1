"""HEAD answers as GET does, without the body."""

from __future__ import annotations

import pytest

from tests.http import Client
from tests.service.conftest import World


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/schema.json", "/api/agentic-executions/"])
def test_head_where_get_answers_has_its_status_and_headers_and_no_body(client: Client, path: str) -> None:
    got, asked = client.get(path), client.head(path)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == str(len(got.content))
    assert asked.headers["content-type"] == got.headers["content-type"]


def test_head_without_a_token_is_401(anonymous: Client) -> None:
    assert anonymous.head("/api/agentic-executions/").status_code == 401


def test_head_of_a_route_without_get_is_405(client: Client, world: World) -> None:
    answer = client.head(f"/api/agents/{world.one}/agentic-executions/")
    assert (answer.status_code, answer.content) == (405, b"")
