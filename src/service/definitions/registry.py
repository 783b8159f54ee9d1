"""All definitions of the installed packages, found through the entry-point group `agentic.definitions`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points

from service.definitions.definition import AnyDefinition, Definition
from service.definitions.mistakes import mistakes
from service.errors import SetupError

GROUP = "agentic.definitions"


@dataclass(frozen=True)
class Source:
    """An entry point of a package, the module it names, what it holds, and what is wrong with it."""

    package: str
    entry_point: str
    module: str
    definitions: tuple[AnyDefinition, ...] = ()
    problems: tuple[str, ...] = field(default=())

    @property
    def label(self) -> str:
        """How messages name it."""
        return f"package {self.package!r}, entry point {self.entry_point!r}"


class Registry:
    """Definitions by key and version. Immutable; one per process."""

    def __init__(self, definitions: Iterable[AnyDefinition]) -> None:
        """The definitions as they are; `discover` and `of` check them first."""
        self._by_version = {(definition.key, definition.version): definition for definition in definitions}

    @classmethod
    def discover(cls) -> Registry:
        """The definitions of every installed package.

        Raises SetupError naming the package of each one that fails to import, is written wrongly or is there twice.
        """
        return cls._checked(sources())

    @classmethod
    def of(cls, *definitions: AnyDefinition) -> Registry:
        """These definitions, checked as installed ones are: for tests and for embedding."""
        return cls._checked([_checked_source(Source("given", "given", "given"), definitions)])

    @classmethod
    def _checked(cls, found: Sequence[Source]) -> Registry:
        problems = [f"{source.label}: {problem}" for source in found for problem in source.problems]
        problems += duplicates(found)
        if problems:
            raise SetupError("Definitions cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems))
        return cls(definition for source in found for definition in source.definitions)

    def get(self, key: str, version: int) -> AnyDefinition | None:
        """Exactly this version, or None if no installed package has it."""
        return self._by_version.get((key, version))

    def latest(self, key: str) -> AnyDefinition | None:
        """The highest version of a key, which new executions get."""
        versions = [version for known, version in self._by_version if known == key]
        return self._by_version[key, max(versions)] if versions else None

    def of_agent_type(self, agent_type: str) -> list[AnyDefinition]:
        """What agents of a type offer: the latest version of each key, by key."""
        keys = sorted({key for key, _ in self._by_version})
        newest = [definition for key in keys if (definition := self.latest(key)) is not None]
        return [definition for definition in newest if definition.agent_type == agent_type]

    def references(self) -> list[str]:
        """key@version of every definition, sorted: what a worker that has this registry can run."""
        return sorted(definition.reference for definition in self._by_version.values())

    def __iter__(self) -> Iterator[AnyDefinition]:
        return iter(self._by_version[name] for name in sorted(self._by_version))

    def __len__(self) -> int:
        return len(self._by_version)


def sources(package: str | None = None) -> list[Source]:
    """Every entry point of the group, or those of one package, loaded and checked; never raises for what is wrong."""
    points = sorted(entry_points(group=GROUP), key=lambda point: (package_of(point), point.name))
    wanted = None if package is None else _normal(package)
    return [_load(point) for point in points if wanted in (None, _normal(package_of(point)))]


def package_of(point: EntryPoint) -> str:
    """The name of the distribution that an entry point belongs to."""
    return point.dist.name if point.dist is not None else "unknown"


def duplicates(found: Sequence[Source], *, among: Sequence[Source] | None = None) -> list[str]:
    """A sentence for each key and version of `found` that is registered more than once `among` these (itself)."""
    wanted = {definition.reference for source in found for definition in source.definitions}
    owners: dict[str, list[str]] = {}
    for source in found if among is None else among:
        for definition in source.definitions:
            owners.setdefault(definition.reference, []).append(source.label)
    return [
        f"{reference} is registered {len(labels)} times: {'; '.join(labels)}"
        for reference, labels in owners.items()
        if len(labels) > 1 and reference in wanted
    ]


def _normal(name: str) -> str:
    """A distribution's name in the one spelling that stands for all of them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _load(point: EntryPoint) -> Source:
    source = Source(package_of(point), point.name, point.module)
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a foreign import may raise anything; it must be named
        lines = str(error).strip().splitlines() or [""]
        return replace(source, problems=(f"fails to import: {type(error).__name__}: {lines[-1]}",))
    return _checked_source(source, loaded)


def _checked_source(source: Source, loaded: object) -> Source:
    found = (loaded,) if isinstance(loaded, Definition) else loaded
    if not isinstance(found, Iterable) or isinstance(found, str | bytes):
        return replace(source, problems=(f"is {type(loaded).__name__}, not a Definition or several",))
    parts = tuple(found)
    strays = [f"holds {type(part).__name__}, not a Definition" for part in parts if not isinstance(part, Definition)]
    definitions = tuple(part for part in parts if isinstance(part, Definition))
    wrong = [f"{definition.reference} {mistake}" for definition in definitions for mistake in mistakes(definition)]
    return replace(source, definitions=definitions, problems=tuple(strays + wrong))
