"""What a list of executions may be held to: the query's words as values for the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.params import QueryParameter

from service.errors import FieldError, InvalidInput
from service.executions.lifecycle import Status
from service.wire import MAX_ID

Filters: TypeAlias = dict[str, object]
"""Values by the names of the store's CONDITIONS."""

METADATA = "metadata["
MOST_METADATA = 10
_LONGEST = 500

_Word: TypeAlias = Annotated[str | None, QueryParameter(description="Empty: no filter.")]
_Moment: TypeAlias = Annotated[str | None, QueryParameter(description="A time such as 2025-04-10T14:00:00Z.")]


def read_filters(
    request: Request[Any, Any, State],
    agent_id: _Word = None,
    status: _Word = None,
    dataset_id: _Word = None,
    execution_key: _Word = None,
    failure_code: _Word = None,
    external_id: _Word = None,
    schedule_id: _Word = None,
    started_from: _Moment = None,
    started_before: _Moment = None,
) -> Filters:
    """Filters as the store takes them; `metadata[name]=text` may be given more than once.

    Raises InvalidInput naming every parameter that is wrong.
    """
    errors: list[FieldError] = []
    filters = {
        condition: value
        for condition, name, text, read in (
            ("agent_id", "agent_id", agent_id, _id),
            ("data_set_id", "dataset_id", dataset_id, _id),
            ("status", "status", status, _status),
            ("definition_key", "execution_key", execution_key, _text),
            ("failure_code", "failure_code", failure_code, _text),
            ("external_id", "external_id", external_id, _text),
            ("schedule_id", "schedule_id", schedule_id, _id),
            ("started_from", "started_from", started_from, moment),
            ("started_before", "started_before", started_before, moment),
            ("metadata", "metadata", request.query_params.multi_items(), _metadata),
        )
        if text and (value := _read(read, text, name, errors)) is not None
    }
    if errors:
        raise InvalidInput(errors)
    return filters


def _read(read: Callable[[Any], object], text: object, name: str, errors: list[FieldError]) -> object:
    try:
        return read(text)
    except ValueError as wrong:
        errors.append(FieldError(name, str(wrong)))
        return None


def moment(text: str) -> datetime:
    """A time with its offset, as RFC 3339 writes it. Raises ValueError."""
    try:
        # A plus sign that nobody encoded arrives as a space.
        read: datetime = msgspec.convert(text.replace(" ", "+"), Annotated[datetime, msgspec.Meta(tz=True)])
        return read
    except msgspec.ValidationError:
        raise ValueError("must be a time with its offset, such as 2025-04-10T14:00:00Z") from None


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= MAX_ID):
        raise ValueError("must be the id of one: a positive integer")
    return int(text)


def _status(text: str) -> str:
    if text not in tuple(Status):
        raise ValueError(f"must be one of {', '.join(Status)}")
    return text


def _text(text: str) -> str:
    if "\0" in text or len(text) > _LONGEST:
        raise ValueError(f"must be a text of at most {_LONGEST} characters, without NUL")
    return text


def _metadata(query: Iterable[tuple[str, str]]) -> str | None:
    """What the query asks of metadata, as JSON; None if it asks nothing."""
    named = [(name, text) for name, text in query if name.startswith(METADATA)]
    if len(named) > MOST_METADATA:
        raise ValueError(f"may be asked for by at most {MOST_METADATA} names")
    found: dict[str, str] = {}
    for name, text in named:
        key = name.removeprefix(METADATA)
        if not key.endswith("]") or len(key) == 1:
            raise ValueError("is asked for as metadata[name]=text")
        if found.setdefault(_text(key[:-1]), _text(text)) != text:
            raise ValueError("cannot have two texts under one name")
    return msgspec.json.encode(found).decode() if found else None
