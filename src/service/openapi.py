"""The OpenAPI 3.1 document, built from the routes themselves: their types, docstrings, bodies and guards."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.routes import HTTPRoute

from service.accounts.gate import absent_unless_admin, admins_only
from service.definitions.registry import Registry
from service.docs import examples
from service.docs.start import start_body
from service.docs.texts import ABOUT, ANSWERED, ERRORS, HEADERS, METADATA, ONCE, PROBLEM, RATE_LIMIT, SECURITY
from service.idempotency.actions import HEADER, REPEATED
from service.idempotency.actions import LONGEST as LONGEST_KEY
from service.pages import Page
from service.wire import MAX_ID

REFERENCE = "#/components/schemas/{name}"
JSON = "application/json"
OCTETS = "application/octet-stream"
EVENT_STREAM = "text/event-stream"
START = "StartExecution"
OF_ACCOUNTS = {
    *(START, "StartBatch", "CancelExecution", "RerunExecution", "DeleteExecution"),
    *("CreateSchedule", "ChangeSchedule", "DeleteSchedule"),
}
"""Writes that need no admin."""


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    path: str
    method: str
    handler: HTTPRouteHandler
    hints: dict[str, Any]

    @property
    def name(self) -> str:
        """The operation id; unique also where a handler answers HEAD as well."""
        return f"{self.handler.operation_id}{'Head' if self.method == 'HEAD' else ''}"

    @property
    def read(self) -> dict[str, Any]:
        """The types of what the handler and its dependencies read."""
        given = [each for each in (self.handler.dependencies or {}).values() if isinstance(each, Provide)]
        asked = [typing.get_type_hints(each.dependency, include_extras=True) for each in given]
        return {name: hint for hints in (*asked, self.hints) for name, hint in hints.items()}

    @property
    def is_open(self) -> bool:
        """Whether it answers without a token."""
        return self.handler.security is not None and len(self.handler.security) == 0

    @property
    def body(self) -> Any:
        """The type of the JSON body; None without one, or where it is described elsewhere."""
        return self.handler.opt.get("body")

    @property
    def answer(self) -> Any:
        """The type of what a success answers; None without a body, bytes for a file."""
        hint = self.hints["return"]
        branches = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if get_origin(branches[0]) is Response:
            return get_args(branches[0])[0]
        return None if hint is type(None) else hint


def openapi_document(app: Litestar, registry: Registry) -> dict[str, Any]:
    """The whole document as JSON values. Paths carry the trailing slash, as all links do."""
    operations = list(_operations(app))
    described = [type_ for each in operations for type_ in (each.body, each.answer) if type_ not in (None, bytes)]
    schemas, components = msgspec.json.schema_components(described, ref_template=REFERENCE)
    schema_of = dict(zip(map(repr, described), schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation, schema_of, registry)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Agentic executions", "version": "1", "description": ABOUT},
        "security": [{"Token": []}, {"Bearer": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {name: _finished(name, schema) for name, schema in sorted(components.items())}
            | {"Problem": PROBLEM},
            "responses": {_error_name(status): _error(status) for status in ERRORS},
            "securitySchemes": SECURITY,
        },
    }


def _operations(app: Litestar) -> Iterator[Operation]:
    """Every handler that has an operation id: the pages of the docs and automatic OPTIONS have none."""
    for route in app.routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if handler.operation_id is not None:
                hints = typing.get_type_hints(handler.fn, include_extras=True)
                has_slash = route.path.startswith("/api/") and not route.path.endswith(".json")
                path = route.path_format + ("/" if has_slash else "")
                yield from (Operation(path, str(method), handler, hints) for method in sorted(handler.http_methods))


def _describe(operation: Operation, schema_of: dict[str, Any], registry: Registry) -> dict[str, Any]:
    handler = operation.handler
    tags = handler.tags or (handler.owner.tags if handler.owner is not None else None) or ()
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": handler.summary,
        "description": " ".join((handler.fn.__doc__ or "").split()),
        "tags": sorted(tags),
        "parameters": [*_path_parameters(operation), *_query_parameters(operation), *_header_parameters(operation)],
    }
    if operation.is_open:
        described["security"] = []
    if operation.name == START:
        described["requestBody"] = start_body(registry)
    elif operation.body is not None:
        described["requestBody"] = _body(operation, schema_of)
    described["responses"] = {**_success(operation, schema_of), **_failures(operation, schema_of)}
    return described


def _path_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for name in (part.split("}")[0] for part in operation.path.split("{")[1:]):
        is_id = operation.hints.get(name) is not None and get_args(operation.hints[name])[0] is int
        schema = {"type": "integer", "minimum": 1, "maximum": MAX_ID} if is_id else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    described: dict[str, str] = {"page": "From 1, or `last`."} if get_origin(operation.answer) is Page else {}
    for name, hint in operation.read.items():
        for parameter in getattr(hint, "__metadata__", ()):
            if isinstance(parameter, QueryParameter):
                described[name] = parameter.description or ""
    for name, text in described.items():
        yield {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": "string"}}
    if "filters" in (operation.handler.dependencies or {}):
        yield METADATA


def _header_parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    if operation.handler.opt.get("once"):
        schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY}
        yield {"name": HEADER, "in": "header", "required": False, "description": ONCE, "schema": schema}
    for name in ("streams", "waits", "tagged"):
        if operation.handler.opt.get(name):
            header, _, text = HEADERS[name].partition(": ")
            described: dict[str, Any] = {"name": header, "in": "header", "required": False, "description": text}
            yield described | {"schema": {"type": "string"}}


def _body(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    schema = schema_of[repr(operation.body)]
    if most := operation.handler.opt.get("list_of"):
        schema = {"oneOf": [schema, {"type": "array", "items": schema, "minItems": 1, "maxItems": most}]}
    media = {"schema": schema, "example": examples.BODIES[operation.name]}
    return {"required": not operation.handler.opt.get("body_optional", False), "content": {JSON: media}}


def _success(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    status = operation.handler.status_code
    if operation.handler.opt.get("always_refused"):
        return {}
    answered: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if operation.answer is bytes:
        answered["content"] = {OCTETS: {"schema": {"type": "string", "format": "binary"}}}
        return {"200": answered, "206": {**answered, "description": "The range that was asked for."}} | {
            "304": {"description": "The copy that the client has is the file."},
            "416": {"description": "The range lies outside the file."},
        }
    if operation.answer is not None:
        media: dict[str, Any] = {"schema": schema_of[repr(operation.answer)]}
        if shown := examples.ANSWERS.get(operation.name):
            media["examples"] = {name: {"value": value} for name, value in shown.items()}
        answered["content"] = {JSON: media}
    answered |= _headers(operation)
    if operation.handler.opt.get("streams"):
        answered["content"][EVENT_STREAM] = {"schema": {"type": "string"}, "example": examples.STREAM}
        return {
            "200": answered,
            "204": {"description": "Of a stream: the execution has ended and was told to its end."},
        }
    if operation.handler.opt.get("may_be_under_way"):
        return {"200": answered, "202": {**answered, "description": "It is under way."}}
    if operation.handler.opt.get("tagged"):
        return {"200": answered, "304": {"description": "Nothing changed since the answer that the client has."}}
    return {str(status): answered}


def _headers(operation: Operation) -> dict[str, Any]:
    """What a success says beside its body."""
    opt = operation.handler.opt
    named = ["Location"] if operation.name in (START, "RerunExecution", "CreateSchedule") else []
    named += ["Retry-After"] if opt.get("waits") or opt.get("paced") else []
    named += ["Preference-Applied"] if opt.get("waits") else []
    named += [REPEATED] if opt.get("once") else []
    named += ["ETag"] if opt.get("tagged") else []
    headers: dict[str, Any] = {name: {"description": ANSWERED[name], "schema": {"type": "string"}} for name in named}
    headers |= RATE_LIMIT if opt.get("limited") else {}
    return {"headers": headers} if headers else {}


def _failures(operation: Operation, schema_of: dict[str, Any]) -> dict[str, Any]:
    """What may go wrong, by what the route reads; `default` is the same shape for whatever else there is."""
    guards = operation.handler.guards or []
    has_body = operation.body is not None or operation.name == START
    is_refused = operation.handler.opt.get("always_refused", False)
    is_write = (
        operation.method in ("POST", "PUT", "PATCH", "DELETE") and operation.name not in OF_ACCOUNTS and not is_refused
    )
    statuses = {
        400: has_body or is_refused or any(_query_parameters(operation)),
        401: not operation.is_open,
        403: admins_only in guards or (is_write and absent_unless_admin not in guards),
        404: "{" in operation.path or get_origin(operation.answer) is Page,
        409: operation.handler.opt.get("conflicts", False),
        410: operation.handler.opt.get("once", False),
        422: operation.handler.opt.get("once", False),
        429: operation.handler.opt.get("limited", False),
        413: has_body,
        415: has_body,
        503: not operation.is_open,
    }
    failures: dict[str, Any] = {
        str(status): {"$ref": f"#/components/responses/{_error_name(status)}"}
        for status, may_happen in statuses.items()
        if may_happen
    }
    if operation.handler.opt.get("may_be_unready"):
        failures["503"] = {
            "description": "Not ready.",
            "content": {JSON: {"schema": schema_of[repr(operation.answer)]}},
        }
    if operation.is_open:
        return failures
    return failures | {"default": {"$ref": "#/components/responses/Error"}}


def _error_name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "") if status else "Error"


def _error(status: int) -> dict[str, Any]:
    media = {"schema": {"$ref": "#/components/schemas/Problem"}}
    described: dict[str, Any] = {
        "description": ERRORS[status],
        "content": {JSON: media, "application/problem+json": media},
    }
    if status == HTTPStatus.UNAUTHORIZED:
        described["headers"] = {"WWW-Authenticate": {"schema": {"type": "string"}}}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        described["headers"] = {"Retry-After": {"schema": {"type": "integer"}}, **RATE_LIMIT}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        described["headers"] = {"Retry-After": {"schema": {"type": "integer"}}}
    return described


def _finished(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """What types alone do not say: times are strings of a format, and raw JSON has a form."""
    for field, described in schema.get("properties", {}).items():
        if field.endswith(("_at", "_slot")) or field in ("deadline", "start_after"):
            for branch in described.get("anyOf", [described]):
                branch |= {"format": "date-time"} if branch.get("type") == "string" else {}
        elif (field == "input" and name in ("Execution", "ListedExecution")) or (field == "data" and "Event" in name):
            described["type"] = "object"
    return schema
