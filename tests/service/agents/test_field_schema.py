"""The field schema of an agent over REST, and what of it an execution keeps."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests import http
from tests.http import Client
from tests.service.conftest import World
from tests.service.executions.test_start import ASKED, starts

PATH = "/api/agents/"
COLOUR: dict[str, Any] = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "blue"]}},
    "required": ["colour"],
    "additionalProperties": False,
}
SIZE: dict[str, Any] = {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}
WRONG = {"type": "object", "properties": {"colour": {"type": "text"}, "size": {"$ref": "https://example.org/size"}}}
WRONG_FIELDS = ["field_schema.properties.colour.type", "field_schema.properties.size"]


@pytest.fixture
def admin(anonymous: Client, world: World) -> Client:
    anonymous.headers.update(world.admin.headers)
    return anonymous


def kept(connection: psycopg.Connection, execution_id: int) -> Any:
    row = connection.execute("SELECT field_schema FROM executions WHERE id = %s", (execution_id,)).fetchone()
    assert row is not None
    return row[0]


def test_agent_when_created_with_a_field_schema_then_it_is_shown(admin: Client, world: World) -> None:
    body = {"name": "Shop", "agent_type": "one", "data_set": world.data_set, "field_schema": COLOUR}

    created = admin.post(PATH, json=body)

    assert created.status_code == 201, created.text
    assert created.json()["field_schema"] == COLOUR
    assert admin.get(f"{PATH}{created.json()['id']}/").json() == created.json()


@pytest.mark.parametrize("schema", [SIZE, None])
def test_field_schema_when_changed_then_the_rest_stays(
    admin: Client, world: World, schema: dict[str, Any] | None
) -> None:
    before = admin.patch(f"{PATH}{world.one}/", json={"field_schema": COLOUR}).json()

    changed = admin.patch(f"{PATH}{world.one}/", json={"field_schema": schema})

    assert changed.json() == {**before, "field_schema": schema}
    assert admin.patch(f"{PATH}{world.one}/", json={"name": "Other"}).json()["field_schema"] == schema


def test_agent_when_created_with_a_wrong_field_schema_then_400_names_the_places(
    admin: Client, world: World, connection: psycopg.Connection
) -> None:
    before = http.row_counts(connection)
    body = {"name": "Shop", "agent_type": "one", "data_set": world.data_set, "field_schema": WRONG}

    answer = admin.post(PATH, json=body)

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == WRONG_FIELDS
    assert http.row_counts(connection) == before


def test_field_schema_when_changed_to_a_wrong_one_then_400_and_it_stays(admin: Client, world: World) -> None:
    before = admin.patch(f"{PATH}{world.one}/", json={"field_schema": COLOUR}).json()

    answer = admin.patch(f"{PATH}{world.one}/", json={"field_schema": WRONG, "name": "Other"})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == WRONG_FIELDS
    assert admin.get(f"{PATH}{world.one}/").json() == before


@pytest.mark.parametrize("schema", [[], "object", True])
def test_field_schema_when_it_is_no_object_then_400(admin: Client, world: World, schema: Any) -> None:
    answer = admin.patch(f"{PATH}{world.one}/", json={"field_schema": schema})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["field_schema"]


def test_execution_when_started_then_it_keeps_the_field_schema_of_that_moment(
    admin: Client, world: World, connection: psycopg.Connection
) -> None:
    path, headers = f"{PATH}{world.one}/", world.user.headers
    without = admin.post(starts(world.one), json=ASKED, headers=headers).json()
    admin.patch(path, json={"field_schema": COLOUR})
    started = admin.post(starts(world.one), json=ASKED, headers=headers).json()
    many = admin.post(f"{starts(world.one)}batch/", json={"items": [ASKED]}, headers=headers).json()
    admin.patch(path, json={"field_schema": SIZE})
    again = admin.post(f"/api/agentic-executions/{started['id']}/rerun/", json={}, headers=headers).json()
    admin.patch(path, json={"field_schema": None})

    assert kept(connection, without["id"]) is None
    assert kept(connection, started["id"]) == COLOUR
    assert kept(connection, many["results"][0]["execution"]["id"]) == COLOUR
    assert kept(connection, again["id"]) == SIZE
