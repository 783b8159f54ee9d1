"""A database of its own for each reporting test, and the reader's connection to it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.rows import DictRow, dict_row

from tests import postgres


@pytest.fixture
def reader(database_url: str) -> Iterator[psycopg.Connection[DictRow]]:
    """Autocommit, as the reporting role."""
    url = postgres.as_role(database_url, postgres.REPORTING)
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as opened:
        yield opened
