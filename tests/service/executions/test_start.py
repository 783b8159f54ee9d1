"""Starting an execution."""

from __future__ import annotations

from tests.http import Client
from tests.service.conftest import World


def test_start_when_valid_then_202_and_it_can_be_read(client: Client, world: World) -> None:
    asked = {"execution_key": "summary", "input": {"text": "a"}}
    started = client.post(f"/api/agents/{world.one}/agentic-executions/", json=asked)
    assert started.status_code == 202, started.text
    assert started.json()["input"] == {"text": "a", "count": 1, "skus": None}
    read = client.get(f"/api/agentic-executions/{started.json()['id']}/")
    assert read.json() == started.json()
