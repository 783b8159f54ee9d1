"""Which routes the client has calls for. A route that is new fails here until it has one, or is argued for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from agentic_client import Approval, AsyncClient, Client, File, NotFound
from service.app import create_app
from service.openapi import openapi_document
from service.settings import Settings
from tests.service.conftest import make_registry

APPROVAL = Approval(
    id=2,
    execution=1,
    turn=1,
    call=1,
    tool="order",
    arguments={},
    status="open",
    requested_at=datetime.now(UTC),
    expires_at=None,
    decided_at=None,
    decided_by=None,
    reason=None,
)

METHODS: dict[str, Callable[[Client], Any]] = {
    "definitions": lambda client: client.definitions(1),
    "start": lambda client: client.start(1, "echo"),
    "start_batch": lambda client: client.start_batch(1, []),
    "rerun": lambda client: client.rerun(1),
    "get": lambda client: client.get(1),
    "wait": lambda client: client.wait(1),
    "cancel": lambda client: client.cancel(1),
    "delete": lambda client: client.delete(1),
    "executions": lambda client: next(client.executions()),
    "stream": lambda client: next(client.stream(1)),
    "stream_all": lambda client: next(client.stream_all()),
    "conversation": lambda client: client.conversation(1),
    "download": lambda client: client.download(
        File(id=1, filename="a", file_url="/media/conversations/1/a", content_type="text/plain")
    ),
    "approvals": lambda client: next(client.approvals()),
    "approvals_of_execution": lambda client: next(client.approvals_of_execution(1)),
    "approve": lambda client: client.approve(APPROVAL),
    "decline": lambda client: client.decline(APPROVAL),
    "webhooks": lambda client: next(client.webhooks()),
    "create_webhook": lambda client: client.create_webhook("https://shop.example.com/hook"),
    "get_webhook": lambda client: client.get_webhook(1),
    "change_webhook": lambda client: client.change_webhook(1, body="full"),
    "delete_webhook": lambda client: client.delete_webhook(1),
    "rotate_secret": lambda client: client.rotate_secret(1),
    "ping_webhook": lambda client: client.ping_webhook(1),
    "deliveries": lambda client: next(client.deliveries(1)),
    "deliveries_of_execution": lambda client: next(client.deliveries_of_execution(1)),
    "redeliver": lambda client: client.redeliver(1, 2),
}
"""Every method that asks something, and how."""

SET_UP = re.compile(r"/api/(data-sets|limits|service-accounts)/.*|/api/agents/(\{agent_id\}/)?")
"""Routes by which an admin sets an installation up: once, with curl or with the commands."""
NOT_CALLED = {
    ("GET", "/api/supported-file-types/"): "a start with a file that is not supported says so, and names those",
    ("POST", "/api/conversations/{conversation_id}/"): "conversations of executions are read-only: it always refuses",
    ("HEAD", "/media/conversations/{conversation_id}/{filename}"): "download has it",
    **dict.fromkeys(
        (
            *(("GET", "/api/agents/{agent_id}/schedules/"), ("POST", "/api/agents/{agent_id}/schedules/")),
            *((method, "/api/schedules/{schedule_id}/") for method in ("GET", "PATCH", "DELETE")),
        ),
        "set up once, and changed by people",
    ),
    ("GET", "/healthz"): "for supervisors",
    ("GET", "/readyz"): "for load balancers",
}


def public(client: type[Any]) -> set[str]:
    return {name for name, _ in inspect.getmembers(client, inspect.isfunction) if not name.startswith("_")}


def test_both_clients_have_the_same_methods_and_each_is_called_here() -> None:
    assert public(Client) - {"close"} == public(AsyncClient) - {"aclose"} == set(METHODS)


def test_every_route_has_a_call_or_is_argued_for() -> None:
    registry = make_registry()
    document = openapi_document(create_app(Settings.read({"DATABASE_URL": "postgresql:///none"}), registry), registry)
    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    called = {_route(routes, *_asked(call)) for call in METHODS.values()}
    assert {route for route in routes - called if not SET_UP.fullmatch(route[1])} == set(NOT_CALLED)


def _asked(call: Callable[[Client], Any]) -> tuple[str, str]:
    """The method and path of the one request that a call makes."""
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(404, json={})

    with Client("http://api", "t", transport=httpx.MockTransport(answer)) as client, pytest.raises(NotFound):
        call(client)
    (request,) = asked
    return request.method, request.url.path


def _route(routes: set[tuple[str, str]], method: str, path: str) -> tuple[str, str]:
    """The route that it is; one without parameters before one with them."""
    found = [
        route for route in routes if route[0] == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route[1]), path)
    ]
    assert found, f"{method} {path} is no route"
    return min(found, key=lambda route: route[1].count("{"))
