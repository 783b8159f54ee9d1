"""Every route of the application: which are open, and that no id of somebody else's is told from an absent one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from litestar.routes import HTTPRoute

from service.accounts.tokens import new_token
from service.app import create_app
from service.settings import Settings
from tests import http
from tests.http import Client
from tests.service.conftest import World, make_registry

OPEN = {
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/api/schema.json"),
    ("GET", "/api/docs"),
    ("GET", "/api/docs/{name}"),
    ("GET", "/api/docs/errors/{code}"),
}
"""What answers without a token: health, the document and its page. Anything new must be argued for."""

ABSENT = 999_999_999


def routes() -> list[tuple[str, str]]:
    """Method and path, as declared, of every route."""
    app = create_app(Settings.read({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}), make_registry())
    return sorted(
        (str(method), route.path_format)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}
    )


ROUTES = routes()
CLOSED = [route for route in ROUTES if route not in OPEN]
WITH_IDS = [route for route in CLOSED if "_id}" in route[1]]


def filled(path: str, number: object = 1) -> str:
    """The path with every parameter filled in."""
    return re.sub(r"\{\w+\}", str(number), path)


def test_open_routes_are_there() -> None:
    assert set(ROUTES) >= OPEN
    assert len(CLOSED) > 20


@pytest.mark.parametrize(("method", "path"), CLOSED)
def test_closed_route_without_a_token_is_401_with_and_without_its_slash(silent: Client, method: str, path: str) -> None:
    for url in (filled(path), filled(path) + "/"):
        answer = silent.request(method, url)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Token, Bearer"


@pytest.mark.parametrize(("method", "path"), sorted(OPEN))
def test_open_route_asks_for_no_token(silent: Client, method: str, path: str) -> None:
    url = path.replace("{name}", "start.js").replace("{code}", "not_found")

    assert silent.request(method, url).status_code in (200, 503)


@pytest.mark.parametrize("path", ["/api/schema.json", "/api/docs/", "/api/docs/swagger-ui.css", "/api/docs"])
def test_closed_docs_are_401_without_a_token_and_open_with_one(database_url: str, world: World, path: str) -> None:
    with http.serving(database_url, make_registry(), AGENTIC_OPEN_DOCS="false") as client:
        assert client.get(path).status_code == 401
        assert client.get(path, headers=world.user.headers).status_code == 200
        assert client.get("/healthz").status_code == 200


@pytest.fixture(scope="module")
def silent() -> Iterator[Client]:
    """A client without credentials, of an application without a database: what is refused needs none."""
    unreachable = "postgresql://nobody@127.0.0.1:1/none"
    with http.serving(unreachable, make_registry(), AGENTIC_POOL_TIMEOUT_SECONDS="0.05") as client:
        yield client


@dataclass(frozen=True)
class Ids:
    """One row of each kind that is there and belongs to somebody else."""

    agent_id: int
    execution_id: int
    conversation_id: int
    data_set_id: int
    account_id: int
    webhook_id: int
    delivery_id: int
    schedule_id: int
    approval_id: int


@pytest.fixture
def foreign(client: Client, world: World, connection: psycopg.Connection) -> Ids:
    """With a file that is named as the conversation's id, and a delivery of the webhook's, which `filled` asks for."""
    body = {"execution_key": "summary", "input": {"text": "mine"}}
    started = client.post(
        f"/api/agents/{world.foreign}/agentic-executions/", json=body, headers=world.stranger.headers
    ).json()
    connection.execute(
        "WITH blob AS (INSERT INTO blobs (size_bytes, sha256) VALUES (0, '') RETURNING id)"
        " INSERT INTO files (conversation_id, account_id, blob_id, filename, content_type)"
        " SELECT c.id, c.account_id, blob.id, c.id::text, 'text/plain' FROM conversations c, blob WHERE c.id = %s",
        (started["conversation"],),
    )
    body |= {"cron": "0 6 * * *"}
    scheduled = client.post(f"/api/agents/{world.foreign}/schedules/", json=body, headers=world.stranger.headers)
    webhook_id = http.create_webhook(connection, world.stranger.id)
    data_set = client.get("/api/data-sets/", headers=world.stranger.headers).json()["results"][0]["id"]
    return Ids(
        agent_id=world.foreign,
        execution_id=started["id"],
        conversation_id=started["conversation"],
        data_set_id=data_set,
        account_id=world.stranger.id,
        webhook_id=webhook_id,
        delivery_id=webhook_id,
        schedule_id=scheduled.json()["id"],
        approval_id=http.create_approval(connection, started["id"]),
    )


BODIES = [None, {}, {"name": "x"}, {"execution_key": "summary", "input": {"text": "x"}}, {"sku": "A"}]


def test_every_kind_of_id_in_a_path_has_a_foreign_row() -> None:
    names = {name for _, path in WITH_IDS for name in re.findall(r"\{(\w+_id)\}", path)}

    assert names == set(Ids.__dataclass_fields__)


def test_foreign_id_answers_as_an_absent_one_on_every_route(
    client: Client, foreign: Ids, connection: psycopg.Connection
) -> None:
    before = http.row_counts(connection)

    for method, path in WITH_IDS:
        name = re.findall(r"\{(\w+_id)\}", path)[0]
        for body in BODIES if method in ("POST", "PATCH") else [None]:
            theirs = client.request(method, filled(path, getattr(foreign, name)), json=body)
            absent = client.request(method, filled(path, ABSENT), json=body)
            assert (theirs.status_code, theirs.content) == (absent.status_code, absent.content), (method, path, body)
            assert theirs.status_code == 404, (method, path, body)
    assert http.row_counts(connection) == before


def test_foreign_row_is_there_for_its_owner(client: Client, foreign: Ids, world: World) -> None:
    headers = world.stranger.headers

    assert client.get(f"/api/agentic-executions/{foreign.execution_id}/", headers=headers).status_code == 200
    assert client.get(f"/api/conversations/{foreign.conversation_id}/", headers=headers).status_code == 200
    assert client.get(f"/api/agents/{foreign.agent_id}/", headers=headers).status_code == 200
    assert client.get(f"/api/data-sets/{foreign.data_set_id}/products/", headers=headers).status_code == 200
    assert client.get(f"/api/webhooks/{foreign.webhook_id}/", headers=headers).status_code == 200
    assert client.get(f"/api/schedules/{foreign.schedule_id}/", headers=headers).status_code == 200


def test_admin_reads_every_row_by_id(client: Client, foreign: Ids, world: World) -> None:
    for method, path in WITH_IDS:
        if method == "GET":
            name = re.findall(r"\{(\w+_id)\}", path)[0]
            answer = client.get(filled(path, getattr(foreign, name)), headers=world.admin.headers)
            assert answer.status_code == 200, path


def test_no_list_shows_a_foreign_row(client: Client, foreign: Ids, world: World) -> None:
    executions = client.get("/api/agentic-executions/").json()
    agents = [item["id"] for item in client.get("/api/agents/").json()["results"]]
    data_sets = [item["id"] for item in client.get("/api/data-sets/").json()["results"]]

    assert executions["count"] == 0
    assert client.get("/api/webhooks/").json()["count"] == 0
    assert foreign.agent_id not in agents
    assert foreign.data_set_id not in data_sets


def test_wrong_token_is_401_on_every_closed_route(anonymous: Client) -> None:
    headers = {"Authorization": f"Token {new_token()}"}

    for method, path in CLOSED:
        assert anonymous.request(method, filled(path), headers=headers).status_code == 401, path
