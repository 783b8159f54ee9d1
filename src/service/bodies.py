"""JSON bodies: read, checked for what no route takes, and decoded with every error at once."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from service.definitions.schema import Undecodable, convert
from service.errors import BadRequest, BodyTooLarge, FieldError, InvalidInput, UnsupportedMediaType

if TYPE_CHECKING:  # the worker decodes too, and loads no web framework
    from litestar import Request

T = TypeVar("T")


async def read_json(request: Request[Any, Any, Any], *, max_bytes: int | None = None) -> Any:
    """The body as JSON values. Raises UnsupportedMediaType, BodyTooLarge or BadRequest; what the values are is not
    looked at. `max_bytes` is for routes that opt out of the application's own limit."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise UnsupportedMediaType(f"Send the body as application/json; its Content-Type is {media_type!r}.")
    return parse_json(await (request.body() if max_bytes is None else read_limited(request, max_bytes)))


async def read_limited(request: Request[Any, Any, Any], max_bytes: int) -> bytes:
    """The bytes of a JSON body. Raises BodyTooLarge as soon as there are more."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise BodyTooLarge(max_bytes)
    return bytes(body)


def parse_json(text: bytes | str) -> Any:
    """JSON text as values. Raises BadRequest saying where it is malformed.

    A number out of range comes as infinity and half a surrogate pair as it is: decoding refuses both, with their path.
    """
    try:
        return msgspec.json.decode(text)
    except UnicodeDecodeError as error:
        raise BadRequest(f"Invalid JSON: {error}") from error
    except UnicodeEncodeError as error:  # a text within JSON that is to be JSON itself
        raise BadRequest("Invalid JSON: it has half a surrogate pair.") from error
    except RecursionError as error:
        raise BadRequest("Invalid JSON: it is nested too deep.") from error
    except msgspec.DecodeError as error:
        return _read_again(text, error)


def _read_again(text: bytes | str, refusal: msgspec.DecodeError) -> Any:
    """What msgspec refuses without saying where, though it is JSON. Raises BadRequest in its words for all else."""
    try:
        return _EVERY_NUMBER.decode(text if isinstance(text, str) else text.decode())
    except (ValueError, RecursionError):
        raise BadRequest(f"Invalid JSON: {refusal}") from refusal


def _integer(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts
        return math.inf


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_EVERY_NUMBER = json.JSONDecoder(parse_int=_integer, parse_constant=_no_number)


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
