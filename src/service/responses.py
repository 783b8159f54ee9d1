"""Errors to HTTP, one shape: type, title, status, detail, and for fields `errors` beside the member `input`."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeAlias

from litestar import Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, ValidationException
from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import ExceptionHandlersMap

from service.access_log import request_id
from service.errors import BadRequest, BodyTooLarge, FieldError, InvalidInput, NotFound, ServiceError

log = logging.getLogger(__name__)

TYPE_ROOT = "/api/docs/errors/"
"""A problem's `type` is this and its code: stable, and the same on every host."""

MOST_ERRORS = 1000
"""Errors that one answer names. A body may have many more, each of which is told in more bytes than it has."""

PROBLEM_JSON = "application/problem+json"
JSON = "application/json"

_ABOUT_INPUT = re.compile(r"input((?:[.\[].*)?)", re.DOTALL)

CODES: dict[int, tuple[str, str]] = {
    status: (code, title)
    for status, code, title in (
        (400, "bad_request", "Bad request"),
        (401, "unauthorized", "Unauthorized"),
        (403, "forbidden", "Forbidden"),
        (404, "not_found", "Not found"),
        (405, "method_not_allowed", "Method not allowed"),
        (413, "payload_too_large", "Payload too large"),
        (415, "unsupported_media_type", "Unsupported media type"),
    )
}
"""Code and title of what the framework itself refuses."""

CLIENT_WENT_AWAY = "client disconnected prematurely"
"""The framework's only sign of it: a 500 with these words. It is no defect of ours, and nobody reads the answer."""

Document: TypeAlias = dict[str, Any]
AnyRequest: TypeAlias = Request[Any, Any, State]


def problem(*, status: int, code: str, title: str, detail: str, errors: Sequence[FieldError] = ()) -> Document:
    """The document of an error; `errors` names fields as paths such as input.skus[0]."""
    document: Document = {"type": TYPE_ROOT + code, "title": title, "status": status, "detail": detail}
    if errors:
        document["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    if about_input := dotted_input(errors):
        document["input"] = about_input
    return document


def dotted_input(errors: Sequence[FieldError]) -> dict[str, str]:
    """The errors about `input` as {"skus.1": "message"}: dotted, zero-based; "" is the whole input."""
    members: dict[str, str] = {}
    for error in errors:
        if about := _ABOUT_INPUT.fullmatch(error.field):
            key = re.sub(r"\[(\d+)\]", r".\1", about[1]).removeprefix(".")
            members[key] = f"{members[key]}; {error.message}" if key in members else error.message
    return members


def answer_service_error(request: AnyRequest, error: ServiceError) -> Response[Document]:
    """What we refuse ourselves."""
    return _respond(request, problem_of(error), error.headers)


def problem_of(error: ServiceError, *, most_errors: int = MOST_ERRORS) -> Document:
    """The document of what we refuse ourselves, with so many of its errors."""
    return problem(
        status=error.status,
        code=error.code,
        title=error.title,
        detail=error.detail,
        errors=error.errors[:most_errors] if isinstance(error, InvalidInput) else (),
    )


def answer_framework_error(request: AnyRequest, error: HTTPException) -> Response[Document]:
    """What the framework refuses: no such route, wrong method, a parameter that is out of its bounds."""
    if isinstance(error, ValidationException):
        return answer_service_error(request, _parameter_error(error))
    if isinstance(error, RequestEntityTooLarge):
        return answer_service_error(request, BodyTooLarge(request.route_handler.resolve_request_max_body_size() or 0))
    if error.detail == CLIENT_WENT_AWAY:
        return answer_service_error(request, BadRequest("The request ended before its body was complete."))
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return answer_unexpected_error(request, error)
    code, title = CODES.get(error.status_code, CODES[400])
    detail = "Not found." if error.status_code == HTTPStatus.NOT_FOUND else error.detail
    return _respond(
        request, problem(status=error.status_code, code=code, title=title, detail=detail), error.headers or {}
    )


def answer_unexpected_error(request: AnyRequest, error: Exception) -> Response[Document]:
    """A defect of ours: the traceback goes to the log, the client gets the id to find it by."""
    log.error("request failed", extra={"request_id": request_id(request.scope)}, exc_info=error)
    detail = f"Something went wrong on our side. If it stays, tell the operator request {request_id(request.scope)}."
    return _respond(request, problem(status=500, code="internal_error", title="Internal error", detail=detail), {})


def _parameter_error(error: ValidationException) -> ServiceError:
    """An id in a path that is no id is absent; any other parameter is named."""
    failures: Sequence[Any] = error.extra if isinstance(error.extra, list) else []
    if any(failure.get("source") == "path" for failure in failures):
        return NotFound()
    return InvalidInput([FieldError(str(each.get("key", "")), str(each.get("message", ""))) for each in failures])


def _respond(request: AnyRequest, document: Document, headers: Mapping[str, str]) -> Response[Document]:
    wants_problem = PROBLEM_JSON in request.headers.get("accept", "")
    return Response(
        document,
        status_code=document["status"],
        headers=dict(headers),
        media_type=PROBLEM_JSON if wants_problem else JSON,
    )


EXCEPTION_HANDLERS: ExceptionHandlersMap = {
    ServiceError: answer_service_error,
    HTTPException: answer_framework_error,
    Exception: answer_unexpected_error,
}
