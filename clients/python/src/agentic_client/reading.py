"""JSON values as frozen dataclasses. Members that a dataclass does not have are skipped, so that a newer service does
no harm; fields with a default may be absent, so that an older one does none either."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from agentic_client.errors import UnexpectedAnswer

T = TypeVar("T")
Reader = Callable[[Any], Any]

RAW = "raw"
"""A field of this name holds the whole object as it came, with what this version does not know."""


def read(kind: Callable[..., T], value: object) -> T:
    """The value as this dataclass. Raises UnexpectedAnswer where it cannot be."""
    try:
        made: T = _reader(kind)(value)
        return made
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UnexpectedAnswer(f"The answer is no {kind.__name__}: {error!r}") from error


@cache
def _reader(kind: Any) -> Reader:
    if kind is datetime:
        return datetime.fromisoformat
    if is_dataclass(kind):
        return _object_reader(kind)
    origin, of = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        (some,) = (each for each in of if each is not types.NoneType)
        return _optional(_reader(some))
    if origin is tuple:
        return _items(_reader(of[0]))
    if origin is Mapping:
        return _members(_reader(of[1]))
    if kind is Any or origin is Literal:
        return _as_it_is
    return _checked(kind)


def _as_it_is(value: Any) -> Any:
    return value


def _optional(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def _items(reader: Reader) -> Reader:
    return lambda values: tuple(reader(value) for value in _checked(list)(values))


def _members(reader: Reader) -> Reader:
    return lambda values: {name: reader(value) for name, value in values.items()}


def _checked(kind: type[Any]) -> Reader:
    """The value, if it is of this kind; whole numbers are numbers as well."""
    accepted = (int, float) if kind is float else kind

    def reader(value: Any) -> Any:
        if not isinstance(value, accepted):
            raise TypeError(f"{value!r} is no {kind.__name__}")
        return float(value) if kind is float else value

    return reader


def _object_reader(kind: Any) -> Reader:
    hints = get_type_hints(kind)
    known = [field for field in fields(kind) if field.name != RAW]
    readers = {field.name: _reader(hints[field.name]) for field in known}
    required = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    keeps_all = len(known) < len(fields(kind))

    def reader(value: Any) -> Any:
        missing = [name for name in required if name not in value]
        if missing:
            raise ValueError(f"{', '.join(missing)} missing")
        given = {name: read_one(value[name]) for name, read_one in readers.items() if name in value}
        return kind(**given, **{RAW: value} if keeps_all else {})

    return reader
