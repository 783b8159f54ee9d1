"""Starting an execution."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from service.definitions.definition import Definition
from service.definitions.registry import Registry
from service.queue import CHANNEL
from tests import http
from tests.http import Client
from tests.service.conftest import Task, World

ASKED = {"execution_key": "summary", "input": {"text": "a"}}
NORMALISED = {"text": "a", "count": 1, "skus": None}
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00\x00\x00IEND\xaeB`\x82"
)


def starts(agent_id: int) -> str:
    return f"/api/agents/{agent_id}/agentic-executions/"


def test_start_when_valid_then_202_and_it_can_be_read(client: Client, world: World) -> None:
    started = client.post(starts(world.one), json=ASKED)
    assert started.status_code == 202, started.text
    assert started.json()["input"] == NORMALISED
    read = client.get(f"/api/agentic-executions/{started.json()['id']}/")
    assert read.json() == started.json()


def test_start_when_accepted_then_location_leads_to_it(client: Client, world: World) -> None:
    started = client.post(starts(world.one), json=ASKED)
    assert client.get(started.headers["location"]).json()["id"] == started.json()["id"]


def test_start_when_accepted_then_all_rows_of_a_run_are_there(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    before = http.row_counts(connection)
    started = client.post(starts(world.one), json=ASKED).json()
    after = http.row_counts(connection)
    added = {table: after[table] - before[table] for table in after if after[table] != before[table]}
    assert added == {
        "conversations": 1,
        "executions": 1,
        "execution_runtime": 1,
        "events": 1,
        "procrastinate_jobs": 1,
        "procrastinate_events": 1,
    }
    lane = connection.execute(
        "SELECT account_id, agent_id, definition, phase, next_event FROM execution_runtime WHERE execution_id = %s",
        (started["id"],),
    ).fetchone()
    assert lane == (world.user.id, world.one, "summary@1", "ready", 2)
    event = connection.execute("SELECT execution_id, seq, account_id, kind FROM events").fetchone()
    assert event == (started["id"], 1, world.user.id, "accepted")


def test_start_when_accepted_then_workers_are_notified(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    connection.execute(f'LISTEN "{CHANNEL}"'.encode())
    client.post(starts(world.one), json=ASKED)
    heard = next(connection.notifies(timeout=10))
    assert json.loads(heard.payload)["type"] == "job_inserted"


@pytest.mark.parametrize("path", ["/api/agents/{}/agentic-executions", "/api/agents/{}/agentic-executions/"])
def test_start_when_the_slash_is_left_out_then_no_redirect(client: Client, world: World, path: str) -> None:
    assert client.post(path.format(world.one), json=ASKED, follow_redirects=False).status_code == 202


def test_start_when_input_is_a_json_encoded_string_then_taken_as_the_object(client: Client, world: World) -> None:
    started = client.post(starts(world.one), json={**ASKED, "input": json.dumps(ASKED["input"])})
    assert (started.status_code, started.json()["input"]) == (202, NORMALISED)


def test_start_when_input_is_left_out_then_an_empty_object(client: Client, world: World) -> None:
    started = client.post(starts(world.two), json={"execution_key": "second"})
    assert (started.status_code, started.json()["input"]) == (202, {"name": None})


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_start_when_the_media_type_is_spelt_otherwise_then_taken(client: Client, world: World, media_type: str) -> None:
    started = client.post(starts(world.one), content=json.dumps(ASKED), headers={"Content-Type": media_type})
    assert started.status_code == 202


def test_start_when_accept_is_html_then_json(client: Client, world: World) -> None:
    started = client.post(starts(world.one), json=ASKED, headers={"Accept": "text/html"})
    assert (started.status_code, started.headers["content-type"]) == (202, "application/json")


def test_start_when_numbers_are_large_then_kept_to_the_digit(client: Client, world: World) -> None:
    text = "\U0001f600 " + "9" * 30
    started = client.post(starts(world.one), json={**ASKED, "input": {"text": text}})
    read = client.get(started.headers["location"])
    assert read.json()["input"]["text"] == text


def test_start_when_admin_then_any_agent(client: Client, world: World) -> None:
    started = client.post(starts(world.foreign), json=ASKED, headers=world.admin.headers)
    assert started.status_code == 202


@pytest.mark.parametrize("field", ["files", "files[]"])
def test_start_when_files_come_then_listed_in_order_with_clean_names(client: Client, world: World, field: str) -> None:
    sent = [("../b.txt", b"text"), ("a.png", PNG), ("b.txt", b"more")]
    form: Any = {"data": {"input": '{"text": "a"}'}, "files": [(field, (name, data)) for name, data in sent]}
    started = client.post(starts(world.uploads), **form)
    assert started.status_code == 202, started.text
    files = started.json()["files"]
    assert [file["filename"] for file in files] == ["b.txt", "a.png", "b-2.txt"]
    assert [file["content_type"] for file in files] == ["text/plain", "image/png", "text/plain"]
    assert client.get(started.headers["location"]).json()["files"] == files


def test_start_when_files_come_then_their_urls_serve_the_bytes(client: Client, world: World) -> None:
    form: Any = {"data": {"input": '{"text": "a"}'}, "files": [("files[]", ("ä b#.txt", b"text"))]}
    started = client.post(starts(world.uploads), **form).json()
    served = client.get(started["files"][0]["file_url"])
    assert (served.status_code, served.content) == (200, b"text")


def test_start_when_form_has_no_files_then_taken_by_an_agent_without_uploads(client: Client, world: World) -> None:
    form: Any = {"files": {"input": (None, '{"text": "a"}'), "execution_key": (None, "summary")}}
    assert client.post(starts(world.one), **form).status_code == 202


@pytest.fixture
def versions() -> Registry:
    def version(number: int) -> Definition[Task, dict[str, Any]]:
        made = Definition(
            key="summary", name="Summary", agent_type="one", input=Task, output=dict[str, Any], version=number
        )
        made.instructions(lambda given: "Do it.")
        return made

    return Registry.of(version(1), version(2), version(3))


@pytest.fixture
def versioned(database_url: str, world: World, versions: Registry) -> Iterator[Client]:
    """The user of an API that has three versions of one key."""
    with http.serving(database_url, versions) as client:
        client.headers.update(world.user.headers)
        yield client


@pytest.mark.parametrize(
    ("offers", "lease", "expected"),
    [
        (["summary@1", "summary@2"], "1 minute", 2),
        (["summary@1", "summary@2"], "-1 minute", 3),
        (["other@1"], "1 minute", 3),
    ],
)
def test_start_when_there_are_versions_then_the_highest_that_a_live_worker_has(
    versioned: Client, world: World, connection: psycopg.Connection, offers: list[str], lease: str, expected: int
) -> None:
    connection.execute(
        "INSERT INTO workers (name, host, pid, offers, concurrency, lease_until)"
        " VALUES ('w', 'h', 1, %s, 1, now() + %s::interval)",
        (offers, lease),
    )
    assert versioned.post(starts(world.one), json=ASKED).json()["version"] == expected
    listed = versioned.get(f"/api/agents/{world.one}/agentic-execution-definitions/").json()
    assert [(one["key"], one["version"]) for one in listed] == [("summary", expected)]


FREE = {"corrections": 3, "tool_calls": 20, "input_tokens": None, "output_tokens": None, "cost": None}
USUAL = {**FREE, "turn_seconds": None, "seconds": 3600.0}


def test_start_without_limits_has_those_of_the_definition(client: Client, world: World) -> None:
    (offered,) = client.get(f"/api/agents/{world.one}/agentic-execution-definitions/").json()
    assert offered["limits"] == USUAL
    assert client.post(starts(world.one), json=ASKED).json()["limits"] == USUAL


@pytest.mark.parametrize(
    "limits",
    [
        {"corrections": 0, "tool_calls": 0},
        {"input_tokens": 5000, "output_tokens": 100, "cost": 0.25, "turn_seconds": 1, "seconds": 9.5},
        USUAL,
    ],
)
def test_start_with_lower_limits_has_them_in_both_forms(client: Client, world: World, limits: dict[str, Any]) -> None:
    as_json = client.post(starts(world.one), json={**ASKED, "limits": limits})
    form = {"execution_key": "summary", "input": '{"text": "a"}', "limits": json.dumps(limits)}
    files = {"files[]": ("a.txt", b"text", "text/plain")}
    as_form = client.post(starts(world.uploads), data=form, files=files)
    for started in (as_json, as_form):
        assert started.status_code == 202, started.text
        assert started.json()["limits"] == USUAL | limits
        assert client.get(started.headers["location"]).json()["limits"] == USUAL | limits


def test_start_shows_what_was_added_to_an_execution_after_the_guides_fields(client: Client, world: World) -> None:
    started = client.post(starts(world.one), json=ASKED).json()
    added = ["files", "version", "data_set", "picked_up_at", "cycles", "retryable", "usage", "limits", "exit_reason"]
    added += ["external_id", "metadata", "deadline", "start_after", "priority", "cancel_requested_at", "rerun_of"]
    added += ["webhook_url", "schedule", "schedule_slot", "awaits_approval"]
    assert list(started)[-len(added) :] == added
    assert (started["usage"], started["exit_reason"]) == (None, None)
