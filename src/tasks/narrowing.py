"""The next answer's schema, tightened by what is known of the last one, and single values of an answer put in place.

Schemas are those of `schema_of`: references inlined. A place that a schema or an answer does not have changes nothing:
the schema only helps a model that decodes under it, every answer is judged all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

Path = tuple[str, ...]
Schema = Mapping[str, Any]

REPLACING = frozenset({"const", "enum", "anyOf", "oneOf"})
"""Keywords that say by themselves what a value may be."""

TIGHTER = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
}


class NoSuchPlace(LookupError):
    """A path that leads nowhere in a value."""


def path_of(pointer: str) -> Path:
    """The steps of a JSON pointer, none for the whole value."""
    if not pointer.strip("/"):
        return ()
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.removeprefix("/").split("/"))


def replaced(value: Any, path: Path, new: Any) -> Any:
    """The value with `new` at the path: a key may be new, an index may be the next one. Raises NoSuchPlace."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(value, dict) and (step in value or not rest):
        return {**value, step: replaced(value.get(step), rest, new)}
    if isinstance(value, list) and _is_index(step, len(value) if rest else len(value) + 1):
        index = int(step)
        return [*value[:index], replaced(value[index] if rest else None, rest, new), *value[index + 1 :]]
    raise NoSuchPlace("/".join(path))


def narrowed(schema: Schema, path: Path, narrow: Schema, answer: Any) -> Schema:
    """The schema with the value at `path` held to `narrow` as well, and asked for. `answer` is the last one.

    What an array holds is told apart by index, so the next one must be as long as the last was.
    """
    if not path:
        return tightened(schema, narrow)
    step, rest = path[0], path[1:]
    form = _form(schema, "array" if isinstance(answer, list) else "object")
    if form.get("type") == "object":
        inner = _property(form, step)
        held = inner if inner is None else narrowed(inner, rest, narrow, _member(answer, step))
        return schema if held is None or held is inner else _with_property(form, step, held)
    if form.get("type") == "array" and isinstance(answer, list) and _is_index(step, len(answer)):
        slots = _slots(form, len(answer))
        slots[int(step)] = narrowed(slots[int(step)], rest, narrow, answer[int(step)])
        return _tuple(form, slots)
    return schema


def tightened(schema: Schema, narrow: Schema) -> Schema:
    """Both in one flat schema, as models that decode under schemas understand them; `narrow` wins."""
    about = {key: schema[key] for key in ("title", "description") if key in schema}
    form = _form(schema, narrow.get("type"))
    if REPLACING & narrow.keys() or narrow.get("type", form.get("type")) != form.get("type", narrow.get("type")):
        return {**about, **narrow}
    made: dict[str, Any] = {**form, **narrow}
    for key, tighter in TIGHTER.items():
        if key in form and key in narrow:
            made[key] = tighter(form[key], narrow[key])
    if "properties" in form and "properties" in narrow:
        own = form["properties"]
        made["properties"] = {
            **own, **{name: tightened(own.get(name, {}), inner) for name, inner in narrow["properties"].items()}
        }  # fmt: skip
        made["required"] = list(dict.fromkeys([*form.get("required", ()), *narrow.get("required", ())]))
    if "prefixItems" in narrow and "items" not in narrow:
        made.pop("items", None)
    return made


def patchable(schema: Schema, answer: Any, paths: Collection[Path]) -> tuple[str, ...]:
    """The fields of an object that can be asked for by themselves so as to mend what is at `paths`.

    None where that cannot be: an issue is about all of it, a key is the model's own, or no field would be left out.
    """
    fields = schema.get("properties", {}) if schema.get("type") == "object" else {}
    wanted = {path[0] if path else "" for path in paths}
    if not isinstance(answer, dict) or not wanted <= fields.keys() or len(wanted) == len(fields):
        return ()
    return tuple(name for name in fields if name in wanted)


def patch(schema: Schema, fields: Sequence[str], answer: Any, paths: Collection[Path]) -> Schema:
    """The schema of an answer with just these fields; within them, what no path leads to stays as it was."""
    if schema.get("type") != "object" or not set(fields) <= schema.get("properties", {}).keys():
        return schema
    properties = {name: schema["properties"][name] for name in fields}
    for name in fields:
        if name in answer:
            within = {path[1:] for path in paths if path[0] == name}
            properties[name] = pinned(properties[name], answer[name], within)
    return {**schema, "properties": properties, "required": list(fields), "additionalProperties": False}


def pinned(schema: Schema, answer: Any, paths: Collection[Path]) -> Schema:
    """The schema with everything held to what it is in `answer`, but for what the paths lead to."""
    if () in paths:
        return schema
    if not paths:
        return {"const": answer}
    within = {path[0]: {other[1:] for other in paths if other[0] == path[0]} for path in paths}
    form = _form(schema, "array" if isinstance(answer, list) else "object")
    if isinstance(answer, dict) and form.get("type") == "object":
        return _pinned_object(form, answer, within)
    if isinstance(answer, list) and form.get("type") == "array":
        if not all(_is_index(step, len(answer)) for step in within):
            return schema
        slots = _slots(form, len(answer))
        return _tuple(
            form, [pinned(slot, answer[index], within.get(str(index), ())) for index, slot in enumerate(slots)]
        )
    return schema


def _pinned_object(schema: Schema, answer: dict[str, Any], within: Mapping[str, set[Path]]) -> Schema:
    inner = {name: _property(schema, name) for name in (*answer, *within)}
    if any(part is None for part in inner.values()):
        return schema
    made = {name: part or {} for name, part in inner.items()}
    made |= {name: pinned(made[name], value, within.get(name, ())) for name, value in answer.items()}
    properties = {**schema.get("properties", {}), **made}
    wanted = {*schema.get("required", ()), *answer}
    return {**schema, "properties": properties, "required": [name for name in properties if name in wanted]}


def _form(schema: Schema, kind: str | None) -> Schema:
    """Of a schema with alternatives the one for values of that kind, if there is just one."""
    fitting = [branch for branch in schema.get("anyOf", ()) if branch.get("type") == kind]
    return fitting[0] if len(fitting) == 1 else schema


def _property(schema: Schema, name: str) -> Schema | None:
    inner = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return inner if isinstance(inner, Mapping) else None


def _with_property(schema: Schema, name: str, inner: Schema) -> Schema:
    properties = {**schema.get("properties", {}), name: inner}
    wanted = {*schema.get("required", ()), name}
    return {**schema, "properties": properties, "required": [known for known in properties if known in wanted]}


def _member(answer: Any, step: str) -> Any:
    return answer.get(step) if isinstance(answer, dict) else None


def _slots(schema: Schema, length: int) -> list[Schema]:
    known = [slot if isinstance(slot, Mapping) else {} for slot in schema.get("prefixItems", ())][:length]
    items = schema.get("items")
    return known + [items if isinstance(items, Mapping) else {}] * (length - len(known))


def _tuple(schema: Schema, slots: Sequence[Schema]) -> Schema:
    # Without `items`: llama.cpp reads only one of the two, and refuses `items: false`.
    rest = {key: value for key, value in schema.items() if key != "items"}
    return {**rest, "prefixItems": list(slots), "minItems": len(slots), "maxItems": len(slots)}


def _is_index(step: str, length: int) -> bool:
    return step.isascii() and step.isdecimal() and len(step) < 10 and int(step) < length
