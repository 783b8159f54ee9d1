"""Who gets in: schemes, tokens, and what an answer gives away to who does not."""

from __future__ import annotations

import psycopg
import pytest

from service.accounts.tokens import new_token
from tests import http
from tests.http import Account, Client
from tests.service.conftest import World

PATH = "/api/agents/"


def status_with(client: Client, authorization: str) -> int:
    return client.get(PATH, headers={"Authorization": authorization}).status_code


def test_request_without_credentials_is_401_with_both_schemes(anonymous: Client) -> None:
    answer = anonymous.get(PATH)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Token, Bearer"
    assert answer.json()["detail"] == "Authentication credentials were not provided."
    assert answer.json()["status"] == 401


@pytest.mark.parametrize("scheme", ["Token", "Bearer", "token", "BEARER", "tOkEn"])
def test_request_with_a_token_in_either_scheme_in_any_case_is_let_in(
    anonymous: Client, world: World, scheme: str
) -> None:
    assert status_with(anonymous, f"{scheme} {world.user.token}") == 200


@pytest.mark.parametrize("scheme", ["Basic", "Digest", "JWT"])
def test_request_with_another_scheme_is_401(anonymous: Client, world: World, scheme: str) -> None:
    assert status_with(anonymous, f"{scheme} {world.user.token}") == 401


@pytest.mark.parametrize("authorization", ["", "Token", "Token ", "Token x", "Token a b", "Token \xff"])
def test_request_with_a_malformed_header_is_401(anonymous: Client, authorization: str) -> None:
    answer = anonymous.get(PATH, headers=[(b"authorization", authorization.encode("latin-1"))])

    assert answer.status_code == 401


def test_request_with_a_well_formed_token_that_was_never_given_is_401(anonymous: Client) -> None:
    answer = anonymous.get(PATH, headers={"Authorization": f"Token {new_token()}"})

    assert answer.status_code == 401
    assert answer.json()["detail"] == "Invalid token."


def test_request_of_a_disabled_account_is_401(anonymous: Client, world: World, connection: psycopg.Connection) -> None:
    connection.execute("UPDATE accounts SET is_active = false WHERE id = %s", (world.user.id,))

    assert status_with(anonymous, f"Token {world.user.token}") == 401


def test_request_of_a_deleted_account_is_401(anonymous: Client, world: World, connection: psycopg.Connection) -> None:
    connection.execute("UPDATE accounts SET deleted_at = now() WHERE id = %s", (world.user.id,))

    assert status_with(anonymous, f"Token {world.user.token}") == 401


def test_request_with_an_expired_token_is_401(anonymous: Client, world: World, connection: psycopg.Connection) -> None:
    connection.execute("UPDATE tokens SET expires_at = now() WHERE account_id = %s", (world.user.id,))

    assert status_with(anonymous, f"Token {world.user.token}") == 401


@pytest.mark.parametrize("path", ["/", "/nowhere", "/api/nowhere/", "/api/agents/x/", "/api/docs-not", "/healthz/x"])
def test_unknown_path_without_a_token_is_401_and_with_one_404(anonymous: Client, world: World, path: str) -> None:
    assert anonymous.get(path).status_code == 401
    assert anonymous.get(path, headers=world.user.headers).status_code == 404


def test_wrong_method_without_a_token_is_401_and_with_one_405(anonymous: Client, world: World) -> None:
    refused = anonymous.delete(PATH)
    known = anonymous.delete(PATH, headers=world.user.headers)

    assert refused.status_code == 401
    assert "allow" not in refused.headers
    assert known.status_code == 405
    assert {"GET", "POST"} <= set(known.headers["allow"].replace(" ", "").split(","))


def test_401_in_problem_form_when_accept_asks_for_it(anonymous: Client) -> None:
    answer = anonymous.get(PATH, headers={"Accept": "application/problem+json"})

    assert answer.headers["content-type"].startswith("application/problem+json")


def test_unreachable_database_is_503_with_retry_after() -> None:
    with http.serving("postgresql://nobody@127.0.0.1:1/none", AGENTIC_POOL_TIMEOUT_SECONDS="0.1") as client:
        answer = client.get(PATH, headers={"Authorization": f"Token {new_token()}"})

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"


def test_preflight_of_an_allowed_origin_needs_no_token(database_url: str, world: World) -> None:
    origin = {"Origin": "https://shop.example"}
    asked = {**origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    with http.serving(database_url, AGENTIC_CORS_ORIGINS="https://shop.example") as client:
        preflight = client.options(PATH, headers=asked)
        refused = client.get(PATH, headers=origin)
        foreign = client.get(PATH, headers={"Origin": "https://other.example"})

    assert preflight.status_code == 204
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in foreign.headers


def test_options_without_cors_is_401(anonymous: Client) -> None:
    assert anonymous.options(PATH, headers={"Origin": "https://shop.example"}).status_code == 401


def test_token_is_in_no_answer_and_no_log(anonymous: Client, world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", logger="service")

    answer = anonymous.get(PATH, headers=world.user.headers)
    refused = anonymous.get(PATH, headers={"Authorization": f"Token {world.user.token[:-1]}x"})

    assert world.user.token[:20] not in answer.text + refused.text + caplog.text


def test_account_is_not_recognised_by_what_is_stored(
    anonymous: Client, world: World, connection: psycopg.Connection
) -> None:
    account: Account = world.user
    row = connection.execute("SELECT digest FROM tokens WHERE account_id = %s", (account.id,)).fetchone()

    assert row is not None
    assert account.token.encode() not in row[0]
    assert status_with(anonymous, f"Token {row[0].hex()}") == 401
