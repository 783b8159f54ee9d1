"""Approvals over the API: who sees them, who decides, once, and what each answer is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from service.accounts.access import Principal
from service.approvals import actions
from service.approvals.store import IS_OPEN, page_query
from service.cursors import Cursor
from service.database import Database
from service.errors import Conflict
from service.queue import Notifier
from tests import http
from tests.http import Client
from tests.service.conftest import Shop, World
from tests.service.executions.test_cancel import cancel, claimed, kinds, start

OPEN = "/api/agentic-executions/approvals/"


@pytest.fixture
def client(shop: Shop) -> Client:
    return shop.client


@pytest.fixture
def world(shop: Shop) -> World:
    return shop.world


@pytest.fixture
def connection(shop: Shop) -> Iterator[psycopg.Connection]:
    """Of the module's database, in which each test leaves no execution."""
    yield shop.connection
    for table in ("executions", "conversations", "workers"):
        shop.connection.execute(f"DELETE FROM {table}".encode())


def paused(client: Client, world: World, connection: psycopg.Connection, **options: Any) -> int:
    """An execution that waits for its one approval, which has its id."""
    execution_id = start(client, world)
    claimed(connection)
    http.create_approval(connection, execution_id, **options)
    connection.execute("UPDATE execution_runtime SET phase = 'waiting', worker_id = NULL, epoch = epoch + 1")
    return execution_id


def decide(client: Client, execution_id: int, verb: str = "approve", *, of: int | None = None, **options: Any) -> Any:
    path = f"/api/agentic-executions/{execution_id}/approvals/{of or execution_id}/{verb}/"
    return client.post(path, **options)


def listed(client: Client, execution_id: int, **options: Any) -> Any:
    return client.get(f"/api/agentic-executions/{execution_id}/approvals/", **options).json()["results"]


def phase(connection: psycopg.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT phase FROM execution_runtime ORDER BY execution_id")]


def test_approve_then_the_run_is_ready_and_the_approval_says_who_when_and_why(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = paused(client, world, connection)
    answer = decide(client, execution_id, json={"reason": "agreed"})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["status"], shown["decided_by"], shown["reason"]) == ("approved", world.user.id, "agreed")
    assert shown["decided_at"] is not None
    assert phase(connection) == ["ready"]
    assert listed(client, execution_id) == [shown]
    assert client.get(OPEN).json()["results"] == []


def test_decide_when_decided_before_then_the_same_is_200_with_the_first_and_the_other_409(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = paused(client, world, connection)
    first = decide(client, execution_id, "decline", json={"reason": "no"})
    again = decide(client, execution_id, "decline", json={"reason": "other"}, headers=world.admin.headers)
    other = decide(client, execution_id, "approve")
    assert (first.status_code, again.status_code, again.json()) == (200, 200, first.json())
    assert (other.status_code, other.json()["detail"]) == (409, "This call was declined.")
    assert kinds(connection, execution_id).count("approval_decided") == 1


def test_decide_when_its_time_is_up_or_its_execution_has_ended_then_409_and_it_shows(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    late = paused(client, world, connection, seconds=-1)
    gone = paused(client, world, connection)
    cancel(client, gone)
    for execution_id, status in ((late, "expired"), (gone, "withdrawn")):
        assert decide(client, execution_id).status_code == 409
        assert [shown["status"] for shown in listed(client, execution_id)] == [status]
    assert listed(client, late)[0]["decided_at"] == listed(client, late)[0]["expires_at"]
    assert client.get(f"/api/agentic-executions/{gone}/").json()["awaits_approval"] is False
    assert client.get(OPEN).json()["results"] == []
    assert phase(connection) == ["waiting"]


def test_decide_while_a_worker_has_the_run_then_it_is_recorded_and_the_worker_keeps_it(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = start(client, world)
    claimed(connection)
    http.create_approval(connection, execution_id)
    assert client.get(f"/api/agentic-executions/{execution_id}/").json()["awaits_approval"] is True
    assert decide(client, execution_id).status_code == 200
    assert phase(connection) == ["running"]


def test_decide_when_another_is_open_then_the_run_waits_on(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = paused(client, world, connection)
    second = http.create_approval(connection, execution_id, call=2)
    assert (decide(client, execution_id).status_code, phase(connection)) == (200, ["waiting"])
    assert (decide(client, execution_id, of=second).status_code, phase(connection)) == (200, ["ready"])


def test_decide_when_the_run_waits_for_its_provider_then_a_repeat_does_not_wake_it(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = paused(client, world, connection)
    decide(client, execution_id)
    connection.execute("UPDATE execution_runtime SET phase = 'waiting', resume_at = now() + interval '1 hour'")
    assert (decide(client, execution_id).status_code, phase(connection)) == (200, ["waiting"])


def test_decide_when_foreign_then_404_and_it_stays_open(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    mine, other = paused(client, world, connection), paused(client, world, connection)
    neighbour = http.create_account(connection, "neighbour", data_sets=[world.data_set])
    for headers in (world.stranger.headers, neighbour.headers):
        assert decide(client, mine, headers=headers, json={"reason": 1}).status_code == 404
        assert client.get(f"/api/agentic-executions/{mine}/approvals/", headers=headers).status_code == 404
        assert client.get(OPEN, headers=headers).json()["results"] == []
    assert decide(client, mine, of=other).status_code == 404
    assert phase(connection) == ["waiting", "waiting"]
    assert decide(client, mine, headers=world.admin.headers).json()["decided_by"] == world.admin.id
    assert listed(client, mine)[0]["decided_by"] is None  # ids of other accounts are the admins' to know


def test_decide_when_the_data_set_was_taken_away_then_403_and_the_arguments_are_hidden(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = paused(client, world, connection)
    assert listed(client, execution_id)[0]["arguments"] == {"sku": "A"}
    taken = connection.execute("DELETE FROM account_data_sets WHERE account_id = %s RETURNING *", (world.user.id,))
    assert decide(client, execution_id).status_code == 403
    assert (listed(client, execution_id)[0]["status"], listed(client, execution_id)[0]["arguments"]) == ("open", None)
    (shown,) = listed(client, execution_id, headers=world.admin.headers)
    assert shown["arguments"] == {"sku": "A"}
    connection.execute("INSERT INTO account_data_sets VALUES (%s, %s)", taken.fetchone())


def test_decide_when_the_body_is_wrong_then_400_and_it_stays_open(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = paused(client, world, connection)
    wrong: list[object] = [{"reason": "x" * 2001}, {"reason": 1}, {"because": "x"}, {"reason": "a\x00b"}, []]
    for body in wrong:
        assert decide(client, execution_id, json=body).status_code == 400, body
    assert listed(client, execution_id)[0]["status"] == "open"


def test_lists_show_the_accounts_own_in_pages_and_an_admin_all(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = paused(client, world, connection)
    second = http.create_approval(connection, execution_id, call=2)
    page = client.get(f"{OPEN}?page_size=1").json()
    assert [each["id"] for each in page["results"]] == [second]
    assert [each["id"] for each in client.get(page["next"]).json()["results"]] == [execution_id]
    assert client.get(OPEN, headers=world.admin.headers).json()["results"] == []
    everybody = client.get(f"{OPEN}?account=all", headers=world.admin.headers).json()["results"]
    assert [each["id"] for each in everybody] == [second, execution_id]
    assert len(client.get(f"{OPEN}?account=all").json()["results"]) == 2
    assert client.get(f"{OPEN}?account=all", headers=world.stranger.headers).json()["results"] == []


def test_decide_when_many_do_at_once_then_one_decision_counts_and_is_told_once(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    execution_id = paused(client, world, connection)

    async def race() -> list[object]:
        settings = replace(client.app.state.settings, pool_size=8)
        database = Database(settings, application_name="test")
        await database.open()
        notifier = Notifier(database)
        try:
            principals = [Principal(world.user.id, False), Principal(world.admin.id, True)]
            asked = [(who, how) for who in principals for how in ("approved", "declined")] * 2
            return await asyncio.gather(
                *(
                    actions.decide(database, notifier, who, execution_id, execution_id, how, how)  # type: ignore[arg-type]
                    for who, how in asked
                ),
                return_exceptions=True,
            )
        finally:
            await notifier.close()
            await database.close()

    answers = asyncio.run(race())
    won = [each for each in answers if isinstance(each, dict)]
    assert len(won) == sum(isinstance(each, Conflict) for each in answers) == 4
    assert len({(each["status"], each["reason"], each["decided_at"]) for each in won}) == 1
    assert kinds(connection, execution_id).count("approval_decided") == 1
    assert phase(connection) == ["ready"]


def test_list_of_what_is_open_reads_its_index(connection: psycopg.Connection) -> None:
    connection.execute("SET enable_seqscan = off")
    bounds = {"of": 1, "limit": 25, "is_admin": False, "account_id": 1}
    query = page_query(f"a.account_id = %(of)s AND {IS_OPEN}", Cursor())
    rows = connection.execute(f"EXPLAIN {query}".encode(), bounds).fetchall()
    assert "approvals_open_idx" in "\n".join(row[0] for row in rows)
