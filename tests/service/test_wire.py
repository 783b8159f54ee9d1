"""Links: which host they name, and whose word counts."""

from __future__ import annotations

import psycopg
import pytest

from tests import http
from tests.service.conftest import World, make_registry
from tests.service.executions.test_read import LIST, add

FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example, api.example"}


def link(database_url: str, world: World, headers: dict[str, str], **environment: str) -> str:
    """The root of a link in a list of two pages."""
    with http.serving(database_url, make_registry(), **environment) as client:
        answer = client.get(LIST, headers={**world.user.headers, **headers})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["next"].removesuffix(f"{LIST}?page=2"))


@pytest.fixture(autouse=True)
def two_pages(connection: psycopg.Connection, world: World) -> None:
    add(connection, world, 26)


def test_link_when_nothing_is_set_then_from_the_host_header(database_url: str, world: World) -> None:
    assert link(database_url, world, {"Host": "shop.example:8080"}) == "http://shop.example:8080"


def test_link_when_public_url_is_set_then_it_alone_counts(database_url: str, world: World) -> None:
    found = link(database_url, world, {"Host": "evil.example", **FORWARDED}, PUBLIC_URL="https://api.example/")
    assert found == "https://api.example"


def test_link_when_forwarded_by_a_stranger_then_ignored(database_url: str, world: World) -> None:
    assert link(database_url, world, {"Host": "shop.example", **FORWARDED}) == "http://shop.example"


def test_link_when_forwarded_by_a_trusted_proxy_then_its_own_word_counts(database_url: str, world: World) -> None:
    found = link(database_url, world, {"Host": "inner", **FORWARDED}, AGENTIC_TRUSTED_PROXIES="testclient")
    assert found == "https://api.example"


@pytest.mark.parametrize("host", ["a b", "a/b", "a?b", "<script>", "a@b"])
def test_link_when_the_host_cannot_be_one_then_400(database_url: str, world: World, host: str) -> None:
    with http.serving(database_url, make_registry()) as client:
        answer = client.get(LIST, headers={**world.user.headers, "Host": host})
    assert answer.status_code == 400
