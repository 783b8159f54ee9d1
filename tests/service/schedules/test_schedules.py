"""Schedules over the API: made, shown, changed and deleted; and what is refused when they are made."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from service.schedules.actions import MOST_SCHEDULES
from tests import http
from tests.http import Client, row_counts
from tests.service.conftest import Shop, World

ASKED = {"execution_key": "summary", "cron": "30 6 * * MON-FRI", "time_zone": "Europe/Warsaw", "input": {"text": "a"}}
KEY = {"Idempotency-Key": "nightly"}


@pytest.fixture
def connection(shop: Shop) -> psycopg.Connection:
    """Into the database of all tests here, without what the test before has left."""
    shop.connection.execute("TRUNCATE schedules, conversations, executions, idempotency_keys CASCADE")
    return shop.connection


@pytest.fixture
def world(shop: Shop) -> World:
    return shop.world


@pytest.fixture
def client(shop: Shop) -> Client:
    return shop.client


def schedules(agent_id: int) -> str:
    return f"/api/agents/{agent_id}/schedules/"


def make(client: Client, world: World, **given: Any) -> Any:
    answer = client.post(schedules(world.one), json={**ASKED, **given})
    assert answer.status_code == 201, answer.text
    return answer.json()


def change(client: Client, made: Any, **given: Any) -> Any:
    answer = client.patch(f"/api/schedules/{made['id']}/", json=given)
    assert answer.status_code == 200, answer.text
    return answer.json()


def fields(answer: Any) -> list[str]:
    assert answer.status_code == 400, answer.text
    return [error["field"] for error in answer.json()["errors"]]


@pytest.mark.usefixtures("connection")
def test_schedule_when_made_then_it_shows_what_was_asked_for_and_when_it_starts(client: Client, world: World) -> None:
    answer = client.post(schedules(world.one), json=ASKED)
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/schedules/{made['id']}/")
    assert made.pop("next_slot")[11:] in ("04:30:00.000000Z", "05:30:00.000000Z")
    assert made.pop("created_at")
    assert made == {
        "id": made["id"],
        "agent": world.one,
        **ASKED,
        "limits": {},
        "metadata": {},
        "priority": 0,
        "webhook_url": None,
        "is_active": True,
        "missed": "latest",
        "overlap": "skip",
        "last_slot": None,
        "last_outcome": None,
        "last_refusal": None,
        "last_execution": None,
    }
    assert client.get(answer.headers["location"]).json() == answer.json()


def test_schedule_with_wrong_fields_is_refused_naming_all_of_them_and_nothing_is_written(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    before = row_counts(connection)
    wrong = {"input": {"text": "a", "count": 99}, "metadata": {"a": 1}, "limits": {"corrections": -1}}
    asked = {**ASKED, **wrong, "cron": "61 * * * *", "time_zone": "Warsaw", "webhook_url": "http://10.0.0.1/"}
    named = fields(client.post(schedules(world.one), json=asked))
    assert sorted({re.split(r"\W", name)[0] for name in named}) == [
        *("cron", "input", "limits", "metadata", "time_zone", "webhook_url"),
    ]
    assert fields(client.post(schedules(world.one), json={**ASKED, "execution_key": "first"})) == ["execution_key"]
    assert fields(client.post(schedules(world.one), json={**ASKED, "start_after": "later"})) == ["start_after"]
    assert fields(client.post(schedules(world.one), json={**ASKED, "overlap": "fight"})) == ["overlap"]
    assert row_counts(connection) == before


@pytest.mark.usefixtures("connection")
def test_schedules_of_an_agent_are_listed_newest_first_to_their_account_alone(client: Client, world: World) -> None:
    first, second = make(client, world), make(client, world, is_active=False)
    assert second["next_slot"] is None
    listed = client.get(schedules(world.one)).json()
    assert (listed["count"], listed["results"]) == (2, [second, first])
    assert client.get(schedules(world.uploads)).json()["count"] == 0
    admin = world.admin.headers
    assert client.get(schedules(world.one), headers=admin).json()["count"] == 0
    assert client.get(schedules(world.one), params={"account": "all"}, headers=admin).json()["count"] == 2
    assert client.get(schedules(world.one), params={"account": "all"}).json()["count"] == 2


@pytest.mark.usefixtures("connection")
def test_schedule_when_changed_then_what_was_left_out_stays_and_the_next_slot_follows(
    client: Client, world: World
) -> None:
    made = make(client, world, metadata={"shop": "7"})
    changed = change(client, made, input={"text": "b"}, overlap="queue", priority=3)
    assert changed == {**made, "input": {"text": "b"}, "overlap": "queue", "priority": 3}
    assert change(client, made) == changed
    moved = change(client, made, cron="0 0 1 1 *", time_zone="UTC")
    assert moved["next_slot"][4:] == "-01-01T00:00:00.000000Z"
    assert change(client, made, is_active=False)["next_slot"] is None
    assert change(client, made, is_active=True) == moved


@pytest.mark.usefixtures("connection")
def test_schedule_is_not_changed_to_what_a_start_would_be_refused_for(client: Client, world: World) -> None:
    made = make(client, world)
    at = f"/api/schedules/{made['id']}/"
    assert fields(client.patch(at, json={"input": {}})) == ["input.text"]
    assert fields(client.patch(at, json={"cron": "* * *"})) == ["cron"]
    assert fields(client.patch(at, json={"time_zone": "Mars"})) == ["time_zone"]
    assert fields(client.patch(at, json={"execution_key": "other"})) == ["execution_key"]
    assert client.get(at).json() == made


def test_schedule_whose_agent_is_gone_can_be_switched_off_and_not_on(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    agent_id = http.create_agent(connection, world.data_set, agent_type="one")
    made = client.post(schedules(agent_id), json=ASKED).json()
    connection.execute("UPDATE agents SET deleted_at = now() WHERE id = %s", (agent_id,))
    assert client.get(schedules(agent_id)).status_code == 404
    assert change(client, made, is_active=False)["is_active"] is False
    assert client.patch(f"/api/schedules/{made['id']}/", json={"is_active": True}).status_code == 409


@pytest.mark.usefixtures("connection")
def test_schedule_when_deleted_then_it_is_absent(client: Client, world: World) -> None:
    made = make(client, world)
    assert client.delete(f"/api/schedules/{made['id']}/").status_code == 204
    assert client.get(f"/api/schedules/{made['id']}/").status_code == 404
    assert client.delete(f"/api/schedules/{made['id']}/").status_code == 404


@pytest.mark.usefixtures("connection")
def test_schedule_when_asked_for_twice_under_one_key_then_it_is_made_once(client: Client, world: World) -> None:
    answers = [client.post(schedules(world.one), json=ASKED, headers=KEY) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]
    assert client.post(schedules(world.one), json={**ASKED, "priority": 1}, headers=KEY).status_code == 422
    assert client.get(schedules(world.one)).json()["count"] == 1


def test_schedule_beyond_the_most_that_an_account_may_have_is_409(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    make(client, world)
    connection.execute(
        "INSERT INTO schedules OVERRIDING SYSTEM VALUE"
        " SELECT (jsonb_populate_record(s, jsonb_build_object('id', -n))).* FROM schedules s, generate_series(2, %s) n",
        (MOST_SCHEDULES,),
    )
    assert client.post(schedules(world.one), json=ASKED).status_code == 409
    assert client.get(schedules(world.one)).json()["count"] == MOST_SCHEDULES


def test_executions_of_a_schedule_are_found_by_it_and_show_their_slot(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    starts = f"/api/agents/{world.one}/agentic-executions/"
    asked = {"execution_key": "summary", "input": {"text": "a"}}
    plain, scheduled = (client.post(starts, json=asked).json() for _ in range(2))
    assert (plain["schedule"], plain["schedule_slot"]) == (None, None)
    connection.execute(
        "UPDATE executions SET schedule_id = 7, schedule_slot = '2026-05-04 06:30+02' WHERE id = %s",
        (scheduled["id"],),
    )
    shown = client.get(f"/api/agentic-executions/{scheduled['id']}/").json()
    assert (shown["schedule"], shown["schedule_slot"]) == (7, "2026-05-04T04:30:00.000000Z")
    found = client.get("/api/agentic-executions/", params={"schedule_id": "7"}).json()["results"]
    assert [execution["id"] for execution in found] == [scheduled["id"]]
    assert client.get("/api/agentic-executions/", params={"schedule_id": "x"}).status_code == 400
