"""`Prefer: wait=N` on get and start, and what polling is told: Retry-After, ETag and 304."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.http import Client
from tests.service.conftest import World
from tests.service.events.conftest import Teller, live
from tests.service.events.test_streams import until


def one(execution_id: int) -> str:
    return f"/api/agentic-executions/{execution_id}/"


def agent(number: int) -> str:
    return f"/api/agents/{number}/agentic-executions/"


def finish_when_watched(served: Any, teller: Teller) -> threading.Thread:
    """End every execution as soon as somebody waits."""

    def finish() -> None:
        until(lambda: served.hub.watching > 0)
        for (execution_id,) in teller.connection.execute("SELECT execution_id FROM execution_runtime").fetchall():
            teller.finish(execution_id)

    thread = threading.Thread(target=finish)
    thread.start()
    return thread


def test_get_that_waits_answers_when_the_execution_ends(database_url: str, teller: Teller, world: World) -> None:
    with live(database_url) as served, served.client(world.user.token) as client:
        execution_id = teller.accept()
        thread = finish_when_watched(served, teller)
        answer = client.get(one(execution_id), headers={"Prefer": "respond-async, Wait=15; x"})
        thread.join()
        assert (answer.status_code, answer.json()["status"]) == (200, "finished")
        assert answer.headers["preference-applied"] == "wait=15"
        assert "retry-after" not in answer.headers
        assert client.get(one(execution_id), headers={"Prefer": "wait=60"}).json()["status"] == "finished"
        assert served.hub.watching == 0


@pytest.mark.parametrize("as_form", [False, True])
def test_start_that_waits_is_202_with_the_execution_at_the_end(
    database_url: str, teller: Teller, world: World, as_form: bool
) -> None:
    with live(database_url) as served, served.client(world.user.token) as client:
        thread = finish_when_watched(served, teller)
        headers = {"Prefer": "wait=15"}
        if as_form:
            files = [("files[]", ("a.txt", b"text"))]
            data = {"execution_key": "summary", "input": '{"text": "x"}'}
            answer = client.post(agent(world.uploads), data=data, files=files, headers=headers)
        else:
            body = {"execution_key": "summary", "input": {"text": "x"}}
            answer = client.post(agent(world.one), json=body, headers=headers)
        thread.join()
        shown = answer.json()
        assert (answer.status_code, shown["status"], shown["result"]) == (202, "finished", {"a": 1})
        assert list(shown["input"]) == ["text", "count", "skus"]  # as the schema has it
        assert len(shown["files"]) == as_form
        assert answer.headers["location"] == one(shown["id"])
        assert answer.headers["preference-applied"] == "wait=15"


def test_wait_ends_when_its_time_is_up(client: Client, world: World) -> None:
    body = {"execution_key": "summary", "input": {"text": "x"}}
    answer = client.post(agent(world.one), json=body, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert answer.headers["retry-after"] == "1"
    answer = client.get(answer.headers["location"], headers={"Prefer": "wait=1"})
    assert (answer.json()["status"], answer.headers["preference-applied"]) == ("pending", "wait=1")


@pytest.mark.parametrize("prefer", ["wait", "wait=soon", "wait=-1", "handling=strict", "wait=1.5"])
def test_preference_that_says_nothing_is_ignored(client: Client, teller: Teller, prefer: str) -> None:
    answer = client.get(one(teller.accept()), headers={"Prefer": prefer})
    assert answer.status_code == 200
    assert "preference-applied" not in answer.headers


def test_wait_for_more_than_a_minute_is_for_a_minute(client: Client, teller: Teller) -> None:
    execution_id = teller.accept()
    teller.finish(execution_id)
    answer = client.get(one(execution_id), headers={"Prefer": 'wait="3600"'})
    assert answer.headers["preference-applied"] == "wait=60"


def test_wait_for_what_is_foreign_is_404_at_once(client: Client, world: World, connection: Any) -> None:
    theirs = Teller(connection, world, account_id=world.stranger.id).accept()
    assert client.get(one(theirs), headers={"Prefer": "wait=60"}).status_code == 404


def test_wait_holds_no_connection_to_the_database_and_ends_when_its_client_leaves(
    database_url: str, teller: Teller, world: World
) -> None:
    with live(database_url, AGENTIC_POOL_SIZE="2") as served, served.client(world.user.token) as client:
        execution_id = teller.accept()
        request = f"GET {one(execution_id)} HTTP/1.1\r\nHost: x\r\nPrefer: wait=60\r\n"
        request += f"Authorization: Token {world.user.token}\r\n\r\n"
        place = urlsplit(served.url)
        waiting = [socket.create_connection((place.hostname, place.port)) for _ in range(6)]
        for each in waiting:
            each.sendall(request.encode())
        until(lambda: served.hub.watching == 6)
        assert client.get(one(execution_id)).status_code == 200
        for each in waiting:
            each.close()
        until(lambda: served.hub.watching == 0)


def test_wait_is_answered_when_the_server_stops(database_url: str, teller: Teller, world: World) -> None:
    with live(database_url) as served, served.client(world.user.token) as client:
        execution_id = teller.accept()
        answers: list[Any] = []
        thread = threading.Thread(
            target=lambda: answers.append(client.get(one(execution_id), headers={"Prefer": "wait=60"}))
        )
        thread.start()
        until(lambda: served.hub.watching == 1)
        assert served.stop()
        thread.join()
    assert answers[0].json()["status"] == "pending"


def test_execution_that_did_not_change_is_304_by_its_tag(
    client: Client, teller: Teller, connection: psycopg.Connection[Any]
) -> None:
    execution_id = teller.accept()
    first = client.get(one(execution_id))
    same = client.get(one(execution_id), headers={"If-None-Match": f'W/"x", {first.headers["etag"]}'})
    assert (same.status_code, same.content) == (304, b"")
    assert (same.headers["etag"], same.headers["retry-after"]) == (first.headers["etag"], "1")
    teller.finish(execution_id)
    changed = client.get(one(execution_id), headers={"If-None-Match": first.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != first.headers["etag"]
    assert "retry-after" not in changed.headers


def test_execution_that_takes_long_is_asked_for_less_often(client: Client, teller: Teller) -> None:
    pauses = []
    for seconds in (0, 45, 100_000):
        execution_id = teller.accept()
        teller.connection.execute(
            "UPDATE executions SET started_at = now() - make_interval(secs => %s) WHERE id = %s",
            (seconds, execution_id),
        )
        pauses.append(client.get(one(execution_id)).headers["retry-after"])
    assert pauses == ["1", "2", "10"]


def test_start_that_waits_stays_accepted_when_its_execution_is_erased(
    database_url: str, teller: Teller, world: World
) -> None:
    def erase() -> None:
        until(lambda: served.hub.watching > 0)
        teller.connection.execute("DELETE FROM executions")

    with live(database_url) as served, served.client(world.user.token) as client:
        thread = threading.Thread(target=erase)
        thread.start()
        body = {"execution_key": "summary", "input": {"text": "x"}}
        answer = client.post(agent(world.one), json=body, headers={"Prefer": "wait=15"})
        thread.join()
        assert (answer.status_code, answer.headers["location"]) == (202, one(answer.json()["id"]))


@pytest.mark.parametrize("is_start", [True, False])
def test_wait_whose_token_is_disabled_meanwhile_is_401(
    database_url: str, teller: Teller, world: World, is_start: bool
) -> None:
    def disable() -> None:
        until(lambda: served.hub.watching > 0)
        changed = admin.patch(f"/api/service-accounts/{world.user.id}/", json={"is_active": False})
        assert changed.status_code == 200, changed.text
        for (execution_id,) in teller.connection.execute("SELECT execution_id FROM execution_runtime").fetchall():
            teller.finish(execution_id)

    with (
        live(database_url) as served,
        served.client(world.user.token) as client,
        served.client(world.admin.token) as admin,
        ThreadPoolExecutor(1) as pool,
    ):
        disabling = pool.submit(disable)
        headers = {"Prefer": "wait=15"}
        if is_start:
            body = {"execution_key": "summary", "input": {"text": "x"}}
            answer = client.post(agent(world.one), json=body, headers=headers)
        else:
            answer = client.get(one(teller.accept()), headers=headers)
        disabling.result()
        assert (answer.status_code, answer.json()["detail"]) == (401, "Invalid token.")
        assert "preference-applied" not in answer.headers
