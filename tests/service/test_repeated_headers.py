"""Headers that come twice, over a real connection: what is one list is read as one, of the rest none is guessed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from tests import postgres
from tests.http import row_counts
from tests.service.conftest import World, make_world
from tests.service.events.conftest import Teller, live
from tests.service.events.test_pages import ACCOUNT
from tests.service.executions.test_read import LIST
from tests.service.executions.test_start import ASKED, starts


@pytest.fixture(scope="module")
def place(template_database: postgres.Template) -> Iterator[tuple[httpx.Client, World, Teller]]:
    with postgres.clone(template_database) as url, psycopg.connect(url, autocommit=True) as connection:
        world = make_world(connection)
        with live(url) as served, served.client(world.user.token) as client:
            yield client, world, Teller(connection, world)


def sent(client: httpx.Client, path: str, name: str, *values: str, body: Any = None) -> httpx.Response:
    """The answer to a request with so many headers of that name."""
    headers = [(name.encode(), value.encode()) for value in values]
    return client.request("GET" if body is None else "POST", path, headers=headers, json=body)


@pytest.mark.parametrize("second", ["import-31", "import-32"])
def test_idempotency_key_when_given_twice_then_400_names_it_and_nothing_is_written(
    place: tuple[httpx.Client, World, Teller], second: str
) -> None:
    client, world, teller = place
    batch = {"items": [ASKED]}
    asked = [
        (starts(world.one), ASKED),
        (f"{starts(world.one)}batch/", batch),
        (f"{LIST}{teller.accept()}/rerun/", {}),
    ]
    before = row_counts(teller.connection)
    for path, body in asked:
        answer = sent(client, path, "Idempotency-Key", "import-31", second, body=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")
    assert row_counts(teller.connection) == before


def test_last_event_id_when_given_twice_then_400_names_it(place: tuple[httpx.Client, World, Teller]) -> None:
    answer = sent(place[0], ACCOUNT, "Last-Event-ID", "0", "0")
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (400, ["Last-Event-ID"])


def test_authorization_when_given_twice_then_401_even_where_both_are_good(
    place: tuple[httpx.Client, World, Teller],
) -> None:
    client, world, _ = place
    answer = sent(client, LIST, "Authorization", *[f"Token {world.user.token}"] * 2)
    assert (answer.status_code, answer.json()["detail"]) == (401, "Send the header Authorization once.")


@pytest.mark.parametrize(
    ("headers", "applied"),
    [
        (["respond-async", "wait=2"], "wait=2"),
        (["wait=2, wait=1", "wait=3"], "wait=2"),
        (["wait=soon", "wait=1"], None),
        (['note="a, wait=9", wait=3'], "wait=3"),
        (['note="a\\", wait=9'], None),
    ],
)
def test_preferences_of_several_headers_are_one_list_whose_first_wait_counts(
    place: tuple[httpx.Client, World, Teller], headers: list[str], applied: str | None
) -> None:
    client, _, teller = place
    execution_id = teller.accept()
    teller.finish(execution_id)
    answer = sent(client, f"{LIST}{execution_id}/", "Prefer", *headers)
    assert answer.headers.get("preference-applied") == applied
