"""Two requests at once about one data set: whoever comes second sees what the first did."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg

from service.agents import store as agents
from service.datasets import store
from tests import http, postgres
from tests.http import Client
from tests.service.conftest import World


def waiting(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    assert row is not None
    return int(row[0])


def while_held(
    database_url: str,
    connection: psycopg.Connection,
    hold: Callable[[psycopg.Connection], object],
    send: Callable[[], int],
) -> int:
    """The status of a request that is sent while another transaction holds its locks and is then committed."""
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(send()))
    with psycopg.connect(database_url) as other:
        hold(other)
        thread.start()
        while not waiting(connection) and thread.is_alive():
            thread.join(0.01)
        other.commit()
    thread.join(10)
    return statuses[0]


def test_agent_created_while_its_data_set_is_deleted_is_refused(
    anonymous: Client, world: World, database_url: str, connection: psycopg.Connection
) -> None:
    empty = http.create_data_set(connection, "empty")
    body = {"name": "late", "agent_type": "one", "data_set": empty}

    status = while_held(
        database_url,
        connection,
        lambda other: other.execute(store.DELETE.encode(), {"id": empty}),
        lambda: anonymous.post("/api/agents/", json=body, headers=world.admin.headers).status_code,
    )

    assert status == 400


def test_data_set_deleted_while_an_agent_is_created_is_refused(
    anonymous: Client, world: World, database_url: str, connection: psycopg.Connection
) -> None:
    empty = http.create_data_set(connection, "empty")
    agent = {
        "name": "first",
        "agent_type": "one",
        "data_set_id": empty,
        "file_upload": False,
        "model": None,
        "field_schema": None,
    }

    def create_agent(other: psycopg.Connection) -> None:
        other.execute(store.PRESENT.encode(), {"id": empty})
        other.execute(agents.INSERT.encode(), agent)

    status = while_held(
        database_url,
        connection,
        create_agent,
        lambda: anonymous.delete(f"/api/data-sets/{empty}/", headers=world.admin.headers).status_code,
    )

    assert status == 409


def test_same_product_written_twice_at_once_keeps_the_details_of_both(
    anonymous: Client, world: World, database_url: str, connection: psycopg.Connection
) -> None:
    path = f"/api/data-sets/{world.data_set}/products/"
    insert = "INSERT INTO products (data_set_id, sku, details) VALUES (%s, 'A', '{\"first\": 1}')"

    status = while_held(
        database_url,
        connection,
        lambda other: other.execute(insert, (world.data_set,)),
        lambda: (
            anonymous.post(path, json={"sku": "A", "details": {"second": 2}}, headers=world.admin.headers).status_code
        ),
    )

    details = connection.execute("SELECT details FROM products").fetchone()
    assert (status, details) == (200, ({"first": 1, "second": 2},))


def test_set_up_needs_no_more_than_the_app_role(database_url: str, world: World) -> None:
    with http.serving(postgres.as_role(database_url, postgres.APP)) as client:
        client.headers.update(world.admin.headers)
        data_set = client.post("/api/data-sets/", json={"name": "new"}).json()["id"]
        body = {"name": "new", "agent_type": "echo", "data_set": data_set}
        answers = [
            client.post(f"/api/data-sets/{data_set}/products/", json={"sku": "A"}),
            client.post("/api/agents/", json=body),
            client.post("/api/service-accounts/", json={"name": "new", "data_sets": [data_set]}),
            client.post(f"/api/service-accounts/{world.user.id}/reset-token/"),
            client.delete(f"/api/service-accounts/{world.user.id}/"),
        ]

    assert [answer.status_code for answer in answers] == [200, 201, 201, 200, 204]
