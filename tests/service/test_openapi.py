"""The OpenAPI document: complete, resolvable, honest about what is answered; and its page needs no other host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import jsonschema_rs
import psycopg
import pytest
from litestar.routes import HTTPRoute

from service.docs import examples
from service.docs.controller import ASSETS
from tests import http
from tests.http import Client
from tests.service.conftest import World, make_registry

Document = dict[str, Any]


@pytest.fixture(scope="module")
def served() -> Iterator[Client]:
    with http.serving("postgresql://nobody@127.0.0.1:1/none", make_registry()) as client:
        yield client


@pytest.fixture(scope="module")
def document(served: Client) -> Document:
    answer = served.get("/api/schema.json")
    assert answer.headers["content-type"].startswith("application/json")
    loaded: Document = answer.json()
    return loaded


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def check(document: Document, schema: Document, value: object) -> list[str]:
    """What is wrong with a value by a schema of the document."""
    whole = {**schema, "components": document["components"]}
    return [str(error) for error in jsonschema_rs.validator_for(whole).iter_errors(value)]


def answer_schema(document: Document, operation_id: str, status: int) -> Document:
    for _, _, operation in operations(document):
        if operation["operationId"] == operation_id:
            response = operation["responses"][str(status)]
            if "$ref" in response:
                response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
            schema: Document = response["content"]["application/json"]["schema"]
            return schema
    raise LookupError(operation_id)


def test_document_is_openapi_3_1_with_both_schemes(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert document["security"] == [{"Token": []}, {"Bearer": []}]
    assert set(document["components"]["securitySchemes"]) == {"Token", "Bearer"}


def test_document_holds_every_route_but_the_docs(served: Client, document: Document) -> None:
    routes = {
        (str(method), route.path_format)
        for route in served.app.routes
        if isinstance(route, HTTPRoute)
        for method in route.methods - {"OPTIONS"}
        if not route.path.startswith(("/api/docs", "/api/schema.json"))
    }

    assert {(method, path.rstrip("/")) for method, path, _ in operations(document)} == routes


def test_paths_of_the_api_carry_their_slash(document: Document) -> None:
    assert all(path.endswith("/") for path in document["paths"] if path.startswith("/api/"))
    assert "/media/conversations/{conversation_id}/{filename}" in document["paths"]


def test_every_operation_has_an_id_of_its_own_a_summary_a_tag_and_a_success(document: Document) -> None:
    found = [operation for _, _, operation in operations(document)]

    assert len({operation["operationId"] for operation in found}) == len(found)
    for operation in found:
        assert operation["summary"], operation["operationId"]
        assert operation["tags"], operation["operationId"]
        is_refused = operation["operationId"] == "PostToConversation"
        assert any(status.startswith("2") for status in operation["responses"]) != is_refused


def test_every_operation_that_writes_has_a_body_unless_it_needs_none(document: Document) -> None:
    without = {
        operation["operationId"]
        for method, _, operation in operations(document)
        if method in ("POST", "PATCH") and "requestBody" not in operation
    }

    assert without == {"PostToConversation", "CancelExecution", "PingWebhook", "Redeliver"}


def test_every_reference_leads_somewhere(document: Document) -> None:
    for reference in references(document):
        part: Any = document
        for name in reference.removeprefix("#/").split("/"):
            part = part[name]


def test_every_schema_is_a_json_schema(document: Document) -> None:
    for name in document["components"]["schemas"]:
        jsonschema_rs.validator_for(
            {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        ).is_valid({})


def test_ids_in_paths_are_bounded_integers(document: Document) -> None:
    for _, path, operation in operations(document):
        for parameter in operation["parameters"]:
            if parameter["name"].endswith("_id") and parameter["in"] == "path":
                bounds = {"type": "integer", "minimum": 1, "maximum": 9223372036854775807}
                assert parameter["schema"] == bounds, path


def test_errors_are_declared_in_our_shape(document: Document) -> None:
    for response in document["components"]["responses"].values():
        for media in response["content"].values():
            assert media["schema"] == {"$ref": "#/components/schemas/Problem"}
    for _, path, operation in operations(document):
        if path.startswith("/api/"):
            assert {"401", "503", "default"} <= set(operation["responses"]), path
        if "requestBody" in operation:
            assert {"400", "413", "415"} <= set(operation["responses"]), path


def test_writes_that_are_done_once_declare_what_a_repeat_is_answered(document: Document) -> None:
    for name in ("StartExecution", "StartBatch", "RerunExecution"):
        (operation,) = (each for _, _, each in operations(document) if each["operationId"] == name)
        assert "Idempotent-Replayed" in operation["responses"]["202"]["headers"]
        assert {"409", "410", "422"} <= set(operation["responses"])


def test_open_operations_are_those_of_health(document: Document) -> None:
    is_open = {path for _, path, operation in operations(document) if operation.get("security") == []}

    assert is_open == {"/healthz", "/readyz"}


def test_start_has_both_bodies_and_the_schema_of_every_definition(document: Document) -> None:
    start = document["paths"]["/api/agents/{agent_id}/agentic-executions/"]["post"]["requestBody"]["content"]

    forms = start["application/json"]["schema"]["oneOf"]
    keys = [form["properties"]["execution_key"]["const"] for form in forms]
    assert set(start) == {"application/json", "multipart/form-data"}
    assert keys == ["first", "open", "second", "summary"]
    assert forms[0]["properties"]["input"]["title"] == "Task"
    limits = forms[0]["properties"]["limits"]["properties"]
    assert limits["corrections"] == {"type": "integer", "minimum": 0, "maximum": 3}
    fields = start["multipart/form-data"]["schema"]["properties"]
    timed = {"deadline", "start_after", "priority", "webhook_url"}
    assert set(fields) == {"execution_key", "input", "limits", "external_id", "metadata", "files[]"} | timed
    assert fields["execution_key"]["enum"] == keys


def test_start_without_definitions_takes_any_key(database_url: str) -> None:
    with http.serving(database_url, make_registry().of()) as client:
        paths = client.get("/api/schema.json").json()["paths"]

    body = paths["/api/agents/{agent_id}/agentic-executions/"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["properties"]["execution_key"] == {"type": "string"}


def test_examples_fit_their_schemas(document: Document) -> None:
    shown = 0
    for _, _, operation in operations(document):
        medias = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (media for holder in medias for media in holder.get("content", {}).values()):
            values = [example["value"] for example in media.get("examples", {}).values()]
            for value in [*values, *([media["example"]] if "example" in media else [])]:
                assert check(document, media["schema"], value) == [], operation["operationId"]
                shown += 1
    assert shown >= len(examples.BODIES) + len(examples.ANSWERS)


def test_answers_fit_the_schemas_that_are_declared(
    document: Document, client: Client, world: World, connection: psycopg.Connection
) -> None:
    body = {"execution_key": "summary", "input": {"text": "x"}}
    started = client.post(f"/api/agents/{world.one}/agentic-executions/", json=body)
    http.finish(connection, started.json()["id"], {"a": 1})
    client.headers.update(world.admin.headers)
    answers = {
        ("StartExecution", 202): started,
        ("StartExecution", 400): client.post(f"/api/agents/{world.one}/agentic-executions/", json={}),
        ("GetExecution", 200): client.get(f"/api/agentic-executions/{started.json()['id']}/"),
        ("CancelExecution", 200): client.post(f"/api/agentic-executions/{started.json()['id']}/cancel/"),
        ("GetExecution", 404): client.get("/api/agentic-executions/999/"),
        ("ListExecutions", 200): client.get("/api/agentic-executions/?account=all"),
        ("ListExecutionDefinitions", 200): client.get(f"/api/agents/{world.one}/agentic-execution-definitions/"),
        ("GetConversation", 200): client.get(f"/api/conversations/{started.json()['conversation']}/"),
        ("PostToConversation", 400): client.post(f"/api/conversations/{started.json()['conversation']}/"),
        ("ListAgents", 200): client.get("/api/agents/"),
        ("GetAgent", 200): client.get(f"/api/agents/{world.one}/"),
        ("ListDataSets", 200): client.get("/api/data-sets/"),
        ("DeleteDataSet", 409): client.delete(f"/api/data-sets/{world.data_set}/"),
        ("WriteProducts", 200): client.post(f"/api/data-sets/{world.data_set}/products/", json=[{"sku": "A"}]),
        ("ListProducts", 200): client.get(f"/api/data-sets/{world.data_set}/products/"),
        ("ListOrders", 200): client.get(f"/api/data-sets/{world.data_set}/orders/"),
        ("ListReceipts", 200): client.get(f"/api/data-sets/{world.data_set}/receipts/"),
        ("ListServiceAccounts", 200): client.get("/api/service-accounts/"),
        ("CreateServiceAccount", 201): client.post("/api/service-accounts/", json={"name": "till"}),
        ("CreateServiceAccount", 415): client.post("/api/service-accounts/", content=b"x"),
        ("SupportedFileTypes", 200): client.get("/api/supported-file-types/"),
        ("Readyz", 200): client.get("/readyz"),
        ("GetAgent", 401): client.get("/api/agents/1/", headers={"Authorization": "Token x"}),
    }

    for (operation_id, status), answer in answers.items():
        assert answer.status_code == status, (operation_id, answer.text)
        schema = answer_schema(document, operation_id, status)
        assert check(document, schema, answer.json()) == [], operation_id


class Links(HTMLParser):
    """Everything that a page makes a browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.inline_scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        for name in ("src", "srcset", "poster", "data"):
            if value := named.get(name):
                self.fetched.append(value)
        if tag == "link" and (href := named.get("href")):
            self.fetched.append(href)
        self.inline_scripts += tag == "script" and "src" not in named


def test_page_loads_nothing_from_another_host(served: Client) -> None:
    answer = served.get("/api/docs/")
    links = Links()
    links.feed(answer.text)

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert sorted(links.fetched) == sorted(f"/api/docs/{name}" for name in ASSETS)
    assert links.inline_scripts == 0
    for url in links.fetched:
        fetched = served.get(url)
        assert fetched.status_code == 200
        assert fetched.headers["content-type"].partition(";")[0] == ASSETS[url.rpartition("/")[2]]


def test_browser_is_told_to_load_nothing_from_another_host(served: Client) -> None:
    policy = served.get("/api/docs/").headers["content-security-policy"]

    sources = {word for rule in policy.split(";") for word in rule.split()[1:]}
    assert policy.startswith("default-src 'none'")
    assert sources <= {"'none'", "'self'", "'unsafe-inline'", "data:"}
    assert "script-src 'self';" in policy


def test_style_sheet_loads_no_font_or_image_from_elsewhere(served: Client) -> None:
    css = served.get("/api/docs/swagger-ui.css").text

    assert "@import" not in css
    assert all(url.startswith("data:") for url in re.findall(r"""url\(\s*["']?([^"')]{5})""", css))


def test_page_asks_no_validator_elsewhere_and_reads_our_document(served: Client) -> None:
    script = served.get("/api/docs/start.js").text

    assert "validatorUrl: null" in script
    assert 'url: "/api/schema.json"' in script
    assert "//" not in re.sub(r"^\s*//.*$", "", script, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "name", ["nothing.js", "LICENSE", "..%2Fcontroller.py", "%2e%2e/controller.py", "start.js.map"]
)
def test_no_other_file_is_served(served: Client, name: str) -> None:
    assert served.get(f"/api/docs/{name}").status_code == 404


def test_assets_carry_their_licence() -> None:
    assets = files("service.docs").joinpath("assets")

    assert "Apache License" in (assets / "LICENSE").read_text()
    assert "SmartBear" in (assets / "NOTICE").read_text()


def test_type_of_an_error_leads_to_its_meaning(served: Client) -> None:
    problem = served.get("/api/agents/").json()

    answer = served.get(problem["type"])

    assert answer.json()["code"] == "unauthorized"
    assert answer.json()["status"] == 401
    assert served.get("/api/docs/errors/nonsense").status_code == 404
