"""Starting an execution once more, as it was or changed."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from service.definitions.registry import Registry
from tests import http
from tests.http import Client, row_counts
from tests.service.conftest import World
from tests.service.executions.test_start import ASKED, NORMALISED, starts, versions

__all__ = ["versions"]


def rerun(client: Client, execution_id: int, body: Any = None, **options: Any) -> Any:
    sent = {} if body is None else {"json": body}
    return client.post(f"/api/agentic-executions/{execution_id}/rerun/", **sent, **options)


def start(client: Client, agent_id: int, **changed: Any) -> dict[str, Any]:
    started: dict[str, Any] = client.post(starts(agent_id), json={**ASKED, **changed}).json()
    return started


def test_rerun_without_a_body_then_a_new_execution_like_the_first(client: Client, world: World) -> None:
    labels = {"external_id": "one", "metadata": {"shop": "7"}, "limits": {"tool_calls": 3}, "priority": 5}
    first = start(client, world.one, **labels)
    answer = rerun(client, first["id"])
    assert answer.status_code == 202, answer.text
    second = answer.json()
    assert (second["rerun_of"], second["id"] > first["id"], first["rerun_of"]) == (first["id"], True, None)
    same = ("agent", "execution_key", "input", "limits", "metadata", "version", "data_set", "status")
    assert {name: second[name] for name in same} == {name: first[name] for name in same}
    assert (second["external_id"], second["priority"]) == (None, 0)
    assert client.get(answer.headers["location"]).json() == second


def test_rerun_with_changes_then_they_hold(client: Client, world: World) -> None:
    first = start(client, world.one)
    changed = {"input": {"text": "b"}, "limits": {"cost": 0.5}, "metadata": {}, "external_id": "two", "priority": -1}
    second = rerun(client, first["id"], changed).json()
    assert second["input"] == {**NORMALISED, "text": "b"}
    assert (second["limits"]["cost"], second["external_id"], second["priority"]) == (0.5, "two", -1)


def test_rerun_when_there_are_files_then_they_are_the_same_bytes(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    form: Any = {"data": {"input": '{"text": "a"}'}, "files": [("files", ("a.txt", b"text"))]}
    first = client.post(starts(world.uploads), **form).json()
    before = row_counts(connection)
    second = rerun(client, first["id"]).json()
    assert [file["filename"] for file in second["files"]] == ["a.txt"]
    assert client.get(second["files"][0]["file_url"]).content == b"text"
    assert row_counts(connection)["blobs"] == before["blobs"]
    connection.execute("UPDATE agents SET file_upload = false")
    refused = rerun(client, first["id"])
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "files")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": {}}, "input.text"),
        ({"input": None}, "input"),
        ({"limits": {"tool_calls": 99}}, "limits.tool_calls"),
        ({"execution_key": "summary"}, "execution_key"),
        ({"priority": "high"}, "priority"),
        ({"deadline": "2000-01-01T00:00:00Z"}, "deadline"),
    ],
)
def test_rerun_when_a_change_is_wrong_then_400_names_it_and_nothing_is_written(
    client: Client, world: World, connection: psycopg.Connection, body: Any, field: str
) -> None:
    first = start(client, world.one)
    before = row_counts(connection)
    refused = rerun(client, first["id"], body)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, field)
    assert row_counts(connection) == before


@pytest.mark.parametrize(
    "change",
    ["UPDATE agents SET deleted_at = now()", "UPDATE agents SET agent_type = 'two'", "DELETE FROM account_data_sets"],
)
def test_rerun_when_the_agent_or_key_is_there_no_more_then_409(
    client: Client, world: World, connection: psycopg.Connection, change: str
) -> None:
    first = start(client, world.one)
    connection.execute(change.encode())
    before = row_counts(connection)
    assert rerun(client, first["id"]).status_code == 409
    assert row_counts(connection) == before


def test_rerun_when_the_body_is_too_large_then_413_as_a_start_is(client: Client, world: World) -> None:
    first = start(client, world.one)
    too_large = {"input": {"text": "x" * 1_048_576}}
    answers = [
        rerun(client, first["id"], too_large),
        client.post(starts(world.one), json={**too_large, "execution_key": "summary"}),
    ]
    assert [answer.status_code for answer in answers] == [413, 413]
    assert answers[0].json() == answers[1].json()
    assert "1,048,576" in answers[0].json()["detail"]


def test_rerun_when_foreign_then_404_whatever_the_body(client: Client, world: World) -> None:
    first = start(client, world.one)
    for body in (None, {}, {"no": "field"}):
        assert rerun(client, first["id"], body, headers=world.stranger.headers).status_code == 404


def test_rerun_with_a_key_then_one_execution_and_one_answer(client: Client, world: World) -> None:
    first = start(client, world.one)
    headers = {"Idempotency-Key": "again"}
    answers = [rerun(client, first["id"], headers=headers) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert rerun(client, first["id"], {"priority": 1}, headers=headers).status_code == 422


def test_rerun_when_the_definition_became_stricter_then_its_limits_hold_where_they_are_lower(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    first = start(client, world.one, limits={"tool_calls": 3})
    changed = '{"tool_calls": 500, "corrections": 1}'
    connection.execute("UPDATE executions SET limits = limits || %s::jsonb", (changed,))
    limits = rerun(client, first["id"]).json()["limits"]
    assert (limits["tool_calls"], limits["corrections"]) == (20, 1)


def test_rerun_takes_the_version_that_is_offered_now(
    database_url: str, world: World, versions: Registry, client: Client, connection: psycopg.Connection
) -> None:
    first = start(client, world.one)
    with http.serving(database_url, versions) as newer:
        newer.headers.update(world.user.headers)
        assert (first["version"], rerun(newer, first["id"]).json()["version"]) == (1, 3)


def test_rerun_when_several_fields_are_wrong_then_all_are_named(client: Client, world: World) -> None:
    first = start(client, world.one)
    wrong: dict[str, Any] = {
        "input": None,
        "external_id": "",
        "metadata": {"a": 1},
        "deadline": 5,
        "priority": 1.5,
        "limits": [],
    }
    answer = rerun(client, first["id"], wrong)
    named = {error["field"].partition(".")[0] for error in answer.json()["errors"]}
    assert (answer.status_code, named) == (400, set(wrong))


def test_rerun_takes_what_a_start_takes_and_says_when_to_look(client: Client, world: World) -> None:
    first = start(client, world.one)
    answer = rerun(client, first["id"], {"input": '{"text": "c"}', "priority": "2"})
    assert (answer.status_code, answer.headers["retry-after"]) == (202, "1")
    assert (answer.json()["input"]["text"], answer.json()["priority"]) == ("c", 2)
