"""Errors over HTTP: one shape, whatever refused the request, and nothing leaks."""

from __future__ import annotations

import logging

import psycopg
import pytest

from service.access_log import RequestIds
from service.accounts.tokens import new_token
from service.errors import FieldError
from service.responses import TYPE_ROOT, dotted_input
from tests import http
from tests.http import Client
from tests.service.conftest import World, make_registry

MEMBERS = ["type", "title", "status", "detail"]
LIST = "/api/agentic-executions/"
NOWHERE = "postgresql://agentic_app@127.0.0.1:1/nowhere?connect_timeout=1"


@pytest.mark.parametrize("path", ["/", "/api/", "/api/unknown/", "/api/agentic-executions/1/unknown/", "/media/"])
def test_any_path_when_unknown_then_404_in_the_one_shape(client: Client, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["detail"]) == (404, "Not found.")
    assert list(answer.json()) == MEMBERS
    assert answer.json()["type"] == f"{TYPE_ROOT}not_found"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", LIST, "GET"),
        ("PUT", f"{LIST}1/", "GET"),
        ("GET", "/api/agents/1/agentic-executions/", "POST"),
        ("PUT", "/api/agents/1/agentic-execution-definitions/", "GET"),
    ],
)
def test_any_route_when_the_method_is_wrong_then_405_with_allow(
    client: Client, method: str, path: str, allowed: str
) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert allowed in answer.headers["allow"].replace(" ", "").split(",")
    assert list(answer.json()) == MEMBERS


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html", "application/json"),
        ("application/problem+json", "application/problem+json"),
        ("application/problem+json, application/json", "application/problem+json"),
    ],
)
def test_error_when_accept_varies_then_only_the_media_type_does(client: Client, accept: str, content_type: str) -> None:
    answer = client.get("/api/unknown/", headers={"Accept": accept})
    assert answer.headers["content-type"] == content_type
    assert list(answer.json()) == MEMBERS


@pytest.mark.parametrize("path", [LIST, "/api/agents/1/agentic-executions/", "/api/unknown/"])
def test_error_when_there_are_no_credentials_then_401_in_the_one_shape(anonymous: Client, path: str) -> None:
    answer = anonymous.get(path)
    assert (answer.status_code, list(answer.json())) == (401, MEMBERS)
    assert "Token" in answer.headers["www-authenticate"]


def test_error_when_it_is_ours_then_500_shows_only_an_id_that_the_log_has(
    client: Client, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    connection.execute("ALTER TABLE executions RENAME COLUMN cycles TO renamed")
    answer = client.get(LIST, headers={"X-Request-ID": "abc-123"})
    assert (answer.status_code, list(answer.json())) == (500, MEMBERS)
    assert "abc-123" in answer.json()["detail"]
    assert "cycles" not in answer.text
    (logged,) = [record for record in caplog.records if record.name == "service.responses"]
    assert vars(logged)["request_id"] == "abc-123"
    assert logged.exc_info is not None
    assert "cycles" in str(logged.exc_info[1])


def test_any_route_when_the_database_is_away_then_503_that_says_when_to_try_again() -> None:
    with http.serving(NOWHERE, make_registry(), AGENTIC_POOL_TIMEOUT_SECONDS="0.1") as client:
        token = new_token()
        answer = client.get(LIST, headers={"Authorization": f"Token {token}"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert list(answer.json()) == MEMBERS


def test_any_route_when_connections_were_cut_then_it_recovers_by_itself(
    client: Client, connection: psycopg.Connection
) -> None:
    assert client.get(LIST).status_code == 200
    connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'agentic-api' AND datname = current_database()"
    )
    answers = [client.get(LIST).status_code for _ in range(20)]
    assert set(answers) <= {200, 503}
    assert answers[-1] == 200


def test_any_request_when_the_database_stops_answering_then_503_until_it_goes_on(
    database_url: str, world: World, connection: psycopg.Connection
) -> None:
    with http.serving(database_url, make_registry(), AGENTIC_POOL_TIMEOUT_SECONDS="0.3") as client:
        client.headers.update(world.user.headers)
        with connection.transaction():
            connection.execute("LOCK TABLE executions, agents")
            answers = [client.get(LIST), client.post(f"/api/agents/{world.one}/agentic-executions/", json={})]
        assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "2")] * 2
        assert client.get(LIST).status_code == 200


def test_access_log_when_requests_are_answered_then_one_line_each_without_secrets(
    client: Client, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get(f"{LIST}7/?secret=1", headers={"X-Request-ID": "abc-123"})
    client.get("/api/unknown/")
    lines = [vars(record) for record in caplog.records if record.name == "service.access_log"]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", f"{LIST}7/", 404),
        ("GET", "/api/unknown/", 404),
    ]
    assert lines[0]["request_id"] == "abc-123"
    assert (lines[0]["account_id"], lines[0]["execution_id"]) == (world.user.id, 7)
    assert world.user.token not in str(lines)
    assert "secret" not in str(lines)


def test_log_when_a_line_is_written_for_a_request_then_it_has_its_id(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(RequestIds())
    with http.serving(NOWHERE, make_registry(), AGENTIC_POOL_TIMEOUT_SECONDS="0.1") as client:
        client.get(LIST, headers={"Authorization": f"Token {new_token()}", "X-Request-ID": "abc-123"})
    (outage,) = [record for record in caplog.records if record.name == "service.database"]
    assert vars(outage)["request_id"] == "abc-123"


@pytest.mark.parametrize("path", ["/media/conversations/7/list.txt", "/api/docs/start.js"])
def test_access_log_when_a_path_has_a_name_in_it_then_one_line_with_it(
    client: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO)
    client.get(path)
    assert [vars(line)["path"] for line in caplog.records if line.name == "service.access_log"] == [path]


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, "ä"])
def test_request_id_when_the_given_one_is_not_well_formed_then_a_new_one(client: Client, given: str) -> None:
    answer = client.get(LIST, headers={b"X-Request-ID": given.encode()})
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["input.skus[1]"], {"skus.1": "m"}),
        (["input"], {"": "m"}),
        (["input[0].a"], {"0.a": "m"}),
        (["input.a.b[2][3].c"], {"a.b.2.3.c": "m"}),
        (["input.a", "input.a"], {"a": "m; m"}),
        (["execution_key", "inputs", "files"], {}),
    ],
)
def test_input_member_when_fields_are_wrong_then_dotted_and_zero_based(
    fields: list[str], expected: dict[str, str]
) -> None:
    assert dotted_input([FieldError(field, "m") for field in fields]) == expected
