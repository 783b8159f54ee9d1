"""/api/agents/: what an account may see, and what an admin may change."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tests import http
from tests.http import Client
from tests.service.conftest import World

PATH = "/api/agents/"


@pytest.fixture
def admin(anonymous: Client, world: World) -> Client:
    anonymous.headers.update(world.admin.headers)
    return anonymous


def test_created_agent_is_answered_in_full(admin: Client, world: World) -> None:
    body = {"name": "Shop", "agent_type": "one", "data_set": world.data_set, "file_upload": True, "model": "echo"}

    answer = admin.post(PATH, json=body)

    record = answer.json()
    assert answer.status_code == 201
    fields = ["id", "name", "agent_type", "data_set", "file_upload", "model", "created_at", "field_schema"]
    assert list(record) == fields
    assert {name: record[name] for name in body} == body
    assert admin.get(f"{PATH}{record['id']}/").json() == record


def test_agent_of_a_type_without_definitions_is_allowed_and_offers_none(admin: Client, world: World) -> None:
    created = admin.post(PATH, json={"name": "Shop", "agent_type": "nothing", "data_set": world.data_set}).json()

    assert (created["file_upload"], created["model"]) == (False, None)
    assert admin.get(f"{PATH}{created['id']}/agentic-execution-definitions/").json() == []


def test_account_lists_agents_of_its_data_sets_and_an_admin_all(client: Client, world: World) -> None:
    own = client.get(PATH).json()
    everything = client.get(PATH, headers=world.admin.headers).json()

    assert [item["id"] for item in own["results"]] == [world.uploads, world.two, world.one]
    assert own["count"] == 3
    assert [item["id"] for item in everything["results"]] == [world.foreign, world.uploads, world.two, world.one]


def test_list_is_paged(admin: Client, world: World, connection: psycopg.Connection) -> None:
    for _ in range(30):
        http.create_agent(connection, world.data_set)

    first = admin.get(PATH).json()
    second = admin.get(first["next"]).json()

    assert (first["count"], len(first["results"]), len(second["results"])) == (34, 25, 9)
    assert admin.get(PATH, params={"page": "3"}).status_code == 404


def test_unknown_data_set_is_400_naming_the_field(admin: Client, connection: psycopg.Connection) -> None:
    before = http.row_counts(connection)

    answer = admin.post(PATH, json={"name": "Shop", "agent_type": "one", "data_set": 9999})

    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "data_set", "message": "There is no data set 9999."}]
    assert http.row_counts(connection) == before


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["agent_type", "data_set", "name"]),
        ({"name": "x", "agent_type": "one", "data_set": "1"}, ["data_set"]),
        ({"name": "x", "agent_type": "\0", "data_set": 1}, ["agent_type"]),
        ({"name": "x", "agent_type": "one", "data_set": 1, "file_uploads": True}, ["file_uploads"]),
    ],
)
def test_wrong_fields_are_400_naming_all_of_them(admin: Client, body: Any, fields: list[str]) -> None:
    answer = admin.post(PATH, json=body)

    assert answer.status_code == 400
    assert sorted(error["field"] for error in answer.json()["errors"]) == fields


@pytest.mark.parametrize(
    "change", [{"name": "New"}, {"agent_type": "two"}, {"file_upload": True}, {"model": "echo"}, {"model": None}, {}]
)
def test_change_of_a_field_leaves_the_others(
    admin: Client, world: World, connection: psycopg.Connection, change: dict[str, Any]
) -> None:
    connection.execute("UPDATE agents SET model = 'local:smollm2' WHERE id = %s", (world.one,))
    before = admin.get(f"{PATH}{world.one}/").json()

    answer = admin.patch(f"{PATH}{world.one}/", json=change)

    assert answer.json() == {**before, **change}
    assert admin.get(f"{PATH}{world.one}/").json() == answer.json()


@pytest.mark.parametrize("change", [{"name": None}, {"file_upload": None}, {"data_set": 1}])
def test_change_that_is_not_allowed_is_400(admin: Client, world: World, change: dict[str, Any]) -> None:
    assert admin.patch(f"{PATH}{world.one}/", json=change).status_code == 400


def test_deleted_agent_is_absent_for_everybody(admin: Client, world: World) -> None:
    assert admin.delete(f"{PATH}{world.one}/").status_code == 204

    for headers in (world.admin.headers, world.user.headers):
        assert admin.get(f"{PATH}{world.one}/", headers=headers).status_code == 404
        assert admin.get(f"{PATH}{world.one}/agentic-execution-definitions/", headers=headers).status_code == 404
    assert admin.delete(f"{PATH}{world.one}/").status_code == 404
    assert world.one not in [item["id"] for item in admin.get(PATH).json()["results"]]


def test_others_than_admins_get_403_for_what_they_see_and_404_for_what_they_do_not(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    before = http.row_counts(connection)

    assert client.post(PATH, json={}).status_code == 403
    for agent_id, status in ((world.one, 403), (world.foreign, 404), (9999, 404)):
        assert client.patch(f"{PATH}{agent_id}/", json={"name": "mine"}).status_code == status
        assert client.delete(f"{PATH}{agent_id}/").status_code == status
    assert client.get(f"{PATH}{world.one}/").json()["name"] == "agent"
    assert http.row_counts(connection) == before


@pytest.mark.parametrize("agent_id", ["abc", "0", "-1", "1.5", str(2**63), "9" * 30, "9" * 5000, "%00"])
def test_id_that_is_none_is_404(client: Client, agent_id: str) -> None:
    answer = client.get(f"{PATH}{agent_id}/")

    assert answer.status_code == 404
    assert answer.json()["detail"] == "Not found."


def test_path_without_the_slash_answers_too(client: Client, world: World) -> None:
    answer = client.get(f"{PATH}{world.one}", follow_redirects=False)

    assert answer.status_code == 200


def test_agent_of_a_deleted_data_set_is_absent(client: Client, world: World, connection: psycopg.Connection) -> None:
    connection.execute("UPDATE data_sets SET deleted_at = now() WHERE id = %s", (world.data_set,))

    for headers in (world.user.headers, world.admin.headers):
        assert client.get(f"{PATH}{world.one}/", headers=headers).status_code == 404
