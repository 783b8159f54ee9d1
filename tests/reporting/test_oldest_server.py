"""The views on PostgreSQL 15, the oldest version that is supported."""

from __future__ import annotations

import psycopg

from tests import postgres
from tests.reporting import seed
from tests.reporting.test_documentation import DOCUMENT, QUESTION


def test_views_and_questions_answer_on_postgresql_15(pg15_database_url: str) -> None:
    with psycopg.connect(pg15_database_url, autocommit=True) as owner:
        place = seed.home(owner, "north")
        seed.waiting_row(owner, place, seed.execution(owner, place), ready=60)
    reader_url = postgres.as_role(pg15_database_url, postgres.REPORTING)
    with psycopg.connect(reader_url, autocommit=True) as reader:
        assert reader.info.server_version // 10000 == 15
        for _, question in QUESTION.findall(DOCUMENT):
            reader.execute(question.encode())
        assert reader.execute("SELECT reason FROM reporting.stuck").fetchall() == [("no_worker",)]
        assert reader.execute("SELECT status FROM reporting.executions").fetchall() == [("pending",)]
