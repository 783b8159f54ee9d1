"""Accounts, data sets and agents from the command line are those of REST."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import postgres
from tests.http import serving
from tests.service.commands.running import agentic


def made(database_url: str, *arguments: str) -> dict[str, Any]:
    done = agentic(*arguments, "--json", environment={"DATABASE_URL": database_url})
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def test_set_up_from_the_command_line_when_done_is_what_rest_gives(database_url: str) -> None:
    data_set = made(database_url, "data-set", "create", "shop")
    agent = made(
        database_url, "agent", "create", "--type", "none-yet", "--name", "A", "--data-set", str(data_set["id"])
    )
    admin = made(database_url, "account", "create", "root", "--admin")
    user = made(database_url, "account", "create", "ann", "--data-set", str(data_set["id"]))
    with serving(database_url) as client:
        headers = {"Authorization": f"Token {admin['token']}"}
        assert client.get(f"/api/data-sets/{data_set['id']}/", headers=headers).json() == data_set
        assert client.get(f"/api/agents/{agent['id']}/", headers=headers).json() == agent
        token = user.pop("token")
        assert client.get(f"/api/service-accounts/{user['id']}/", headers=headers).json() == user
        listed = client.get(
            f"/api/agents/{agent['id']}/agentic-execution-definitions/", headers={"Authorization": f"Bearer {token}"}
        )
        assert listed.json() == []


def test_reset_token_when_done_ends_the_old_one(database_url: str) -> None:
    old = made(database_url, "account", "create", "ann")["token"]
    new = made(database_url, "account", "reset-token", "ann")["token"]
    with serving(database_url) as client:
        statuses = [
            client.get("/api/agentic-executions/", headers={"Authorization": f"Token {token}"}).status_code
            for token in (old, new)
        ]
    assert statuses == [401, 200]


@pytest.mark.parametrize(
    ("role", "schema", "said"),
    [
        (postgres.APP, "pg_catalog", "older than this version: relation"),
        (postgres.REPORTING, "public", "refused: permission denied for"),
    ],
)
def test_command_where_tables_are_missing_or_closed_says_what_to_do(
    database_url: str, role: str, schema: str, said: str
) -> None:
    url = f"{postgres.as_role(database_url, role)}&options=-csearch_path%3D{schema}"
    done = agentic("account", "create", "ann", environment={"DATABASE_URL": url})
    assert done.returncode == 2
    assert f"agentic: The database {'is ' if 'older' in said else ''}{said}" in done.stderr
    assert "`agentic" in done.stderr


def test_disable_when_done_closes_the_api_to_the_account(database_url: str) -> None:
    account = made(database_url, "account", "create", "ann")
    assert made(database_url, "account", "disable", str(account["id"]))["is_active"] is False
    with serving(database_url) as client:
        response = client.get("/api/agentic-executions/", headers={"Authorization": f"Token {account['token']}"})
    assert response.status_code == 401


def test_data_set_with_products_when_created_has_them_all(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    csv_file = tmp_path / "products.csv"
    csv_file.write_text('sku,name,description,colour\nA-1,Cup,"A, cup",red\nA-2,Pot,,\n')
    data_set = made(database_url, "data-set", "create", "shop", "--products", str(csv_file))
    rows = connection.execute(
        "SELECT sku, name, description, details FROM products WHERE data_set_id = %s ORDER BY sku", (data_set["id"],)
    ).fetchall()
    assert rows == [("A-1", "Cup", "A, cup", {"colour": "red"}), ("A-2", "Pot", "", {"colour": ""})]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("p.csv", "name\nCup\n", "no column named sku"),
        ("p.csv", "sku,name\nA,Cup,extra\n", "line 2: more values than columns"),
        ("p.csv", "sku\nA\nA\n", "'A' is given more than once"),
        ("p.csv", 'sku,name\n"A,Cup\n', "unexpected end of data"),
        ("p.csv", "sku,name\n ,Cup\n", "line 2"),
        ("p.jsonl", '{"sku": "A"}\n{"sku": 7}\n', "line 2"),
        ("p.jsonl", "[]\n", "line 1"),
        ("p.jsonl", '{"sku": "A", "colour": "a\\u0000b"}\n', "NUL"),
        ("p.txt", "sku\n", ".csv or .jsonl"),
    ],
)
def test_product_file_that_is_wrong_when_given_creates_nothing(
    database_url: str, connection: psycopg.Connection, tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    done = agentic("data-set", "create", "shop", "--products", str(path), environment={"DATABASE_URL": database_url})
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert connection.execute("SELECT count(*) FROM data_sets").fetchone() == (0,)


@pytest.mark.parametrize(
    "command",
    [
        ["account", "create", "ann", "--data-set", "99"],
        ["account", "create", " "],
        ["account", "disable", "nobody"],
        ["account", "reset-token", "99"],
        ["agent", "create", "--type", "echo", "--name", "A", "--data-set", "99"],
    ],
)
def test_command_that_names_nothing_real_when_run_exits_2_and_writes_nothing(
    database_url: str, connection: psycopg.Connection, command: list[str]
) -> None:
    done = agentic(*command, environment={"DATABASE_URL": database_url})
    assert done.returncode == 2
    assert done.stderr.startswith("agentic: ")
    assert connection.execute("SELECT (SELECT count(*) FROM accounts) + (SELECT count(*) FROM agents)").fetchone() == (
        0,
    )


def test_record_with_wrong_fields_when_created_names_them_all_in_words(database_url: str) -> None:
    command = ["agent", "create", "--type", "", "--name", "x" * 201, "--data-set", "0"]
    done = agentic(*command, environment={"DATABASE_URL": database_url})
    assert done.returncode == 2
    assert "agent_type must not be blank" in done.stderr
    assert all(field in done.stderr for field in ("name ", "data_set "))


def test_reset_token_that_keeps_the_old_one_for_ever_is_refused(database_url: str) -> None:
    made(database_url, "account", "create", "ann")
    command = ["account", "reset-token", "ann", "--keep-old", "99999999999999"]
    done = agentic(*command, environment={"DATABASE_URL": database_url})
    assert (done.returncode, done.stderr.partition(" ")[0]) == (2, "agentic:")


@pytest.mark.parametrize(
    ("agent_type", "model", "notes"),
    [
        (
            "ecko",
            "opnai:gpt-5",
            ["no definition here is for agents of type 'ecko'; there are: ", "'opnai:gpt-5' is no"],
        ),
        ("echo", "openai:gpt-5", []),
    ],
)
def test_agent_when_nothing_here_could_run_it_then_it_is_made_and_a_note_says_so(
    database_url: str, agent_type: str, model: str, notes: list[str]
) -> None:
    data_set = made(database_url, "data-set", "create", "shop")
    command = ["agent", "create", "--type", agent_type, "--name", "A", "--model", model, "--data-set"]
    done = agentic(*command, str(data_set["id"]), environment={"DATABASE_URL": database_url})

    assert done.returncode == 0
    assert len(done.stderr.splitlines()) == len(notes)
    assert all(note in done.stderr for note in notes)


def test_agent_when_created_with_a_file_of_fields_then_it_has_that_field_schema(
    database_url: str, tmp_path: Path
) -> None:
    fields = {"type": "object", "properties": {"colour": {"type": "string"}}}
    path = tmp_path / "fields.json"
    path.write_text(json.dumps(fields))
    data_set = made(database_url, "data-set", "create", "shop")
    command = ["agent", "create", "--type", "echo", "--name", "A", "--data-set", str(data_set["id"])]

    assert made(database_url, *command, "--fields", str(path))["field_schema"] == fields
    assert made(database_url, *command)["field_schema"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "field_schema"),
        ('{"type": "object", "properties": {"a": {"type": "strin"}}}', "field_schema.properties.a.type"),
    ],
)
def test_agent_when_created_with_wrong_fields_then_it_exits_2_and_nothing_is_written(
    database_url: str, connection: psycopg.Connection, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "fields.json"
    path.write_text(text)
    data_set = made(database_url, "data-set", "create", "shop")
    command = ["agent", "create", "--type", "echo", "--name", "A", "--data-set", str(data_set["id"])]
    done = agentic(*command, "--fields", str(path), environment={"DATABASE_URL": database_url})

    assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert connection.execute("SELECT count(*) FROM agents").fetchone() == (0,)
