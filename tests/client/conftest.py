"""Both clients before the real API on a socket, in one form: the one for asyncio is run to the end of each call."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest

from agentic_client import AsyncClient, Client, Retrying
from tests import postgres
from tests.service.conftest import World, make_world
from tests.service.events.conftest import Live, Teller, live
from tests.tasks.hooks import KEY

PATIENT = Retrying(attempts=5, first_seconds=0.01, longest_seconds=5.0)
"""Quick, so that tests need not wait, but as often as it takes."""


class Awaiting:
    """An AsyncClient whose calls block, so that one test shows both clients."""

    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self._client, self._runner = client, runner

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            returned = getattr(self._client, name)(*arguments, **more)
            if inspect.iscoroutine(returned):
                return self._runner.run(returned)
            return self._stepped(returned)

        return call

    def _stepped(self, items: Any) -> Iterator[Any]:
        try:
            while True:
                try:
                    yield self._runner.run(anext(items))
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(items.aclose())


Connect = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Makes a client of a URL and a token: a Client, or an AsyncClient that looks like one."""
    with asyncio.Runner() as runner:
        close: list[Callable[[], Any]] = []

        def make(url: str, token: str, *, retrying: Retrying = PATIENT, **more: Any) -> Any:
            if request.param == "sync":
                client = Client(url, token, retrying=retrying, transport=httpx.HTTPTransport(), **more)
                close.append(client.close)
                return client
            other = AsyncClient(url, token, retrying=retrying, transport=httpx.AsyncHTTPTransport(), **more)
            close.append(lambda: runner.run(other.aclose()))
            return Awaiting(other, runner)

        yield make
        for each in close:
            each()


def until(holds: Callable[[], bool], *, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, holds
        time.sleep(0.01)


@dataclass(frozen=True)
class Place:
    """A served database: where it is, who may ask, and a hand that writes what a worker would."""

    served: Live
    world: World
    teller: Teller
    database_url: str

    @property
    def connection(self) -> psycopg.Connection[Any]:
        return self.teller.connection

    def count(self) -> int:
        row = self.connection.execute("SELECT count(*) FROM executions").fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module")
def place(template_database: postgres.Template) -> Iterator[Place]:
    """One for all tests of a module; each leaves its executions behind."""
    with postgres.clone(template_database) as url, psycopg.connect(url, autocommit=True) as connection:
        world = make_world(connection)
        with live(url, AGENTIC_SECRET_KEY=KEY) as served:
            until(lambda: served.server.started)
            yield Place(served, world, Teller(connection, world), url)


@pytest.fixture
def client(connect: Connect, place: Place) -> Any:
    return connect(place.served.url, place.world.user.token)
