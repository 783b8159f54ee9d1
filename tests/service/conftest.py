"""A small world to ask the API about: a shop with its agents, the account that uses it, a stranger, an admin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
import pytest
from msgspec import Meta

from service.definitions.definition import Definition, Input
from service.definitions.registry import Registry
from tests import http, postgres
from tests.http import Account, Client


class Task(Input):
    """What to do."""

    text: str
    count: Annotated[int, Meta(ge=1, le=10)] = 1
    skus: list[str] | None = None


class OtherTask(Input):
    """Something else to do."""

    name: str | None = None


def make_registry() -> Registry:
    """Agents of type `one` offer one definition, of type `two` two of them, one of which takes no files.

    Account tokens see all of the runs of type `three`.
    """
    return Registry.of(
        _definition("summary", "one", Task),
        _definition("first", "two", Task),
        _definition("second", "two", OtherTask, accepts_files=False),
        _definition("open", "three", Task, transcript="all"),
    )


def _definition(key: str, agent_type: str, input_type: type[Any], **options: Any) -> Definition[Any, Any]:
    definition = Definition(
        key=key, name=key.title(), agent_type=agent_type, input=input_type, output=dict[str, Any], **options
    )
    definition.instructions(lambda given: "Do it.")
    return definition


@dataclass(frozen=True)
class World:
    """Ids and accounts of the rows that `world` makes."""

    data_set: int
    one: int
    two: int
    uploads: int
    foreign: int
    user: Account
    stranger: Account
    admin: Account


def make_world(connection: psycopg.Connection) -> World:
    data_set, other = http.create_data_set(connection), http.create_data_set(connection, "elsewhere")
    return World(
        data_set=data_set,
        one=http.create_agent(connection, data_set, agent_type="one"),
        two=http.create_agent(connection, data_set, agent_type="two", file_upload=True),
        uploads=http.create_agent(connection, data_set, agent_type="one", file_upload=True),
        foreign=http.create_agent(connection, other, agent_type="one"),
        user=http.create_account(connection, "user", data_sets=[data_set]),
        stranger=http.create_account(connection, "stranger", data_sets=[other]),
        admin=http.create_account(connection, "admin", is_admin=True),
    )


@pytest.fixture
def world(connection: psycopg.Connection) -> World:
    return make_world(connection)


@pytest.fixture
def anonymous(database_url: str) -> Iterator[Client]:
    """A client without credentials."""
    with http.serving_next(database_url, make_registry()) as client:
        yield client


@pytest.fixture
def client(anonymous: Client, world: World) -> Client:
    """A client with the user's token."""
    anonymous.headers.update(world.user.headers)
    return anonymous


@dataclass(frozen=True)
class Shop:
    """A client with the user's token, the world that it asks about, and the database behind."""

    client: Client
    world: World
    connection: psycopg.Connection


@pytest.fixture(scope="module")
def shop(template_database: postgres.Template) -> Iterator[Shop]:
    """One for all tests of a module: for requests that leave nothing behind, and for tests that do not mind."""
    with postgres.clone(template_database) as url, psycopg.connect(url, autocommit=True) as connection:
        world = make_world(connection)
        with http.serving(url, make_registry()) as client:
            client.headers.update(world.user.headers)
            yield Shop(client, world, connection)
