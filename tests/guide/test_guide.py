"""Every request of the API guide, answered as it says: the guide's fields in the guide's order, then ours.

Times and durations are compared by type where the guide's own do not agree: its 16.554571 seconds are not the
difference of its two times.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
import pytest

from service.definitions.registry import Registry
from tasks.definitions.catalog_enrichment.definition import enrichment
from tests import http
from tests.guide import examples
from tests.http import Client

STARTS = "/api/agents/7/agentic-executions/"
EXECUTION = "/api/agentic-executions/42/"
PDF = b"%PDF-1.7\n%%EOF\n"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
Body = dict[str, Any]


@dataclass(frozen=True)
class Guide:
    """The reader's client, and the database behind it."""

    client: Client
    connection: psycopg.Connection

    def start(self) -> Body:
        """Start the guide's execution with its file; its input is what the guide's later answers show."""
        form = {"execution_key": "catalog-enrichment", "input": json.dumps({"skus": ["SKU-001", "SKU-002"]})}
        answer = self.client.post(STARTS, data=form, files={"files[]": ("product_data.pdf", PDF)})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def backdate(self, status: str, *, result: object = None, code: str | None = None, seconds: int | None) -> None:
        """Give the execution the guide's id and times, and what a worker would have written."""
        self.connection.execute(
            "UPDATE executions SET celery_task_id = %(task)s, started_at = %(at)s::timestamptz, status = %(status)s,"
            " finished_at = %(at)s::timestamptz + make_interval(secs => %(seconds)s), result = %(result)s,"
            " failure_code = %(code)s, failure_explanation = %(explanation)s",
            {
                "task": examples.TASK_ID,
                "at": examples.STARTED_AT,
                "status": status,
                "seconds": seconds,
                "result": None if result is None else json.dumps(result),
                "code": code,
                "explanation": examples.FAILED["failure_explanation"] if code else None,
            },
        )


@pytest.fixture
def guide(database_url: str, connection: psycopg.Connection) -> Iterator[Guide]:
    """Agent 7, and identities such that the first execution is 42 in conversation 198 with file 4."""
    for table, first in (("agents", 7), ("executions", 42), ("conversations", 198), ("files", 4)):
        connection.execute(f"ALTER TABLE {table} ALTER COLUMN id RESTART WITH {first}".encode())
    data_set = http.create_data_set(connection)
    http.create_agent(connection, data_set, agent_type="catalog-enrichment", file_upload=True)
    account = http.create_account(connection, "reader", data_sets=[data_set])
    with http.serving(database_url, Registry.of(enrichment)) as client:
        client.headers.update(account.headers)
        yield Guide(client, connection)


def assert_equals_example(body: Body, example: Body, *, by_type: tuple[str, ...] = ()) -> None:
    """Equal members, in the same order, before any of ours; `by_type` names those that only look alike."""
    assert list(body)[: len(example)] == list(example)
    for name, value in example.items():
        if name not in by_type:
            assert body[name] == value, name
        elif name.endswith("_at"):
            assert TIME.fullmatch(body[name]), body[name]
        else:
            assert type(body[name]) is type(value), body[name]


def test_definitions_when_listed_then_as_printed(guide: Guide) -> None:
    answer = guide.client.get("/api/agents/7/agentic-execution-definitions/")
    assert answer.status_code == 200
    assert [dict(list(one.items())[:4]) for one in answer.json()] == examples.DEFINITIONS
    assert list(answer.json()[0])[:4] == list(examples.DEFINITIONS[0])


def test_definitions_when_none_are_registered_then_empty_list(guide: Guide) -> None:
    guide.connection.execute("UPDATE agents SET agent_type = 'other'")
    answer = guide.client.get("/api/agents/7/agentic-execution-definitions/")
    assert (answer.status_code, answer.json()) == (200, [])


def test_definitions_when_no_such_agent_then_404(guide: Guide) -> None:
    assert guide.client.get("/api/agents/8/agentic-execution-definitions/").status_code == 404


def test_start_when_json_then_202_as_printed(guide: Guide) -> None:
    answer = guide.client.post(STARTS, json=examples.START)
    assert answer.status_code == 202
    example = {**examples.STARTED, "files": []}
    assert_equals_example(answer.json(), example, by_type=("celery_task_id", "started_at"))
    UUID(answer.json()["celery_task_id"])


def test_start_when_json_then_input_keeps_the_schemas_order(guide: Guide) -> None:
    given = dict(reversed(examples.START["input"].items()))
    answer = guide.client.post(STARTS, json={**examples.START, "input": given})
    assert list(answer.json()["input"]) == list(examples.STARTED["input"])


def test_start_when_multipart_as_printed_then_202_with_its_file(guide: Guide) -> None:
    answer = guide.client.post(
        STARTS, data={"input": examples.MULTIPART_INPUT}, files={"files[]": ("product_data.pdf", PDF)}
    )
    assert answer.status_code == 202, answer.text
    example = {**examples.STARTED, "input": {**json.loads(examples.MULTIPART_INPUT), "skus": None}}
    assert_equals_example(answer.json(), example, by_type=("celery_task_id", "started_at"))


def test_start_when_key_is_unknown_then_400(guide: Guide) -> None:
    answer = guide.client.post(STARTS, json={**examples.START, "execution_key": "unknown"})
    assert answer.status_code == 400


def test_start_when_input_fails_the_schema_then_400(guide: Guide) -> None:
    answer = guide.client.post(STARTS, json={**examples.START, "input": {"skus": "SKU-001"}})
    assert answer.status_code == 400


def test_start_when_no_such_agent_then_404(guide: Guide) -> None:
    assert guide.client.post("/api/agents/8/agentic-executions/", json=examples.START).status_code == 404


def test_start_when_upload_is_disabled_then_files_are_400(guide: Guide) -> None:
    guide.connection.execute("UPDATE agents SET file_upload = false")
    answer = guide.client.post(
        STARTS, data={"input": examples.MULTIPART_INPUT}, files={"files[]": ("product_data.pdf", PDF)}
    )
    assert answer.status_code == 400


def test_start_when_file_type_is_unsupported_then_400(guide: Guide) -> None:
    answer = guide.client.post(STARTS, data={"input": examples.MULTIPART_INPUT}, files={"files[]": ("tool.exe", b"MZ")})
    assert answer.status_code == 400


def test_get_when_in_progress_then_as_printed(guide: Guide) -> None:
    guide.start()
    guide.backdate("in_progress", seconds=None)
    answer = guide.client.get(EXECUTION)
    assert_equals_example(answer.json(), examples.IN_PROGRESS)
    assert list(answer.json()["input"]) == list(examples.IN_PROGRESS["input"])


def test_get_when_finished_then_as_printed(guide: Guide) -> None:
    guide.start()
    guide.backdate("finished", result=examples.FINISHED["result"], seconds=16)
    answer = guide.client.get(EXECUTION)
    assert_equals_example(answer.json(), examples.FINISHED, by_type=("duration_seconds",))


def test_get_when_failed_then_as_printed(guide: Guide) -> None:
    guide.start()
    guide.backdate("failed", code="validation_failed", seconds=18)
    answer = guide.client.get(EXECUTION)
    assert_equals_example(answer.json(), examples.FAILED, by_type=("duration_seconds",))


def test_list_when_asked_then_25_a_page_newest_first_without_files(guide: Guide) -> None:
    started = [guide.start()["id"] for _ in range(26)]
    page = guide.client.get("/api/agentic-executions/").json()
    assert [one["id"] for one in page["results"]] == started[::-1][:25]
    example = {name: value for name, value in examples.STARTED.items() if name != "files"}
    assert all(list(one)[: len(example)] == list(example) and "files" not in one for one in page["results"])


@pytest.mark.parametrize("query", ["agent_id=7", "status=pending", "dataset_id=1"])
def test_list_when_filtered_then_finds_it(guide: Guide, query: str) -> None:
    guide.start()
    assert guide.client.get(f"/api/agentic-executions/?{query}").json()["count"] == 1


@pytest.mark.parametrize("status", ["pending", "in_progress", "finished", "failed"])
def test_list_when_filtered_by_any_status_of_the_guide_then_200(guide: Guide, status: str) -> None:
    assert guide.client.get(f"/api/agentic-executions/?status={status}").status_code == 200


def test_failure_codes_when_listed_then_the_guides_mean_what_it_says(guide: Guide) -> None:
    codes = guide.client.get("/api/agents/7/agentic-execution-definitions/").json()[0]["failure_codes"]
    assert dict(list(codes.items())[:4]) == examples.FAILURE_CODES


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/agents/7/agentic-execution-definitions/"),
        ("POST", STARTS),
        ("GET", EXECUTION),
        ("GET", "/api/agentic-executions/"),
    ],
)
def test_any_request_when_without_a_token_then_401(guide: Guide, method: str, path: str) -> None:
    del guide.client.headers["Authorization"]
    assert guide.client.request(method, path).status_code == 401
