"""The body of a start: JSON, or a multipart form with files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from service.accounts.gate import AccountRequest
from service.bodies import parse_json, read_limited
from service.database import Row
from service.errors import BadRequest, FieldError, InvalidInput, UnsupportedMediaType
from service.executions.judging import Start
from service.files.limits import FileLimits
from service.files.multipart import Form, read_form
from service.provided import Settings

JSON = "application/json"
MULTIPART = "multipart/form-data"
FIELDS = (
    "execution_key",
    "input",
    "limits",
    "external_id",
    "metadata",
    "deadline",
    "start_after",
    "priority",
    "webhook_url",
)
MOST_UNKNOWN = 20
"""Unknown fields that are named: a body of nothing else would be answered with many times its size."""


@asynccontextmanager
async def read_start(
    request: AccountRequest, settings: Settings, limits: FileLimits, agent: Row | None
) -> AsyncIterator[Start]:
    """The body as what is asked for; its files are closed when the context ends. Of an agent that is absent it is read
    to know a request again."""
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == JSON:
        yield read_item(parse_json(await read_limited(request, settings.max_body_bytes)))
    elif media_type == MULTIPART:
        async with read_form(
            request.stream(),
            content_type=content_type,
            content_length=request.content_length,
            limits=limits,
            keep_files=agent is not None and agent["file_upload"],
        ) as form:
            yield _of_form(form)
    elif media_type or await read_limited(request, settings.max_body_bytes):
        raise UnsupportedMediaType(f"Send the body as {JSON} or {MULTIPART}, not {media_type or 'without a type'!r}.")
    else:
        yield read_item({})


def read_item(fields: object) -> Start:
    """What a JSON body asks for. Raises BadRequest, or InvalidInput naming every field that is unknown, missing or
    mistyped."""
    if not isinstance(fields, dict):
        raise BadRequest("A start must be a JSON object.")
    errors = _unknown(fields)
    if "execution_key" not in fields:
        errors.append(FieldError("execution_key", "is required"))
    elif not isinstance(fields["execution_key"], str):
        errors.append(FieldError("execution_key", "must be a string"))
    if errors:
        raise InvalidInput(errors)
    return Start(**{"input": {}, **fields})


def _of_form(form: Form) -> Start:
    """The same of a form, whose fields are JSON-encoded where they are no text or time; the key may be left out.

    Raises InvalidInput for what is unknown or repeated.
    """
    errors = _unknown(form.fields)
    errors += [FieldError(name, "was given more than once") for name, texts in form.fields.items() if len(texts) > 1]
    if errors:
        raise InvalidInput(errors)
    given: dict[str, Any] = {name: texts[0] for name, texts in form.fields.items()}
    return Start(**{"execution_key": None, "input": {}, **given}, files=form.files)


def _unknown(names: Iterable[str]) -> list[FieldError]:
    unknown = [name for name in names if name not in FIELDS]
    errors = [FieldError(_shown(name), f"is not a known field; there are {', '.join(FIELDS)}") for name in unknown]
    return errors[:MOST_UNKNOWN]


def _shown(name: str) -> str:
    return name[:100].encode("unicode_escape").decode()
