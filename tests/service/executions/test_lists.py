"""Lists by a cursor and by every filter."""

from __future__ import annotations

from urllib.parse import urlencode

import psycopg
import pytest

from tests import http
from tests.http import Client
from tests.service.conftest import Shop, World
from tests.service.executions.test_read import LIST, add, ids


def follow(client: Client, url: str | None, link: str = "next") -> list[list[int]]:
    """The ids of each page from here on."""
    pages: list[list[int]] = []
    while url:
        page = client.get(url).json()
        pages.append([one["id"] for one in page["results"]])
        url = page[link]
    return pages


def test_cursor_when_followed_then_every_row_once_and_nothing_is_counted(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    expected = add(connection, world, 60)[::-1]
    add(connection, world, 5, account=world.stranger.id)
    assert follow(client, f"{LIST}?cursor=") == [expected[:25], expected[25:50], expected[50:]]
    assert list(client.get(f"{LIST}?cursor=").json()) == ["next", "previous", "results"]


def test_cursor_when_rows_come_meanwhile_then_pages_neither_shift_nor_repeat(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    expected = add(connection, world, 50)[::-1]
    first = client.get(f"{LIST}?cursor=").json()
    newer = add(connection, world, 30)[::-1]
    assert follow(client, first["next"]) == [expected[25:]]
    second = client.get(first["next"]).json()
    assert follow(client, second["previous"], "previous") == [expected[:25], newer[5:], newer[:5]]


def test_cursor_when_the_rows_of_a_page_are_gone_then_links_still_lead_both_ways(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    kept = add(connection, world, 10)[::-1]
    page = client.get(f"{LIST}?cursor=&page_size=5").json()
    connection.execute("DELETE FROM executions WHERE id <= %s", (kept[5],))
    empty = client.get(page["next"]).json()
    assert (empty["results"], empty["next"]) == ([], None)
    assert follow(client, empty["previous"], "previous") == [kept[:5]]


def test_cursor_when_filtered_then_links_keep_filters_and_size(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    expected = add(connection, world, 7)[::-1]
    add(connection, world, 7, agent=world.two)
    pages = follow(client, f"{LIST}?agent_id={world.one}&page_size=3&cursor=")
    assert pages == [expected[:3], expected[3:6], expected[6:]]


@pytest.mark.parametrize(
    "cursor", ["0", "abc", "LTE=x", "LTk5OTk5OTk5OTk5OTk5OTk5OTk5OQ", "KjE", "-1", "LcKy", "\u0663"]
)
def test_cursor_when_no_link_gave_it_then_404(shop: Shop, cursor: str) -> None:
    answer = shop.client.get(LIST, params={"cursor": cursor})
    assert (answer.status_code, answer.json()["detail"]) == (404, "Invalid cursor.")


@pytest.mark.parametrize(
    ("query", "field"),
    [("cursor=&page_size=0", "page_size"), ("cursor=&page_size=201", "page_size"), ("cursor=&page=2", "page")],
)
def test_cursor_when_size_or_page_is_wrong_then_400_names_it(shop: Shop, query: str, field: str) -> None:
    answer = shop.client.get(f"{LIST}?{query}")
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])


def test_list_when_filtered_by_what_was_added_then_only_what_fits(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    one, two, three = add(connection, world, 3)
    other = add(connection, world, account=world.stranger.id)[0]
    http.fail(connection, one, "validation_failed", "No.")
    connection.execute("UPDATE executions SET definition_key = 'first', external_id = 'a b' WHERE id = %s", (two,))
    connection.execute(
        """UPDATE executions SET metadata = '{"shop": "7", "x": "1"}' WHERE id IN (%s, %s)""", (three, other)
    )
    assert ids(client, "failure_code=validation_failed") == [one]
    assert ids(client, "execution_key=first") == ids(client, "external_id=a%20b") == [two]
    assert ids(client, "metadata[shop]=7") == ids(client, "metadata%5Bshop%5D=7&metadata[x]=1") == [three]
    assert ids(client, "metadata[shop]=8") == ids(client, "metadata[shop]=7&metadata[x]=2") == []
    assert ids(client, "external_id=a") == ids(client, "execution_key=%25") == []


def test_list_when_a_time_range_is_asked_for_then_from_is_in_it_and_before_is_not(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    early, late, later = add(connection, world, 3)
    for execution, day in ((early, 1), (late, 2), (later, 3)):
        connection.execute(
            "UPDATE executions SET started_at = %s WHERE id = %s", (f"2026-01-0{day}T00:00:00Z", execution)
        )
    query = {"started_from": "2026-01-02T01:00:00+01:00", "started_before": "2026-01-03T00:00:00Z"}
    assert ids(client, urlencode(query)) == [late]
    assert ids(client, "started_from=2026-01-03T01:00:00+01:00") == [later]


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("started_from=yesterday&started_before=2026-01-02T00:00:00", ["started_from", "started_before"]),
        ("started_from=2026-13-01T00:00:00Z", ["started_from"]),
        ("external_id=%00&failure_code=%00", ["failure_code", "external_id"]),
        ("metadata[]=1", ["metadata"]),
        ("metadata[a=1", ["metadata"]),
        ("metadata[a]=%00", ["metadata"]),
        ("metadata[a]=1&metadata[a]=2", ["metadata"]),
        ("&".join(f"metadata[{number}]=1" for number in range(11)), ["metadata"]),
    ],
)
def test_list_when_an_added_filter_is_wrong_then_400_names_the_parameter(
    shop: Shop, query: str, fields: list[str]
) -> None:
    answer = shop.client.get(f"{LIST}?{query}")
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, fields)
