"""How long it takes to hold a value to a schema whose alternatives contain themselves: each level may double it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from service.definitions.inlining import in_place

MOST_VISITS = 10_000
VISITS_PER_CONTAINER = 30
"""What a validator may look at: so much, and so much for each object or list, which is more than wide values take."""

OF_EVERY_NAME = ("additionalProperties", "unevaluatedProperties")
OF_EVERY_PLACE = ("items", "contains", "unevaluatedItems")

Applied = list[tuple[dict[str, Any], int]]


def is_too_much(schema: dict[str, Any], value: object) -> bool:
    """Whether a validator that looks into every alternative would take very long over a JSON value.

    Each schema is taken once for each object or list that it applies to, with the number of ways that lead to it, so
    that the counting itself takes little. References are those within `schema`.
    """
    visits, containers = 0, 0
    waiting: list[tuple[object, Applied]] = [(value, [(schema, 1)])]
    while waiting:
        container, applied = waiting.pop()
        containers += 1
        inside: dict[int, tuple[object, dict[int, tuple[dict[str, Any], int]]]] = {}
        while applied:
            part, ways = applied.pop()
            visits += ways
            if visits > MOST_VISITS + VISITS_PER_CONTAINER * containers:
                return True
            applied += [(other, ways) for other in in_place(schema, part)]
            for number, inner, below in _below(part, container):
                ways_in = inside.setdefault(number, (inner, {}))[1]
                ways_in[id(below)] = (below, ways_in.get(id(below), (below, 0))[1] + ways)
        waiting += [(inner, list(ways_in.values())) for inner, ways_in in inside.values()]
    return False


def _below(part: dict[str, Any], container: object) -> Iterator[tuple[int, object, dict[str, Any]]]:
    """The objects and lists directly inside, each by its number, with a schema that applies to it."""
    inner = container.values() if isinstance(container, dict) else container if isinstance(container, list) else ()
    names = list(container) if isinstance(container, dict) else range(len(inner))
    for number, (name, value) in enumerate(zip(names, inner, strict=True)):
        if isinstance(value, dict | list):
            schemas = _of_property(part, name) if isinstance(name, str) else _of_place(part, name)
            yield from ((number, value, schema) for schema in schemas if isinstance(schema, dict))


def _of_property(part: dict[str, Any], name: str) -> Iterator[Any]:
    named = part.get("properties", {})
    if name in named:
        yield named[name]
    else:
        yield from (part.get(keyword) for keyword in OF_EVERY_NAME)
    yield from part.get("patternProperties", {}).values()


def _of_place(part: dict[str, Any], index: int) -> Iterator[Any]:
    first = part.get("prefixItems", ())
    if index < len(first):
        yield first[index]
    yield from (part.get(keyword) for keyword in OF_EVERY_PLACE)
