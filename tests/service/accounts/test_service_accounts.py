"""/api/service-accounts/ as an admin, and as anybody else."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from service.accounts.tokens import is_well_formed
from tests import http
from tests.http import Client
from tests.service.conftest import World

PATH = "/api/service-accounts/"


@pytest.fixture
def admin(anonymous: Client, world: World) -> Client:
    anonymous.headers.update(world.admin.headers)
    return anonymous


def can_enter(client: Client, token: str) -> bool:
    return client.get("/api/agents/", headers={"Authorization": f"Token {token}"}).status_code == 200


def test_created_account_is_answered_with_its_token_once(admin: Client, world: World) -> None:
    answer = admin.post(PATH, json={"name": "till", "data_sets": [world.data_set]})

    record = answer.json()
    assert answer.status_code == 201
    assert answer.headers["cache-control"] == "no-store"
    assert list(record) == ["id", "name", "is_admin", "is_active", "data_sets", "created_at", "token"]
    assert record["data_sets"] == [world.data_set]
    assert (record["is_admin"], record["is_active"]) == (False, True)
    assert is_well_formed(record["token"])
    assert can_enter(admin, record["token"])
    token = record.pop("token")
    assert admin.get(f"{PATH}{record['id']}/").json() == record
    assert token not in admin.get(PATH).text


def test_list_holds_every_account_newest_first(admin: Client, world: World) -> None:
    page = admin.get(PATH).json()

    assert [item["name"] for item in page["results"]] == ["admin", "stranger", "user"]
    assert (page["count"], page["next"], page["previous"]) == (3, None, None)


def test_name_that_is_taken_is_409_and_nothing_is_written(
    admin: Client, world: World, connection: psycopg.Connection
) -> None:
    before = http.row_counts(connection)

    answer = admin.post(PATH, json={"name": "user"})

    assert answer.status_code == 409
    assert "'user'" in answer.json()["detail"]
    assert http.row_counts(connection) == before
    assert admin.patch(f"{PATH}{world.stranger.id}/", json={"name": "user"}).status_code == 409


def test_unknown_data_sets_are_400_naming_each_and_nothing_is_written(
    admin: Client, world: World, connection: psycopg.Connection
) -> None:
    before = http.row_counts(connection)

    answer = admin.post(PATH, json={"name": "till", "data_sets": [world.data_set, 9999, 9998]})

    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["data_sets[1]", "data_sets[2]"]
    assert http.row_counts(connection) == before


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "  "}, ["name"]),
        ({"name": 1, "is_admin": "yes"}, ["name", "is_admin"]),
        ({"name": "a\0b"}, ["name"]),
        ({"name": "x", "admin": True}, ["admin"]),
        ({"name": "x", "data_sets": ["1", 0]}, ["data_sets[0]", "data_sets[1]"]),
        ({"name": "x", "data_sets": [2**63]}, ["data_sets[0]"]),
        ([], ["body"]),
        ("text", ["body"]),
    ],
)
def test_wrong_fields_are_400_naming_all_of_them(admin: Client, body: Any, fields: list[str]) -> None:
    answer = admin.post(PATH, json=body)

    assert answer.status_code == 400
    assert sorted(error["field"] for error in answer.json()["errors"]) == sorted(fields)


def test_malformed_json_is_400(admin: Client) -> None:
    answer = admin.post(PATH, content=b'{"name": ', headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Invalid JSON")


def test_another_media_type_is_415(admin: Client) -> None:
    assert admin.post(PATH, content=b"name=x", headers={"Content-Type": "text/csv"}).status_code == 415
    assert admin.post(PATH, content=b"{}").status_code == 415


def test_too_large_a_body_is_413(admin: Client) -> None:
    answer = admin.post(PATH, json={"name": "x" * 2_000_000})
    assert (answer.status_code, answer.json()["detail"]) == (413, "A JSON body may have 1,048,576 bytes here.")


def test_disabled_account_is_out_at_once_and_in_again_when_enabled(admin: Client, world: World) -> None:
    assert can_enter(admin, world.user.token)

    assert admin.patch(f"{PATH}{world.user.id}/", json={"is_active": False}).json()["is_active"] is False
    assert not can_enter(admin, world.user.token)
    admin.patch(f"{PATH}{world.user.id}/", json={"is_active": True})
    assert can_enter(admin, world.user.token)


def test_change_of_one_field_leaves_the_others(admin: Client, world: World) -> None:
    before = admin.get(f"{PATH}{world.user.id}/").json()

    renamed = admin.patch(f"{PATH}{world.user.id}/", json={"name": "till"}).json()
    emptied = admin.patch(f"{PATH}{world.user.id}/", json={"data_sets": []}).json()

    assert renamed == {**before, "name": "till"}
    assert emptied == {**before, "name": "till", "data_sets": []}


def test_data_set_that_is_taken_away_is_absent_at_once(admin: Client, world: World) -> None:
    agent = f"/api/agents/{world.one}/"
    assert admin.get(agent, headers=world.user.headers).status_code == 200

    admin.patch(f"{PATH}{world.user.id}/", json={"data_sets": []})

    assert admin.get(agent, headers=world.user.headers).status_code == 404


def test_deleted_account_is_out_absent_and_its_name_free(admin: Client, world: World) -> None:
    assert can_enter(admin, world.user.token)

    assert admin.delete(f"{PATH}{world.user.id}/").status_code == 204
    assert not can_enter(admin, world.user.token)
    assert admin.get(f"{PATH}{world.user.id}/").status_code == 404
    assert admin.delete(f"{PATH}{world.user.id}/").status_code == 404
    assert admin.patch(f"{PATH}{world.user.id}/", json={"is_active": True}).status_code == 404
    assert admin.post(f"{PATH}{world.user.id}/reset-token/").status_code == 404
    assert admin.post(PATH, json={"name": "user"}).status_code == 201


def test_reset_token_ends_the_old_one_at_once(admin: Client, world: World) -> None:
    assert can_enter(admin, world.user.token)

    answer = admin.post(f"{PATH}{world.user.id}/reset-token/")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert can_enter(admin, answer.json()["token"])
    assert not can_enter(admin, world.user.token)


def test_reset_token_keeps_the_old_one_for_the_stated_time(admin: Client, world: World) -> None:
    answer = admin.post(f"{PATH}{world.user.id}/reset-token/", json={"keep_old_seconds": 1})

    assert can_enter(admin, world.user.token)
    deadline = time.monotonic() + 4
    while can_enter(admin, world.user.token):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert can_enter(admin, answer.json()["token"])


def test_second_reset_does_not_prolong_a_token_that_ends(admin: Client, world: World) -> None:
    admin.post(f"{PATH}{world.user.id}/reset-token/")

    admin.post(f"{PATH}{world.user.id}/reset-token/", json={"keep_old_seconds": 3600})

    assert not can_enter(admin, world.user.token)


@pytest.mark.parametrize("body", [{"keep_old_seconds": -1}, {"keep_old_seconds": 1e9}, {"keep_old": 1}, []])
def test_wrong_reset_is_400_and_the_old_token_stays(admin: Client, world: World, body: Any) -> None:
    assert admin.post(f"{PATH}{world.user.id}/reset-token/", json=body).status_code == 400
    assert can_enter(admin, world.user.token)


def test_others_than_admins_get_403_for_the_list_and_404_for_any_id(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    before = http.row_counts(connection)

    assert client.get(PATH).status_code == 403
    assert client.post(PATH, json={"name": "x", "is_admin": True}).status_code == 403
    for account_id in (world.user.id, world.stranger.id, 9999):
        assert client.get(f"{PATH}{account_id}/").status_code == 404
        assert client.patch(f"{PATH}{account_id}/", json={"is_active": False}).status_code == 404
        assert client.delete(f"{PATH}{account_id}/").status_code == 404
        assert client.post(f"{PATH}{account_id}/reset-token/").status_code == 404
    assert http.row_counts(connection) == before
    assert can_enter(client, world.stranger.token)
