"""Definitions with pydantic models and raw JSON Schemas over HTTP: listed, started and refused as all others are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from service.definitions.definition import Definition
from service.definitions.failures import FailureCode
from service.definitions.json_schema import JsonSchema
from service.definitions.limits import NAMES
from service.definitions.registry import Registry
from tests import http
from tests.http import Client
from tests.service.conftest import Task, World


class ModelTask(BaseModel):
    """What to do."""

    text: str
    count: int = 1
    skus: list[str] | None = None


RAW = JsonSchema(
    {
        "title": "RawTask",
        "description": "What to do.",
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "count": {"type": "integer", "default": 1},
            "skus": {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}], "default": None},
        },
        "required": ["text"],
        "additionalProperties": False,
    }
)
STYLES: dict[str, Any] = {"msgspec": Task, "pydantic": ModelTask, "raw": RAW}


@pytest.fixture
def client(database_url: str, world: World) -> Iterator[Client]:
    """The user of an API whose agents of type `one` offer one definition of each style."""
    made = []
    for key, type_ in STYLES.items():
        definition: Definition[Any, Any] = Definition(
            key=key, name=key.title(), agent_type="one", input=type_, output=type_, failures={"sold_out": "No more."}
        )
        definition.instructions(lambda given: "Do it.")
        made.append(definition)
    with http.serving(database_url, Registry.of(*made)) as client:
        client.headers.update(world.user.headers)
        yield client


def test_definitions_when_listed_then_each_style_shows_schemas_codes_and_limits(client: Client, world: World) -> None:
    listed = client.get(f"/api/agents/{world.one}/agentic-execution-definitions/").json()
    assert [each["key"] for each in listed] == ["msgspec", "pydantic", "raw"]
    for each in listed:
        for schema in (each["input_schema"], each["output_schema"]):
            assert list(schema["properties"]) == ["text", "count", "skus"]
            assert schema["required"] == ["text"]
            assert schema["additionalProperties"] is False
            assert schema["title"].endswith("Task")
        assert set(each["failure_codes"]) == {*FailureCode, "sold_out"}
        assert all(each["failure_codes"].values())
        assert tuple(each["limits"]) == NAMES
        assert (each["version"], each["accepts_files"]) == (1, True)


def test_start_when_the_input_is_right_then_the_answer_has_the_defaults_in_order(client: Client, world: World) -> None:
    path = f"/api/agents/{world.one}/agentic-executions/"
    for key in STYLES:
        answer = client.post(path, json={"execution_key": key, "input": {"skus": ["a"], "text": "b"}})
        assert answer.status_code == 202
        assert json.dumps(answer.json()["input"]) == '{"text": "b", "count": 1, "skus": ["a"]}'


def test_start_when_the_input_is_wrong_then_every_style_says_the_same(client: Client, world: World) -> None:
    wrong = {"skus": ["a", 1], "count": "x", "more": "\0"}
    path = f"/api/agents/{world.one}/agentic-executions/"
    answers = [client.post(path, json={"execution_key": key, "input": wrong}) for key in STYLES]
    assert {answer.status_code for answer in answers} == {400}
    shown = [
        (sorted(answer.json()["errors"], key=str), dict(sorted(answer.json()["input"].items()))) for answer in answers
    ]
    assert shown[0] == shown[1] == shown[2]
    assert {error["field"] for error in shown[0][0]} == {"input.text", "input.skus[1]", "input.count", "input.more"}
