"""Webhooks over the API: made, changed, tried; a secret is shown once; and the URL that a start may name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from service.events.models import FINAL, Kind
from service.webhooks.models import FINAL_TYPES, EventType
from tests import http
from tests.http import Client, row_counts
from tests.service.conftest import World, make_registry
from tests.service.executions.test_start import ASKED, starts
from tests.tasks.hooks import KEY

HOOKS = "/api/webhooks/"
URL = "https://shop.example.com/hook"


@pytest.fixture
def anonymous(database_url: str) -> Iterator[Client]:
    """A client of an installation that keeps secrets."""
    with http.serving(database_url, make_registry(), AGENTIC_SECRET_KEY=KEY) as client:
        yield client


def make(client: Client, **given: Any) -> Any:
    answer = client.post(HOOKS, json={"url": URL, **given})
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def fields(answer: Any) -> list[str]:
    assert answer.status_code == 400, answer.text
    return [error["field"] for error in answer.json()["errors"]]


def test_types_when_listed_are_the_kinds_of_events() -> None:
    assert [each.value for each in EventType] == [f"execution.{kind}" for kind in Kind]
    assert {each.value for each in FINAL_TYPES} == {f"execution.{kind}" for kind in FINAL}


def test_webhook_when_made_then_its_secret_is_shown_once_and_it_is_told_of_ends(client: Client, world: World) -> None:
    made = make(client)
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    assert made == {
        "id": made["id"],
        "account": world.user.id,
        "url": URL,
        "event_types": ["execution.cancelled", "execution.failed", "execution.finished"],
        "body": "thin",
        "is_active": True,
        "disabled_reason": None,
        "old_secret_until": None,
        "created_at": made["created_at"],
    }
    assert client.get(f"{HOOKS}{made['id']}/").json() == made
    assert client.get(HOOKS).json()["results"] == [made]


def test_webhook_when_changed_then_only_that_changes(client: Client) -> None:
    made = make(client)
    change = {"url": f"{URL}/b", "event_types": ["execution.judged"], "body": "full", "is_active": False}
    for name, value in change.items():
        assert client.patch(f"{HOOKS}{made['id']}/", json={name: value}).json()[name] == value
    assert client.patch(f"{HOOKS}{made['id']}/", json={}).json() == {**client.get(HOOKS).json()["results"][0]}


def test_webhook_when_deleted_then_it_and_its_secrets_are_gone(client: Client, connection: psycopg.Connection) -> None:
    made = make(client)
    assert client.delete(f"{HOOKS}{made['id']}/").status_code == 204
    assert client.get(f"{HOOKS}{made['id']}/").status_code == 404
    assert client.get(HOOKS).json()["count"] == 0
    assert row_counts(connection)["webhook_secrets"] == 0


def test_webhook_when_its_url_is_never_asked_then_400_and_nothing_is_written(
    client: Client, connection: psycopg.Connection
) -> None:
    made = make(client)
    before = row_counts(connection)
    for url in ("http://127.0.0.1/", "http://[::1]/", "http://169.254.169.254/", "ftp://x.example", "https://u:p@x/"):
        assert fields(client.post(HOOKS, json={"url": url})) == ["url"]
        assert fields(client.patch(f"{HOOKS}{made['id']}/", json={"url": url})) == ["url"]
    assert row_counts(connection) == before


def test_webhook_when_its_fields_are_wrong_then_400_names_them(client: Client) -> None:
    wrong = {"url": 7, "event_types": ["execution.none"], "body": "fat", "secret": "x"}
    assert sorted(fields(client.post(HOOKS, json=wrong))) == ["body", "event_types[0]", "secret", "url"]


def test_webhook_when_the_installation_has_no_key_then_400_says_what_its_operator_does(
    database_url: str, world: World, connection: psycopg.Connection
) -> None:
    with http.serving(database_url, make_registry()) as client:
        answer = client.post(HOOKS, json={"url": URL}, headers=world.user.headers)
    assert answer.status_code == 400
    assert "AGENTIC_SECRET_KEY" in answer.json()["detail"]
    assert row_counts(connection)["webhooks"] == 0


def test_webhooks_when_there_are_twenty_or_two_without_a_url_then_409(client: Client) -> None:
    make(client, url=None)
    assert client.post(HOOKS, json={}).status_code == 409
    for _ in range(19):
        make(client)
    assert client.post(HOOKS, json={"url": URL}).status_code == 409


def test_webhooks_of_all_when_an_admin_asks_then_listed(client: Client, world: World) -> None:
    make(client)
    headers = world.admin.headers
    assert client.get(HOOKS, headers=headers).json()["count"] == 0
    assert client.get(f"{HOOKS}?account=all", headers=headers).json()["count"] == 1
    assert client.get(f"{HOOKS}?account=all", headers=world.stranger.headers).json()["count"] == 0


def test_secret_when_rotated_then_a_new_one_and_until_when_the_old_one_signs(client: Client) -> None:
    made = make(client)
    path = f"{HOOKS}{made['id']}/rotate-secret/"
    rotated = client.post(path)
    assert (rotated.status_code, rotated.headers["cache-control"]) == (200, "no-store")
    assert rotated.json()["secret"] != made["secret"]
    assert rotated.json()["old_secret_until"] is not None
    assert client.post(path, json={"keep_old_seconds": 0}).json()["old_secret_until"] is None
    assert [client.post(path).status_code for _ in range(5)] == [200] * 4 + [409]
    assert fields(client.post(path, json={"keep_old_seconds": -1})) == ["keep_old_seconds"]


def test_ping_when_asked_for_then_a_delivery_that_is_listed(client: Client) -> None:
    made = make(client)
    answer = client.post(f"{HOOKS}{made['id']}/ping/")
    assert answer.status_code == 202
    ping = answer.json()
    assert (ping["type"], ping["status"], ping["execution"], ping["attempts"]) == ("webhook.ping", "pending", None, [])
    assert client.get(f"{HOOKS}{made['id']}/deliveries/").json()["results"] == [ping]


def test_ping_when_there_is_nobody_to_tell_then_409(client: Client) -> None:
    without, made = make(client, url=None), make(client)
    client.patch(f"{HOOKS}{made['id']}/", json={"is_active": False})
    for each in (without, made):
        assert client.post(f"{HOOKS}{each['id']}/ping/").status_code == 409


def test_webhook_when_switched_off_then_what_waits_is_dropped_and_can_be_asked_for_again(client: Client) -> None:
    made = make(client)
    ping = client.post(f"{HOOKS}{made['id']}/ping/").json()
    again = f"{HOOKS}{made['id']}/deliveries/{ping['id']}/redeliver/"
    assert client.post(again).status_code == 409  # it has its first attempt before it
    client.patch(f"{HOOKS}{made['id']}/", json={"is_active": False})
    [dropped] = client.get(f"{HOOKS}{made['id']}/deliveries/").json()["results"]
    assert (dropped["status"], dropped["next_attempt_at"]) == ("dropped", None)
    assert client.post(again).status_code == 409  # it is off
    client.patch(f"{HOOKS}{made['id']}/", json={"is_active": True})
    answer = client.post(again)
    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert client.post(f"{HOOKS}{made['id']}/deliveries/{ping['id'] + 1}/redeliver/").status_code == 404


def test_deliveries_when_there_are_many_then_pages_by_cursor(client: Client) -> None:
    made = make(client)
    ids = [client.post(f"{HOOKS}{made['id']}/ping/").json()["id"] for _ in range(5)]
    page = client.get(f"{HOOKS}{made['id']}/deliveries/?page_size=3").json()
    assert ([each["id"] for each in page["results"]], "count" in page) == (ids[:1:-1], False)
    rest = client.get(page["next"]).json()
    assert [each["id"] for each in rest["results"]] == ids[1::-1]


def test_deliveries_of_an_execution_when_there_are_then_listed_to_its_owner(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    made = make(client)
    execution_id = client.post(starts(world.one), json=ASKED).json()["id"]
    connection.execute(
        "INSERT INTO webhook_deliveries (account_id, webhook_id, execution_id, seq, type, occurred_at, lane)"
        " VALUES (%s, %s, %s, 1, 'execution.accepted', now(), '1')",
        (world.user.id, made["id"], execution_id),
    )
    path = f"/api/agentic-executions/{execution_id}/deliveries/"
    [found] = client.get(path).json()["results"]
    assert (found["webhook"], found["execution"], found["sequence"]) == (made["id"], execution_id, 1)
    assert client.get(path, headers=world.stranger.headers).status_code == 404


def test_start_when_it_names_a_url_then_kept_and_shown_however_it_is_sent(client: Client, world: World) -> None:
    make(client, url=None)
    asked = {**ASKED, "webhook_url": URL}
    form = {**asked, "input": json.dumps(ASKED["input"])}
    batch = client.post(f"{starts(world.one)}batch/", json={"items": [asked]}).json()["results"][0]
    started = [
        client.post(starts(world.one), json=asked).json(),
        client.post(starts(world.uploads), data=form, files={"files": ("a.txt", b"text")}).json(),
        batch["execution"],
    ]
    assert [each["webhook_url"] for each in started] == [URL] * 3
    path = f"/api/agentic-executions/{started[0]['id']}/"
    assert client.get(path).json()["webhook_url"] == URL
    assert client.post(f"{path}rerun/", json={"webhook_url": f"{URL}/b"}).json()["webhook_url"] == f"{URL}/b"
    assert client.post(f"{path}rerun/").json()["webhook_url"] is None
    assert fields(client.post(f"{path}rerun/", json={"webhook_url": "http://10.0.0.1/"})) == ["webhook_url"]


def test_start_when_its_url_is_never_asked_then_400_and_nothing_is_written(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    make(client, url=None)
    before = row_counts(connection)
    headers = {"Content-Type": "application/json"}
    for url in (
        "http://10.0.0.1/",
        "https://u:p@x.example/",
        "https://x.example/\ud800",
        "https://x.example/\0",
        7,
        "",
    ):
        asked = {**ASKED, "webhook_url": url}
        assert fields(client.post(starts(world.one), content=json.dumps(asked), headers=headers)) == ["webhook_url"]
        batch = json.dumps({"items": [asked, ASKED], "atomic": True})
        answer = client.post(f"{starts(world.one)}batch/", content=batch, headers=headers)
        assert fields(answer) == ["items[0].webhook_url"]
    assert row_counts(connection) == before


def test_start_when_no_secret_signs_for_its_url_then_400_says_how_to_make_one(client: Client, world: World) -> None:
    make(client)
    asked = {**ASKED, "webhook_url": URL}
    answer = client.post(starts(world.one), json=asked)
    assert fields(answer) == ["webhook_url"]
    assert "POST /api/webhooks/" in answer.json()["detail"]
    signing = make(client, url=None)
    assert client.post(starts(world.one), json=asked).status_code == 202
    client.patch(f"{HOOKS}{signing['id']}/", json={"is_active": False})
    assert client.post(starts(world.one), json=asked).status_code == 400
