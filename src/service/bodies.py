"""JSON bodies: read, checked for what no route takes, and decoded with every error at once."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from litestar import Request

from service.definitions.schema import Undecodable, convert
from service.errors import BadRequest, FieldError, InvalidInput, UnsupportedMediaType

T = TypeVar("T")


async def read_json(request: Request[Any, Any, Any]) -> Any:
    """The body as JSON values. Raises UnsupportedMediaType or BadRequest; what the values are is not looked at."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(f"Send the body as application/json; its Content-Type is {media_type!r}.")
    return parse_json(await request.body())


def parse_json(text: bytes | str) -> Any:
    """JSON text as values. Raises BadRequest saying where it is malformed."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # DecodeError has ValidationError (1e400) below it
        raise BadRequest(f"Invalid JSON: {error}") from error
    except RecursionError as error:
        raise BadRequest("Invalid JSON: it is nested too deep.") from error


async def read_body(request: Request[Any, Any, Any], type_: type[T]) -> T:
    """The body as an object of the type. Raises as `read_json`, and InvalidInput naming every field that is wrong."""
    return decode_body(await read_json(request), type_)


def decode_body(value: object, type_: type[T]) -> T:
    """A body's JSON values as an object of the type. Raises InvalidInput naming every field that is wrong."""
    try:
        return convert(type_, value)
    except Undecodable as error:
        raise InvalidInput(
            [FieldError(problem.field("").removeprefix(".") or "body", problem.message) for problem in error.problems]
        ) from error
