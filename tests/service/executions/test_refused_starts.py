"""What a start may get wrong: each a clear error of one shape, and nothing written.

So all of them share one database and one application.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests import postgres
from tests.http import Client, create_agent, row_counts, serving
from tests.service.conftest import Shop, World, make_registry, make_world

KEYED = {"execution_key": "summary"}
OF_JSON = {"Content-Type": "application/json"}
TEXT = ("files[]", ("a.txt", b"text"))


def _json(**fields: Any) -> dict[str, Any]:
    return {"json": {**KEYED, **fields}}


def _raw(body: bytes, content_type: str | None = "application/json") -> dict[str, Any]:
    return {"content": body, "headers": {"Content-Type": content_type} if content_type else {}}


def _form(files: list[Any], **fields: str) -> dict[str, Any]:
    return {"data": {**KEYED, "input": '{"text": "a"}', **fields}, "files": files}


BODIES: dict[str, tuple[int, dict[str, Any]]] = {
    "nothing": (400, {}),
    "empty": (400, _raw(b"")),
    "cut off": (400, _raw(b'{"execution_key": ')),
    "array": (400, _raw(b"[]")),
    "string": (400, _raw(b'"summary"')),
    "null": (400, _raw(b"null")),
    "not UTF-8": (400, _raw(b'{"execution_key": "\xff"}')),
    "NaN": (400, _raw(b'{"execution_key": "summary", "input": {"text": "a", "count": NaN}}')),
    "1e400": (400, _raw(b'{"execution_key": "summary", "input": {"text": "a", "count": 1e400}}')),
    "huge integer": (400, _raw(b'{"execution_key": "summary", "input": {"count": ' + b"1" * 5000 + b"}}")),
    "lone surrogate": (400, _raw(b'{"execution_key": "summary", "input": {"text": "\\ud800"}}')),
    "lone surrogate as limits": (400, _raw(b'{"execution_key": "summary", "limits": "\\ud800"}')),
    "lone surrogate as metadata": (400, _raw(b'{"execution_key": "summary", "metadata": "{\\udfff"}')),
    "NUL in the input": (400, _raw(b'{"execution_key": "summary", "input": {"text": "\\u0000"}}')),
    "NUL in a name": (400, _raw(b'{"execution_key": "summary", "input": {"text": "a", "\\u0000": 1}}')),
    "NUL in the key": (400, _raw(b'{"execution_key": "\\u0000"}')),
    "NUL in a field": (400, _raw(b'{"execution_key": "summary", "\\u0000": 1}')),
    "nested": (400, _raw(b'{"execution_key": "summary", "input": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001)),
    "no key": (400, {"json": {"input": {"text": "a"}}}),
    "key null": (400, {"json": {"execution_key": None}}),
    "key number": (400, {"json": {"execution_key": 7}}),
    "key unknown": (400, {"json": {"execution_key": "unknown"}}),
    "key of another agent type": (400, {"json": {"execution_key": "second"}}),
    "unknown field": (400, _json(input={"text": "a"}, prioritty=1)),
    "input missing": (400, {"json": KEYED}),
    "input null": (400, _json(input=None)),
    "input list": (400, _json(input=[])),
    "input number": (400, _json(input=1)),
    "input boolean": (400, _json(input=True)),
    "input not JSON": (400, _json(input="text")),
    "input JSON of a list": (400, _json(input="[]")),
    "input of a wrong type": (400, _json(input={"text": 1})),
    "input out of range": (400, _json(input={"text": "a", "count": 11})),
    "input with an unknown field": (400, _json(input={"text": "a", "other": 1})),
    "limits null": (400, _json(input={"text": "a"}, limits=None)),
    "limits list": (400, _json(input={"text": "a"}, limits=[])),
    "limits with an unknown name": (400, _json(input={"text": "a"}, limits={"money": 1})),
    "limits raised": (400, _json(input={"text": "a"}, limits={"corrections": 4})),
    "limits negative": (400, _json(input={"text": "a"}, limits={"tool_calls": -1})),
    "limits zero": (400, _json(input={"text": "a"}, limits={"cost": 0})),
    "limits of a wrong type": (400, _json(input={"text": "a"}, limits={"input_tokens": 1.5})),
    "limits boolean": (400, _json(input={"text": "a"}, limits={"seconds": True})),
    "limits lifted": (400, _json(input={"text": "a"}, limits={"seconds": None})),
    "limits huge": (400, _json(input={"text": "a"}, limits={"output_tokens": 10**30})),
    "limits with NUL": (400, _json(input={"text": "a"}, limits={"a\0": 1})),
    "form: limits not JSON": (400, _form([TEXT], limits="few")),
    "form: limits raised": (400, _form([TEXT], limits='{"tool_calls": 21}')),
    "other media type": (415, _raw(b"a,b", "text/csv")),
    "urlencoded": (415, _raw(b"execution_key=summary", "application/x-www-form-urlencoded")),
    "no media type": (415, _raw(b"{}", None)),
    "other JSON": (415, _raw(b"{}", "application/merge-patch+json")),
    "too large": (413, _raw(b'{"execution_key": "' + b"a" * 1_048_576 + b'"}')),
    "form: no boundary": (400, _raw(b"", "multipart/form-data")),
    "form: malformed": (400, _raw(b"--x\r\nfoo", "multipart/form-data; boundary=x")),
    "form: input not JSON": (400, _form([TEXT], input="text")),
    "form: input empty": (400, _form([TEXT], input="")),
    "form: unknown field": (400, _form([TEXT], inptu="{}")),
    "form: repeated field": (400, {"files": [("input", (None, "{}")), ("input", (None, "{}"))]}),
    "form: unsupported type": (400, _form([("files[]", ("a.exe", b"MZ"))])),
    "form: lying file": (400, _form([("files[]", ("a.pdf", b"text"))])),
    "form: empty file": (400, _form([("files[]", ("a.txt", b""))])),
    "form: too many files": (413, _form([TEXT] * 11)),
    "form: file in another field": (400, _form([("attachment", ("a.txt", b"text"))])),
    "form: one good and one bad": (400, _form([TEXT, ("files", ("b.png", b"text"))])),
}


@pytest.fixture
def connection(shop: Shop) -> psycopg.Connection:
    return shop.connection


@pytest.fixture
def world(shop: Shop) -> World:
    return shop.world


@pytest.fixture
def client(shop: Shop) -> Client:
    return shop.client


@pytest.mark.parametrize("name", BODIES)
def test_start_when_the_body_is_wrong_then_refused_and_nothing_written(
    client: Client, world: World, connection: psycopg.Connection, name: str
) -> None:
    status, request = BODIES[name]
    before = row_counts(connection)
    answer = client.post(f"/api/agents/{world.uploads}/agentic-executions/", **request)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json())[:4] == ["type", "title", "status", "detail"]
    assert answer.json()["status"] == status
    assert answer.json()["detail"]
    assert row_counts(connection) == before


def test_start_when_a_file_is_too_large_then_413_and_nothing_written(template_database: postgres.Template) -> None:
    with postgres.clone(template_database) as url, psycopg.connect(url, autocommit=True) as connection:
        world = make_world(connection)
        before = row_counts(connection)
        with serving(url, make_registry(), AGENTIC_MAX_FILE_BYTES="3") as client:
            path = f"/api/agents/{world.uploads}/agentic-executions/"
            answer = client.post(path, headers=world.user.headers, **_form([TEXT]))
        assert answer.status_code == 413, answer.text
        assert row_counts(connection) == before


def test_start_when_the_agent_takes_no_files_then_400_naming_them(client: Client, world: World) -> None:
    answer = client.post(f"/api/agents/{world.one}/agentic-executions/", **_form([TEXT]))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "files")


def test_start_when_the_definition_takes_no_files_then_400_naming_them(client: Client, world: World) -> None:
    request = _form([TEXT], execution_key="second", input="{}")
    answer = client.post(f"/api/agents/{world.two}/agentic-executions/", **request)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "files")


def test_start_when_form_names_no_key_and_two_are_offered_then_400_naming_the_choices(
    client: Client, world: World
) -> None:
    path = f"/api/agents/{world.two}/agentic-executions/"
    error = client.post(path, data={"input": "{}"}, files=[TEXT]).json()["errors"][0]
    assert error["field"] == "execution_key"
    assert "'first', 'second'" in error["message"]


def test_start_when_input_is_wrong_in_several_places_then_all_are_named_in_both_forms(
    client: Client, world: World
) -> None:
    wrong = {"text": 1, "count": 99, "skus": ["a", 2], "other": 1}
    document = client.post(f"/api/agents/{world.one}/agentic-executions/", **_json(input=wrong)).json()
    assert {error["field"] for error in document["errors"]} == {
        "input.text",
        "input.count",
        "input.skus[1]",
        "input.other",
    }
    assert set(document["input"]) == {"text", "count", "skus.1", "other"}
    assert all(isinstance(message, str) and message for message in document["input"].values())


@pytest.mark.parametrize("value", [b"1e400", b"-1e400", b"1" * 5000, b'"\\ud800"'])
def test_start_when_json_holds_what_nothing_can_keep_then_it_is_named_with_all_else(
    client: Client, world: World, value: bytes
) -> None:
    body = b'{"execution_key": "summary", "input": {"text": ' + value + b', "skus": [7], "other": ' + value + b"}}"
    document = client.post(f"/api/agents/{world.one}/agentic-executions/", **_raw(body)).json()
    assert {"input.text", "input.skus[0]", "input.other"} == {error["field"] for error in document["errors"]}


@pytest.mark.parametrize("value", [b"NaN", b"1e400, Infinity", b"1e400,,", b'"\\ud800', b"'"])
def test_start_when_the_body_is_no_json_then_nothing_else_is_made_of_it(
    client: Client, world: World, value: bytes
) -> None:
    body = b'{"execution_key": "summary", "input": {"text": [' + value + b"]}}"
    document = client.post(f"/api/agents/{world.one}/agentic-executions/", **_raw(body)).json()
    assert document["detail"].startswith("Invalid JSON: ")


def test_start_when_input_and_limits_are_wrong_then_all_are_named(client: Client, world: World) -> None:
    limits = {"corrections": 9, "money": 1, "seconds": "1"}
    answer = client.post(f"/api/agents/{world.one}/agentic-executions/", **_json(input={"text": 1}, limits=limits))
    messages = {error["field"]: error["message"] for error in answer.json()["errors"]}
    assert set(messages) == {"input.text", "limits.corrections", "limits.money", "limits.seconds"}
    assert messages["limits.corrections"] == "may be lowered from 3, not raised"


def test_start_when_several_fields_are_unknown_then_all_are_named(client: Client, world: World) -> None:
    body = {"key": "summary", "inptu": {}}
    document = client.post(f"/api/agents/{world.one}/agentic-executions/", json=body).json()
    assert [error["field"] for error in document["errors"]] == ["key", "inptu", "execution_key"]
    assert "input" not in document


def test_start_when_key_and_input_are_wrong_then_the_key_is_told_first(client: Client, world: World) -> None:
    body = {"execution_key": "unknown", "input": 7}
    document = client.post(f"/api/agents/{world.one}/agentic-executions/", json=body).json()
    assert [error["field"] for error in document["errors"]] == ["execution_key"]


def test_start_when_input_and_file_are_wrong_then_the_input_is_told_first(client: Client, world: World) -> None:
    request = _form([("files[]", ("a.exe", b"MZ"))], input="[]")
    document = client.post(f"/api/agents/{world.uploads}/agentic-executions/", **request).json()
    assert [error["field"] for error in document["errors"]] == ["input"]


@pytest.mark.parametrize("agent", ["0", "-1", "abc", "999999", "9223372036854775807", "9" * 30, "1.5", "1%00"])
@pytest.mark.parametrize("body", [json.dumps(KEYED), "not JSON"])
def test_start_when_the_agent_is_absent_then_404(client: Client, world: World, agent: str, body: str) -> None:
    answer = client.post(f"/api/agents/{agent}/agentic-executions/", content=body, headers=OF_JSON)
    assert (answer.status_code, answer.json()["detail"]) == (404, "Not found.")


def test_start_when_the_agent_is_foreign_then_the_same_404(client: Client, world: World) -> None:
    absent, foreign = (
        client.post(f"/api/agents/{agent}/agentic-executions/", json=KEYED) for agent in (999999, world.foreign)
    )
    assert (foreign.status_code, foreign.json()) == (absent.status_code, absent.json())


def test_start_when_the_agent_was_deleted_then_404(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    agent = create_agent(connection, world.data_set, agent_type="one")
    connection.execute("UPDATE agents SET deleted_at = now() WHERE id = %s", (agent,))
    assert client.post(f"/api/agents/{agent}/agentic-executions/", json=KEYED).status_code == 404
