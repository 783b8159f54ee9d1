"""The answer so far: whole, or in the parts that were asked for item by item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.asks import Ask
from tasks.narrowing import NoSuchPlace, Path, replaced


class Draft:
    """The last readable answer to each ask, as JSON. `keys` are those of the items, in order; [None] without items."""

    def __init__(self, keys: Sequence[str | None]) -> None:
        self._keys = keys
        self._parts: dict[str | None, Any] = {}

    def take(self, ask: Ask, value: Any) -> None:
        """The answer to an ask; that to a patch is put into the one before."""
        key = ask.item_key
        if key is not None:
            value = value[key]
        if ask.fields and isinstance(value, dict):
            value = {**self._parts[key], **value}
        self._parts[key] = value

    def lose(self, ask: Ask) -> None:
        """The answer to an ask could not be read: what was there before no longer stands for it."""
        self._parts.pop(ask.item_key, None)

    def part(self, key: str | None) -> Any:
        """The answer for an item, without its key, or all of it; None where none could be read yet."""
        return self._parts.get(key)

    def whole(self) -> Any:
        """All of the answer. Raises KeyError while a part is missing."""
        if self._keys == [None]:
            return self._parts[None]
        return {key: self._parts[key] for key in self._keys}

    def put(self, path: Path, value: Any) -> bool:
        """Put a value in its place; False if there is none such."""
        key, rest = (None, path) if self._keys == [None] else (path[0] if path else None, path[1:])
        if key not in self._parts:
            return False
        try:
            self._parts[key] = replaced(self._parts[key], rest, value)
        except NoSuchPlace:
            return False
        return True
