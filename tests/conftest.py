"""Fixtures that every test may use. Each xdist worker is a session, so each has a server of its own."""

import gc
import os
from collections.abc import Iterator

import psycopg
import pytest

from tests import postgres

# Files of the longest waits begin the run, so that none of them ends it alone; then all others that hold a slow test.
LONGEST = ("test_outage.py", "test_enrichment_by_item.py", "test_up.py", "test_embedded_crashes.py", "test_frozen.py")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Imports and items stay to the end: searching them for garbage is more than a third of collecting."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first. Within a file the order stays: its tests share what the module starts."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    rank = {path: LONGEST.index(path.name) if path.name in LONGEST else len(LONGEST) for path in slow}
    items.sort(key=lambda item: rank.get(item.path, len(LONGEST) + 1))


@pytest.fixture(scope="session")
def pg_server() -> Iterator[str]:
    """The superuser's URL of the server that tests share; TEST_DATABASE_URL names one to use instead of our own."""
    if given := os.environ.get("TEST_DATABASE_URL"):
        postgres.create_roles(given)
        with postgres.administered(given):
            yield given
        return
    with postgres.throwaway_cluster() as url:
        yield url


@pytest.fixture(scope="session")
def pg15_server() -> Iterator[str]:
    """The same on PostgreSQL 15, the oldest version that is supported."""
    binaries = postgres.pg15_binaries()
    if binaries is None:
        missing = f"no PostgreSQL 15 server in {postgres.PG15_DEFAULT_BIN}; name its bin directory in PG15_BIN"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run this on PostgreSQL 15: {missing}")
        pytest.skip(missing)
    with postgres.throwaway_cluster(binaries=binaries) as url:
        yield url


@pytest.fixture(scope="session")
def template_database(pg_server: str) -> Iterator[postgres.Template]:
    with postgres.migrated_template(pg_server) as template:
        yield template


@pytest.fixture(scope="session")
def pg15_template_database(pg15_server: str) -> Iterator[postgres.Template]:
    with postgres.migrated_template(pg15_server) as template:
        yield template


@pytest.fixture
def database_url(template_database: postgres.Template) -> Iterator[str]:
    """A migrated database of this test's own, as its owner's URL. `postgres.as_role` makes it another role's."""
    with postgres.clone(template_database) as url:
        yield url


@pytest.fixture
def pg15_database_url(pg15_template_database: postgres.Template) -> Iterator[str]:
    with postgres.clone(pg15_template_database) as url:
        yield url


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """Autocommit, into `database_url`."""
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened
