"""Fixtures of the process tests: a shop in a database of the test's own, and workers that are gone afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import postgres
from tests.processes.workers import Worker, registered, until
from tests.tasks.seed import Shop, open_shop

Start = Callable[..., Worker]


@pytest.fixture
def shop(connection: psycopg.Connection[Any]) -> Shop:
    return open_shop(connection)


@pytest.fixture
def superuser_url(pg_server: str, database_url: str) -> str:
    """The test's database as the server's superuser."""
    return postgres.in_database(pg_server, urlsplit(database_url).path.removeprefix("/"))


@pytest.fixture
def calls_log(tmp_path: Path) -> Path:
    """Where the steps package notes its calls."""
    return tmp_path / "calls"


@pytest.fixture
def start(
    database_url: str, connection: psycopg.Connection[Any], tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Start]:
    """start(name, *flags, **environment): a worker that has registered. Logs of all are shown when the test fails."""
    started: list[Worker] = []

    def start_worker(
        name: str,
        *flags: str,
        wait: bool = True,
        url: str = database_url,
        role: str = postgres.APP,
        **environment: str,
    ) -> Worker:
        worker = Worker(url, tmp_path / f"{name}.log", *flags, role=role, **environment)
        started.append(worker)
        if wait:
            until(lambda: registered(connection, name) or not worker.is_running, what=f"{name} registers")
            assert worker.is_running, worker.log.read_text()
        return worker

    yield start_worker
    for worker in started:
        worker.kill()
        print(f"--- {worker.log.name}\n{worker.log.read_text()[-6000:]}")
