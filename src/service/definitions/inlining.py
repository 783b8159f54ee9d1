"""JSON Schemas without references: what a reference leads to is put in its place, as far as that ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

LITERAL_KEYS = frozenset({"default", "enum", "const", "examples", "required", "type", "dependentRequired"})
"""Keywords whose values are data, not schemas."""

MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
"""Keywords whose values are schemas by name."""

ANNOTATIONS = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"})
"""Keywords that may stand beside a reference without saying anything about the value."""

DROPPED = frozenset({"discriminator", "$defs", "definitions", "$schema", "$id", "$comment"})
"""What means nothing once references are gone. A discriminator maps to them."""

ALTERNATIVES = ("allOf", "anyOf", "oneOf")
CONDITIONS = ("not", "if", "then", "else")
"""Keywords whose schemas are about the value itself, as those of dependentSchemas and references are."""

MAX_PARTS = 20_000
"""Schemas that an inlined one may hold: references to references grow without a bound of their own."""


def map_schemas(schema: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """The schema with every schema directly inside it changed; what is data, or true or false, stays."""

    def inner(key: str, value: Any) -> Any:
        if key in LITERAL_KEYS:
            return value
        if isinstance(value, list):
            return [change(part) if isinstance(part, dict) else part for part in value]
        if not isinstance(value, dict):
            return value
        if key in MAPS:
            return {name: change(part) if isinstance(part, dict) else part for name, part in value.items()}
        return change(value)

    return {key: inner(key, value) for key, value in schema.items()}


def every_schema(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schema and all inside it."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        yield part
        map_schemas(part, waiting.append)


def in_place(root: dict[str, Any], part: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas that a schema of `root` holds the same value to as itself."""
    applied = [target(root, part["$ref"])] if isinstance(part.get("$ref"), str) else []
    applied += [other for keyword in ALTERNATIVES for other in part.get(keyword, ())]
    applied += [part.get(keyword) for keyword in CONDITIONS]
    applied += part.get("dependentSchemas", {}).values()
    yield from (other for other in applied if isinstance(other, dict))


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without references; only schemas that contain themselves are kept, as `$defs`, and referred to.

    Raises ValueError for a reference that leads nowhere or out of the schema, and where the whole grows too large.
    """
    made = _Inliner(schema, keep=True)
    root = made.part(schema, ("#",))
    return root if not made.names else {**root, "$defs": made.kept()}


def unrolled(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without any reference, to be put into another or given to a model: a schema that contains itself ends
    after one round in an open one. It takes whatever the true one takes, and more."""
    return _Inliner(schema, keep=False).part(schema, ("#",))


def target(root: dict[str, Any], reference: str) -> Any:
    """What a local reference, such as #/$defs/Node, leads to. Raises ValueError for any other."""
    if reference != "#" and not reference.startswith("#/"):
        raise ValueError(f"refers to {reference!r}; only what is in the schema itself can be referred to, by #/…")
    found: Any = root
    for step in reference.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, dict) and name in found:
            found = found[name]
        else:
            raise ValueError(f"refers to {reference!r}, which is not in it")
    return found


class _Inliner:
    """One schema being inlined. `names` are those of the schemas that contain themselves, by reference."""

    def __init__(self, root: dict[str, Any], *, keep: bool) -> None:
        self.names: dict[str, str] = {}
        self._root = root
        self._keep = keep
        self._parts = 0

    def kept(self) -> dict[str, Any]:
        """What the names stand for."""
        made: dict[str, Any] = {}
        while left := [reference for reference, name in self.names.items() if name not in made]:
            for reference in left:
                made[self.names[reference]] = self._target(reference, (reference,))
        return made

    def part(self, part: dict[str, Any], within: tuple[str, ...]) -> dict[str, Any]:
        """A schema of the whole; `within` are the references that led to it."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise ValueError(f"holds more than {MAX_PARTS} schemas once its references are replaced")
        reference = part.get("$ref")
        if not isinstance(reference, str):
            return map_schemas(
                {key: inner for key, inner in part.items() if key not in DROPPED and (key, inner) != ("required", [])},
                lambda inner: self.part(inner, within),
            )
        beside = self.part({key: inner for key, inner in part.items() if key != "$ref"}, within)
        referred = self._referred(reference, within)
        if beside.keys() <= ANNOTATIONS:
            return {**referred, **beside}
        return {**beside, "allOf": [referred, *beside.get("allOf", ())]}

    def _referred(self, reference: str, within: tuple[str, ...]) -> dict[str, Any]:
        if reference not in within:
            return self._target(reference, (*within, reference))
        if self._keep:
            return {"$ref": f"#/$defs/{self._name(reference)}"}
        found = target(self._root, reference)
        return {"type": found["type"]} if isinstance(found, dict) and isinstance(found.get("type"), str) else {}

    def _target(self, reference: str, within: tuple[str, ...]) -> dict[str, Any]:
        found = target(self._root, reference)
        if isinstance(found, bool):
            return {} if found else {"not": {}}
        if not isinstance(found, dict):
            raise ValueError(f"refers to {reference!r}, which is no schema")
        return self.part(found, within)

    def _name(self, reference: str) -> str:
        """A name for what the reference leads to, told from others of the same last step."""
        if reference not in self.names:
            last = reference.rpartition("/")[2] if "/" in reference else "Root"
            plain = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in last) or "Root"
            taken = list(self.names.values())
            self.names[reference] = plain if plain not in taken else f"{plain}_{len(taken)}"
        return self.names[reference]
