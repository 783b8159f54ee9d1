"""GET …/events/ as JSON: of one execution by its sequence, of an account by the position that loses nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from service.events.asking import prefers_stream
from tests import http
from tests.http import Client
from tests.service.conftest import World
from tests.service.events.conftest import Teller

ACCOUNT = "/api/agentic-executions/events/"


def of(execution_id: int) -> str:
    return f"/api/agentic-executions/{execution_id}/events/"


def test_events_of_an_execution_come_in_order_without_who_ran_it(client: Client, teller: Teller) -> None:
    execution_id = teller.accept()
    teller.tell(execution_id, "started", worker=3, epoch=1)
    teller.tell(execution_id, "turn_started", turn=1, cycle=1)
    teller.finish(execution_id)
    page = client.get(of(execution_id)).json()
    assert list(page) == ["next", "next_after", "results"]
    assert (page["next"], page["next_after"]) == (None, 4)
    assert [(each["sequence"], each["kind"], each["data"]) for each in page["results"]] == [
        (1, "accepted", {}),
        (2, "started", {}),
        (3, "turn_started", {"turn": 1, "cycle": 1}),
        (4, "finished", {}),
    ]
    assert list(page["results"][0]) == ["execution", "sequence", "kind", "created_at", "data"]
    assert page["results"][0]["execution"] == execution_id
    assert page["results"][0]["created_at"].endswith("Z")


def test_pages_joined_by_their_cursor_or_their_link_are_the_log(client: Client, teller: Teller) -> None:
    execution_id = teller.accept()
    for turn in range(6):
        teller.tell(execution_id, turn=turn)
    url: str | None = f"{of(execution_id)}?limit=3"
    seen: list[int] = []
    while url:
        page = client.get(url).json()
        seen += [each["sequence"] for each in page["results"]]
        assert page["next_after"] == seen[-1]
        url = page["next"]
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    page = client.get(of(execution_id), params={"after": 7}).json()
    assert page == {"next": None, "next_after": 7, "results": []}


def test_event_that_commits_late_is_after_the_cursor_that_was_given_before(
    client: Client, teller: Teller, database_url: str, world: World
) -> None:
    with psycopg.connect(database_url) as slow:
        late = Teller(slow, world).accept()
        early = teller.accept()
        first = client.get(ACCOUNT).json()
        assert [each["execution"] for each in first["results"]] == [early]
        slow.commit()
    second = client.get(ACCOUNT, params={"after": first["next_after"]}).json()
    assert [(each["execution"], each["position"]) for each in second["results"]] == [(late, 2)]
    assert list(second["results"][0])[-1] == "position"


def test_account_sees_events_of_its_own_executions_alone(
    client: Client, teller: Teller, world: World, connection: psycopg.Connection[Any]
) -> None:
    teller.accept()
    theirs = Teller(connection, world, account_id=world.stranger.id).accept()
    assert [each["execution"] for each in client.get(ACCOUNT, headers=world.stranger.headers).json()["results"]] == [
        theirs
    ]
    assert client.get(ACCOUNT, headers=world.admin.headers).json()["results"] == []
    assert client.get(of(theirs)).status_code == 404
    assert client.get(of(theirs), headers=world.admin.headers).status_code == 200


def test_execution_started_over_the_api_with_no_worker_alive_has_a_position(
    client: Client, world: World, connection: psycopg.Connection[Any]
) -> None:
    body = {"execution_key": "summary", "input": {"text": "x"}}
    started = client.post(f"/api/agents/{world.one}/agentic-executions/", json=body).json()
    page = client.get(ACCOUNT).json()
    assert [(each["execution"], each["kind"]) for each in page["results"]] == [(started["id"], "accepted")]


@pytest.mark.parametrize(
    ("url", "headers", "field"),
    [
        (ACCOUNT + "?after=-1&limit=501", {}, ["after", "limit"]),
        (ACCOUNT + "?after=abc", {}, ["after"]),
        (ACCOUNT + "?after=99999999999999999999", {}, ["after"]),
        (ACCOUNT + "?after=1", {}, ["after"]),
        (ACCOUNT + "?limit=0", {}, ["limit"]),
        (ACCOUNT, {"Last-Event-ID": "7"}, ["Last-Event-ID"]),
        (ACCOUNT, {"Last-Event-ID": "evt_1", "Accept": "text/event-stream"}, ["Last-Event-ID"]),
    ],
)
def test_cursor_that_cannot_be_or_is_of_the_future_is_400_and_named(
    client: Client, url: str, headers: dict[str, str], field: list[str]
) -> None:
    answer = client.get(url, headers=headers)
    assert answer.status_code == 400
    assert [each["field"] for each in answer.json()["errors"]] == field


def test_cursor_of_the_future_when_refused_then_nothing_is_told_of_how_much_others_do(
    client: Client, world: World, connection: psycopg.Connection[Any]
) -> None:
    theirs = Teller(connection, world, account_id=world.stranger.id)
    answers = []
    for _ in range(2):
        theirs.accept()
        answers.append(client.get(ACCOUNT, params={"after": 1000}).content)
    assert answers[0] == answers[1]


def test_header_wins_over_the_query(client: Client, teller: Teller) -> None:
    execution_id = teller.accept()
    teller.tell(execution_id)
    page = client.get(of(execution_id), params={"after": 0}, headers={"Last-Event-ID": "1"}).json()
    assert [each["sequence"] for each in page["results"]] == [2]


@pytest.mark.parametrize(
    ("accept", "is_stream"),
    [
        ("text/event-stream", True),
        ("application/json, Text/Event-Stream;q=0.5", True),
        ("text/event-stream; q=0", False),
        ("text/event-stream;charset=utf-8;Q=0.0000", False),
        ("text/event-stream;charset=utf-8;q=0.01", True),
        ("*/*", False),
        ("", False),
    ],
)
def test_only_who_names_event_streams_gets_one(accept: str, is_stream: bool) -> None:
    assert prefers_stream(accept) is is_stream


def test_events_cannot_be_read_without_a_token(anonymous: Client) -> None:
    for url in (ACCOUNT, of(1)):
        assert anonymous.get(url, headers={"Accept": "text/event-stream"}).status_code == 401


def test_plans_of_pages_use_the_indexes_of_the_log(connection: psycopg.Connection[Any], world: World) -> None:
    from service.events import store

    teller = Teller(connection, world)
    for _ in range(300):
        teller.tell(teller.accept())
    connection.execute("SELECT number_new_events(600)")
    connection.execute("ANALYZE events")
    connection.execute("SET enable_seqscan = off")
    for statement, index in (
        (store.OF_EXECUTION, "events_pkey"),
        (store.OF_ACCOUNT, "events_account_position_idx"),
        (store.OF_EXECUTIONS, "events_pkey"),
        (store.OF_ACCOUNTS, "events_account_position_idx"),
    ):
        is_many = "unnest" in statement
        values = {"of": [1, 2] if is_many else 1, "after": [0, 0] if is_many else 0, "limit": 10}
        plan = connection.execute(f"EXPLAIN {statement}".encode(), values).fetchall()
        assert f"using {index} on events" in "\n".join(line for (line,) in plan)
    assert http.row_counts(connection)["events"] == 600
