"""Reading executions: one, and the pages of a list."""

from __future__ import annotations

import psycopg
import pytest

from tests import http
from tests.http import Client
from tests.service.conftest import Shop, World

LIST = "/api/agentic-executions/"
MISSING = (404, "Not found.")


def add(
    connection: psycopg.Connection,
    world: World,
    count: int = 1,
    *,
    account: int | None = None,
    agent: int | None = None,
) -> list[int]:
    """Pending executions, oldest first."""
    rows = connection.execute(
        "WITH conversation AS (INSERT INTO conversations (account_id, agent_id)"
        "  SELECT %(account)s, %(agent)s FROM generate_series(1, %(count)s) RETURNING id)"
        " INSERT INTO executions (account_id, agent_id, data_set_id, conversation_id, celery_task_id,"
        "  definition_key, definition_version, input)"
        " SELECT %(account)s, %(agent)s, (SELECT data_set_id FROM agents WHERE id = %(agent)s), id,"
        "  gen_random_uuid(), 'summary', 1, '{}' FROM conversation RETURNING id",
        {"account": account or world.user.id, "agent": agent or world.one, "count": count},
    ).fetchall()
    return sorted(row[0] for row in rows)


def ids(client: Client, query: str = "") -> list[int]:
    return [one["id"] for one in client.get(f"{LIST}?{query}").json()["results"]]


def test_get_when_numbers_exceed_64_bits_then_digits_are_kept(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    (execution,) = add(connection, world)
    connection.execute("""UPDATE executions SET input = '{"n": 123456789012345678901234567890.5}'""")
    assert '"n": 123456789012345678901234567890.5' in client.get(f"{LIST}{execution}/").text


def test_get_when_foreign_then_404_as_if_absent(client: Client, world: World, connection: psycopg.Connection) -> None:
    (foreign,) = add(connection, world, account=world.stranger.id)
    answers = [client.get(f"{LIST}{execution}/") for execution in (foreign, 999999)]
    assert [(answer.status_code, answer.json()["detail"]) for answer in answers] == [MISSING, MISSING]
    assert answers[0].json() == answers[1].json()


def test_get_when_admin_then_any(client: Client, world: World, connection: psycopg.Connection) -> None:
    (execution,) = add(connection, world)
    assert client.get(f"{LIST}{execution}/", headers=world.admin.headers).status_code == 200


@pytest.mark.parametrize("text", ["0", "-1", "abc", "9223372036854775807", "9223372036854775808", "9" * 40, "1.0"])
def test_get_when_the_id_is_none_then_404(shop: Shop, text: str) -> None:
    answer = shop.client.get(f"{LIST}{text}/")
    assert (answer.status_code, answer.json()["detail"]) == MISSING


def test_get_when_failed_then_retryable_is_told(client: Client, world: World, connection: psycopg.Connection) -> None:
    (execution,) = add(connection, world)
    http.fail(connection, execution, "validation_failed", "No.")
    assert client.get(f"{LIST}{execution}/").json()["retryable"] is False


@pytest.mark.parametrize("microseconds", [0, 1, 999999])
def test_get_when_finished_then_times_have_six_digits_and_duration_is_their_difference(
    client: Client, world: World, connection: psycopg.Connection, microseconds: int
) -> None:
    (execution,) = add(connection, world)
    connection.execute("UPDATE executions SET started_at = date_trunc('second', started_at)")
    http.finish(connection, execution, {}, seconds=16 + microseconds / 1_000_000)
    body = client.get(f"{LIST}{execution}/").json()
    assert body["started_at"].endswith(".000000Z")
    assert body["finished_at"].endswith(f".{microseconds:06}Z")
    assert body["duration_seconds"] == 16 + microseconds / 1_000_000


def test_list_when_empty_then_one_page_without_links(client: Client) -> None:
    assert client.get(LIST).json() == {"count": 0, "next": None, "previous": None, "results": []}


def test_list_when_several_pages_then_links_lead_through_all(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    expected = add(connection, world, 60)[::-1]
    found: list[int] = []
    url: str | None = f"{LIST}?status=pending"
    while url:
        page = client.get(url).json()
        assert page["count"] == 60
        found += [one["id"] for one in page["results"]]
        url = page["next"]
    assert found == expected


def test_list_when_in_the_middle_then_links_are_absolute_and_keep_other_keys(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    add(connection, world, 60)
    page = client.get(f"{LIST}?status=pending&page=2&x=1&x=2").json()
    root = f"http://testserver.local{LIST}"
    assert page["next"] == f"{root}?status=pending&x=1&x=2&page=3"
    assert page["previous"] == f"{root}?status=pending&x=1&x=2"


@pytest.mark.parametrize(("count", "size"), [(25, 25), (50, 25), (51, 1)])
def test_list_when_the_last_page_is_asked_for_then_it_has_no_next(
    client: Client, world: World, connection: psycopg.Connection, count: int, size: int
) -> None:
    add(connection, world, count)
    page = client.get(f"{LIST}?page=last").json()
    assert (page["count"], page["next"], len(page["results"])) == (count, None, size)


@pytest.mark.parametrize("page", ["0", "-1", "abc", "2", "1.5", "9" * 30, "٣", "last "])
def test_list_when_there_is_no_such_page_then_404(shop: Shop, page: str) -> None:
    answer = shop.client.get(LIST, params={"page": page})
    assert (answer.status_code, answer.json()["detail"]) == (404, "Invalid page.")


@pytest.mark.parametrize("query", ["page=", "status=&agent_id=&dataset_id=", "unknown=1", "account=all", "page_size=1"])
def test_list_when_keys_are_empty_or_unknown_then_ignored(
    client: Client, world: World, connection: psycopg.Connection, query: str
) -> None:
    add(connection, world, account=world.stranger.id)
    mine = add(connection, world, 2)
    assert ids(client, query) == mine[::-1]


def test_list_when_filtered_then_only_what_fits(client: Client, world: World, connection: psycopg.Connection) -> None:
    of_one = add(connection, world)
    of_two = add(connection, world, agent=world.two)
    elsewhere = add(connection, world, agent=world.foreign)
    http.finish(connection, of_two[0], {})
    assert ids(client, f"agent_id={world.one}") == of_one
    assert ids(client, f"dataset_id={world.data_set}") == of_two + of_one
    assert ids(client, "status=pending") == elsewhere + of_one
    assert ids(client, f"status=finished&agent_id={world.two}&dataset_id={world.data_set}") == of_two
    assert ids(client, "status=failed") == []


@pytest.mark.parametrize("query", ["agent_id=999999", "dataset_id=999999", "agent_id=9223372036854775807"])
def test_list_when_filtered_by_what_is_not_there_then_nothing(
    client: Client, world: World, connection: psycopg.Connection, query: str
) -> None:
    add(connection, world)
    assert client.get(f"{LIST}?{query}").json()["count"] == 0


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("status=done", ["status"]),
        ("status=PENDING", ["status"]),
        ("agent_id=abc", ["agent_id"]),
        ("agent_id=-1", ["agent_id"]),
        ("agent_id=9223372036854775808", ["agent_id"]),
        ("dataset_id=1.0", ["dataset_id"]),
        ("dataset_id=%00", ["dataset_id"]),
        ("status=done&agent_id=x&dataset_id=y", ["agent_id", "dataset_id", "status"]),
    ],
)
def test_list_when_a_filter_is_wrong_then_400_naming_it(shop: Shop, query: str, fields: list[str]) -> None:
    answer = shop.client.get(f"{LIST}?{query}")
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == fields


def test_list_when_admin_then_his_own_unless_all_are_asked_for(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    of_user = add(connection, world)
    of_admin = add(connection, world, account=world.admin.id)
    client.headers.update(world.admin.headers)
    assert ids(client) == of_admin
    assert ids(client, "account=all") == of_admin + of_user
