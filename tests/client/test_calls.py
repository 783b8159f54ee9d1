"""Every call of both clients, against the real API."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import agentic_client
from agentic_client import Upload
from tests import http
from tests.client.conftest import Connect, Place

TASK = {"text": "a"}


def test_definitions_are_what_the_agent_offers(client: Any, place: Place) -> None:
    (offered,) = client.definitions(place.world.one)
    assert (offered.key, offered.accepts_files, offered.limits["corrections"]) == ("summary", True, 3)
    assert offered.input_schema["required"] == ["text"]


def test_start_carries_every_option_and_get_shows_them(client: Any, place: Place) -> None:
    deadline = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    started = client.start(
        place.world.one,
        "summary",
        TASK,
        external_id=f"import-{place.count()}",
        metadata={"shop": "7"},
        limits={"corrections": 1},
        deadline=deadline,
        priority=3,
    )
    assert (started.status, started.is_final, started.deadline, started.priority) == ("pending", False, deadline, 3)
    assert (started.metadata, started.limits["corrections"]) == ({"shop": "7"}, 1)
    assert client.get(started.id) == started
    assert started.raw["external_id"] == started.external_id


def test_start_when_a_time_has_no_zone_then_value_error(client: Any, place: Place) -> None:
    with pytest.raises(ValueError, match="deadline"):
        client.start(place.world.one, "summary", TASK, deadline=datetime(2030, 1, 1))


def test_files_that_are_sent_with_a_start_can_be_downloaded(client: Any, place: Place, tmp_path: Path) -> None:
    sheet = tmp_path / "päge & 1.txt"
    sheet.write_text("One.\n")
    files = [sheet, Upload("b.txt", b"Two.\n")]
    started = client.start(place.world.uploads, "summary", TASK, files=files, metadata={"a": "b"}, priority=-1)
    assert (started.metadata, started.priority) == ({"a": "b"}, -1)
    assert [client.download(file) for file in started.files] == [b"One.\n", b"Two.\n"]
    assert client.conversation(started).history[1].file_name == started.files[0].filename


def test_download_when_the_url_leads_to_another_server_then_the_token_stays_here(client: Any) -> None:
    for url in ("https://example.com/a.txt", "//example.com/a.txt"):
        with pytest.raises(agentic_client.UnexpectedAnswer):
            client.download(agentic_client.File(id=1, filename="a.txt", file_url=url, content_type="text/plain"))


def test_batch_reports_each_item(client: Any, place: Place) -> None:
    items = [{"execution_key": "summary", "input": TASK}, {"execution_key": "nothing", "input": TASK}]
    batch = client.start_batch(place.world.one, items)
    assert (batch.accepted, batch.refused) == (1, 1)
    good, bad = batch.results
    assert (good.execution.execution_key, bad.status) == ("summary", 400)
    with pytest.raises(agentic_client.InvalidInput) as refused:
        client.start_batch(place.world.one, items, atomic=True)
    assert [error.field for error in refused.value.errors] == ["items[1].execution_key"]


def test_executions_are_listed_over_pages_each_once(client: Any, place: Place) -> None:
    name = f"list-{place.count()}"
    items = [{"execution_key": "summary", "input": TASK, "metadata": {"list": name}} for _ in range(7)]
    started = [each.execution.id for each in client.start_batch(place.world.one, items).results]
    found = client.executions(page_size=3, metadata={"list": name}, status="pending", agent_id=place.world.one)
    assert [each.id for each in found] == started[::-1]
    assert list(client.executions(metadata={"list": name}, status="failed")) == []


def test_wait_gives_the_execution_when_it_has_ended(client: Any, place: Place) -> None:
    execution_id = place.teller.accept()
    threading.Timer(0.2, place.teller.finish, [execution_id]).start()
    ended = client.wait(execution_id, timeout_seconds=20)
    assert (ended.status, ended.result) == ("finished", {"a": 1})


def test_wait_when_time_is_up_then_raises_with_the_execution_as_it_is(client: Any, place: Place) -> None:
    for seconds in (0, 1.2):
        with pytest.raises(agentic_client.WaitTimedOut) as late:
            client.wait(place.teller.accept(), timeout_seconds=seconds)
        assert isinstance(late.value, TimeoutError)
        assert late.value.execution.status == "pending"


def test_wait_when_the_execution_failed_then_raises_only_where_asked(client: Any, place: Place) -> None:
    execution_id = place.teller.accept()
    http.fail(place.connection, execution_id, "no_product_data", "No data.")
    assert client.wait(execution_id).failure_code == "no_product_data"
    with pytest.raises(agentic_client.ExecutionFailed) as failed:
        client.wait(execution_id, raise_on_failure=True)
    error = failed.value
    assert (error.code, error.explanation, error.retryable) == ("no_product_data", "No data.", False)


def test_cancel_then_rerun_then_delete(client: Any, place: Place) -> None:
    started = client.start(place.world.one, "summary", TASK)
    with pytest.raises(agentic_client.Conflict):
        client.delete(started)
    assert client.cancel(started).failure_code == "cancelled"
    again = client.rerun(started, input={"text": "b"}, priority=1)
    assert (again.rerun_of, again.input["text"], again.priority) == (started.id, "b", 1)
    client.delete(started)
    for gone in (client.get, client.delete, client.wait):
        with pytest.raises(agentic_client.NotFound):
            gone(started)


def test_approvals_are_listed_and_decided(client: Any, place: Place) -> None:
    started = client.start(place.world.one, "summary", TASK)
    first = http.create_approval(place.connection, started.id)
    second = http.create_approval(place.connection, started.id, call=2)
    assert client.get(started).awaits_approval
    assert [each.id for each in client.approvals_of_execution(started)] == [second, first]
    declined, approved = client.approvals_of_execution(started)
    assert (approved.arguments, approved.tool, approved.is_open) == ({"sku": "A"}, "order", True)
    assert client.approve(approved).status == "approved"
    assert client.decline(declined, reason="too dear").reason == "too dear"
    assert client.approve(approved).decided_by == place.world.user.id
    with pytest.raises(agentic_client.Conflict):
        client.approve(declined)
    assert not [each for each in client.approvals() if each.execution == started.id]
    assert not client.get(started).awaits_approval


def test_refusals_are_told_apart(connect: Connect, client: Any, place: Place) -> None:
    with pytest.raises(agentic_client.InvalidInput) as wrong:
        client.start(place.world.one, "summary", {"text": 1, "count": 99})
    assert {error.field for error in wrong.value.errors} == {"input.text", "input.count"}
    assert (wrong.value.status, wrong.value.code, wrong.value.attempts) == (400, "invalid_input", 1)
    with pytest.raises(agentic_client.Unauthorized):
        connect(place.served.url, "agt_nothing").get(1)
    client.start(place.world.one, "summary", TASK, idempotency_key=f"key-{place.count()}")
    key = f"key-{place.count()}"
    client.start(place.world.one, "summary", TASK, idempotency_key=key)
    with pytest.raises(agentic_client.KeyReused):
        client.start(place.world.one, "summary", {"text": "other"}, idempotency_key=key)


def test_start_when_called_again_with_its_key_then_the_same_execution(client: Any, place: Place) -> None:
    key = f"import-{place.count()}"
    first, second = (client.start(place.world.one, "summary", TASK, idempotency_key=key) for _ in range(2))
    assert first == second
