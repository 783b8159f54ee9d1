"""GET /api/conversations/{id}/: the record of a run, for its owner, an admin and a stranger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg
import pytest

from tasks.llm.protocol import Answer, Message, ToolRequest
from tests.http import Client
from tests.service.conftest import World

SECRET = "tangerine-7413"


@dataclass(frozen=True)
class Run:
    execution: int
    conversation: int

    @property
    def path(self) -> str:
        return f"/api/conversations/{self.conversation}/"


@pytest.fixture
def run(client: Client, world: World, connection: psycopg.Connection) -> Run:
    """Two cycles: a tool is called, the answer is sent back, the second is accepted; a third turn is under way."""
    body = {"execution_key": "summary", "input": {"text": "Sum it up."}}
    started = client.post(f"/api/agents/{world.one}/agentic-executions/", json=body).json()
    made = Run(started["id"], started["conversation"])
    calls = Answer(
        tool_requests=(ToolRequest(call_id="c1", name="search", arguments=f'{{"q": "{SECRET}"}}'),),
        finish_reason="tool_calls",
    )
    asked = (Message(role="system", text=SECRET), Message(role="user", text="Do it."))
    insert_turn(connection, made, 1, cycle=1, request=msgspec.json.encode(asked), answer=msgspec.json.encode(calls))
    insert_call(connection, made, result=json.dumps({"found": SECRET}).encode())
    insert_turn(connection, made, 2, cycle=1, answer=msgspec.json.encode(Answer(text='{"a": 1}')))
    insert_turn(connection, made, 3, cycle=2, answer=msgspec.json.encode(Answer(text='{"a": 2}')))
    insert_turn(connection, made, 4, cycle=3, answer=None)
    insert_verdicts(connection, made)
    return made


def insert_turn(
    connection: psycopg.Connection, run: Run, number: int, *, cycle: int, request: bytes = b"[]", answer: bytes | None
) -> None:
    connection.execute(
        "INSERT INTO turns (execution_id, number, cycle, model, request_digest, request, answer, finish_reason,"
        " input_tokens, output_tokens, started_at, finished_at) VALUES (%s, %s, %s, 'echo', '', %s, %s, %s, 10, 5,"
        " '2025-04-10 14:00:00Z', CASE WHEN %s THEN timestamptz '2025-04-10 14:00:01.5Z' END)",
        (run.execution, number, cycle, request, answer, answer and "stop", answer is not None),
    )


def insert_call(connection: psycopg.Connection, run: Run, *, result: bytes) -> None:
    connection.execute(
        "INSERT INTO tool_calls (execution_id, turn, number, call_id, name, arguments, result, succeeded,"
        " idempotency_key, started_at, finished_at) VALUES (%s, 1, 1, 'c1', 'search', %s, %s, true, 'k',"
        " '2025-04-10 14:00:00Z', '2025-04-10 14:00:00.25Z')",
        (run.execution, f'{{"q": "{SECRET}"}}'.encode(), result),
    )


def insert_verdicts(connection: psycopg.Connection, run: Run) -> None:
    issues = [
        {"path": "/a", "message": "must be 2", "hint": "try 2", "narrow": {"const": SECRET}, "fix": {"value": SECRET}}
    ]
    connection.execute(
        "INSERT INTO verdicts (execution_id, cycle, number, validator, kind, issues)"
        " VALUES (%s, 1, 1, 'a_is_two', 'retry', %s), (%s, 2, 1, 'a_is_two', 'accept', '[]')",
        (run.execution, json.dumps(issues), run.execution),
    )


def test_record_has_the_fields_of_a_conversation(client: Client, world: World, run: Run) -> None:
    record = client.get(run.path).json()

    assert list(record) == [
        "id",
        "started_at",
        "summary",
        "history",
        "agent",
        "is_execution_conversation",
        "execution",
        "cycles",
    ]
    assert (record["id"], record["agent"], record["execution"]) == (run.conversation, world.one, run.execution)
    assert (record["summary"], record["is_execution_conversation"]) == (None, True)


def test_history_is_what_went_in_and_what_the_model_said(client: Client, run: Run) -> None:
    history = client.get(run.path).json()["history"]

    assert [list(message) for message in history] == [["id", "text", "type", "file_type", "file_name"]] * 3
    assert [message["id"] for message in history] == [1, 2, 3]
    assert json.loads(history[0].pop("text")) == {"text": "Sum it up.", "count": 1, "skus": None}
    assert [message["type"] for message in history] == ["human", "ai", "ai"]
    assert [message.get("text") for message in history[1:]] == ['{"a": 1}', '{"a": 2}']


def test_history_names_the_files(client: Client, world: World) -> None:
    started = client.post(
        f"/api/agents/{world.uploads}/agentic-executions/",
        data={"execution_key": "summary", "input": '{"text": "x"}'},
        files={"files[]": ("notes.txt", b"hello", "text/plain")},
    ).json()

    history = client.get(f"/api/conversations/{started['conversation']}/").json()["history"]

    assert history[1] == {"id": 2, "text": "", "type": "file", "file_type": "text/plain", "file_name": "notes.txt"}


def test_cycles_hold_turns_tool_calls_and_verdicts_in_order(client: Client, run: Run) -> None:
    cycles = client.get(run.path).json()["cycles"]

    assert [cycle["number"] for cycle in cycles] == [1, 2, 3]
    assert [[turn["number"] for turn in cycle["turns"]] for cycle in cycles] == [[1, 2], [3], [4]]
    assert [turn["answer"] for cycle in cycles for turn in cycle["turns"]] == ["", '{"a": 1}', '{"a": 2}', None]
    assert cycles[0]["verdicts"] == [
        {
            "validator": "a_is_two",
            "kind": "retry",
            "code": None,
            "explanation": None,
            "issues": [{"path": "/a", "message": "must be 2", "hint": "try 2", "narrow": None, "fix": None}],
        }
    ]
    assert [verdict["kind"] for verdict in cycles[1]["verdicts"]] == ["accept"]


def test_turn_tells_model_tokens_and_seconds(client: Client, run: Run) -> None:
    cycles = client.get(run.path).json()["cycles"]
    turn, unfinished = cycles[0]["turns"][0], cycles[2]["turns"][0]

    assert (turn["model"], turn["input_tokens"], turn["output_tokens"]) == ("echo", 10, 5)
    assert (turn["started_at"], turn["seconds"]) == ("2025-04-10T14:00:00.000000Z", 1.5)
    assert turn["tool_calls"][0]["seconds"] == 0.25
    assert (unfinished["seconds"], unfinished["finish_reason"]) == (None, None)


def test_owner_sees_names_of_tools_but_no_prompts_arguments_or_results(client: Client, run: Run) -> None:
    answer = client.get(run.path)

    turn = answer.json()["cycles"][0]["turns"][0]
    assert turn["asked"] is None
    assert turn["tool_requests"] == [{"name": "search", "arguments": None}]
    call = turn["tool_calls"][0]
    assert (call["name"], call["succeeded"], call["arguments"], call["result"]) == ("search", True, None, None)
    assert SECRET not in answer.text


def test_admin_sees_prompts_arguments_and_results(client: Client, world: World, run: Run) -> None:
    record: dict[str, Any] = client.get(run.path, headers=world.admin.headers).json()

    turn = record["cycles"][0]["turns"][0]
    assert turn["asked"] == [{"role": "system", "text": SECRET}, {"role": "user", "text": "Do it."}]
    assert turn["tool_requests"] == [{"name": "search", "arguments": f'{{"q": "{SECRET}"}}'}]
    assert turn["tool_calls"][0]["arguments"] == f'{{"q": "{SECRET}"}}'
    assert json.loads(turn["tool_calls"][0]["result"]) == {"found": SECRET}


def test_admin_sees_what_issues_narrow_and_fix(client: Client, world: World, run: Run) -> None:
    record: dict[str, Any] = client.get(run.path, headers=world.admin.headers).json()

    (issue,) = record["cycles"][0]["verdicts"][0]["issues"]
    assert (issue["narrow"], issue["fix"]) == ({"const": SECRET}, {"value": SECRET})


def test_issue_fixed_to_null_is_told_from_one_without_a_fix(
    client: Client, world: World, run: Run, connection: psycopg.Connection
) -> None:
    issues = [{"path": "/a", "message": "m", "fix": {"value": None}}, {"path": "/b", "message": "m"}]
    connection.execute("UPDATE verdicts SET issues = %s WHERE cycle = 1", (json.dumps(issues),))

    record: dict[str, Any] = client.get(run.path, headers=world.admin.headers).json()

    assert [issue["fix"] for issue in record["cycles"][0]["verdicts"][0]["issues"]] == [{"value": None}, None]


def test_bytes_that_are_no_text_or_no_json_are_shown_with_replacements(
    client: Client, world: World, run: Run, connection: psycopg.Connection
) -> None:
    connection.execute("UPDATE turns SET request = %s, answer = %s WHERE number = 2", (b"{\xff", b"so\x00me \xfftext"))
    connection.execute("UPDATE tool_calls SET result = %s", (b"\xfe\x00",))

    turns = client.get(run.path, headers=world.admin.headers).json()["cycles"][0]["turns"]

    assert turns[1]["answer"] == "so\0me \ufffdtext"
    assert turns[1]["asked"] == [{"role": "user", "text": "{\ufffd"}]
    assert turns[0]["tool_calls"][0]["result"] == "\ufffd\0"


def test_conversation_of_an_execution_that_nobody_took_yet_has_no_cycles(client: Client, world: World) -> None:
    body = {"execution_key": "summary", "input": {"text": "x"}}
    started = client.post(f"/api/agents/{world.one}/agentic-executions/", json=body).json()

    assert client.get(f"/api/conversations/{started['conversation']}/").json()["cycles"] == []


def test_stranger_gets_what_an_absent_conversation_gets(client: Client, world: World, run: Run) -> None:
    for send in (client.get, client.post):
        foreign = send(run.path, headers=world.stranger.headers)
        absent = send("/api/conversations/9999/", headers=world.stranger.headers)
        assert (foreign.status_code, foreign.json()) == (absent.status_code, absent.json())
        assert foreign.status_code == 404


def test_posting_to_it_is_400(client: Client, world: World, run: Run) -> None:
    answer = client.post(run.path, json={"text": "more"})

    assert answer.status_code == 400
    assert "record" in answer.json()["detail"]


def test_turns_and_cycles_tell_strategy_calls_and_cost(
    client: Client, connection: psycopg.Connection, run: Run
) -> None:
    connection.execute("UPDATE turns SET cost = 0.25, calls = 1")
    connection.execute(
        "UPDATE turns SET calls = 3, lost_input_tokens = 100, lost_output_tokens = 7, lost_cost = 0.5,"
        " is_estimated = true WHERE number = 2"
    )
    connection.execute("UPDATE turns SET strategy = 'patch', cost = NULL WHERE number = 3")

    first, second, _ = client.get(run.path).json()["cycles"]

    names = ("strategy", "model", "input_tokens", "cached_tokens", "output_tokens", "cost", "seconds")
    assert [first[name] for name in names] == ["propose", "echo", 120, 0, 17, 1.0, 3.0]
    assert [second[name] for name in names] == ["patch", "echo", 10, 0, 5, None, 1.5]
    turn = first["turns"][1]
    assert [turn[name] for name in ("calls", "lost_tokens", "cost", "is_estimated")] == [3, 107, 0.75, True]


def test_turn_in_flight_counts_as_it_was_reserved(client: Client, connection: psycopg.Connection, run: Run) -> None:
    connection.execute(
        "UPDATE turns SET input_tokens = NULL, output_tokens = NULL, reserved_input_tokens = 50,"
        " reserved_output_tokens = 10, reserved_cost = 0.5 WHERE number = 4"
    )

    cycle = client.get(run.path).json()["cycles"][2]

    assert (cycle["input_tokens"], cycle["output_tokens"], cycle["cost"]) == (50, 10, 0.5)
    assert (cycle["turns"][0]["calls"], cycle["turns"][0]["is_estimated"]) == (1, True)


def test_owner_sees_everything_where_the_definition_says_so(
    client: Client, connection: psycopg.Connection, run: Run
) -> None:
    connection.execute("UPDATE executions SET definition_key = 'open'")

    turn = client.get(run.path).json()["cycles"][0]["turns"][0]

    assert [message["text"] for message in turn["asked"]] == [SECRET, "Do it."]
    assert SECRET in turn["tool_calls"][0]["arguments"]
    assert SECRET in turn["tool_calls"][0]["result"]


def test_owner_sees_no_prompts_where_the_definition_is_gone(
    client: Client, connection: psycopg.Connection, run: Run
) -> None:
    connection.execute("UPDATE executions SET definition_version = 2")

    assert client.get(run.path).json()["cycles"][0]["turns"][0]["asked"] is None
