"""The cases of an evaluation: a file of JSON lines, and beside it the files and products that they name."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from service.datasets.product_files import read_products
from service.definitions.context import AttachedFile, Product
from service.definitions.definition import AnyDefinition
from service.definitions.field_schema import problems_of
from service.definitions.schema import Undecodable, convert, decode
from service.errors import ServiceError, SetupError
from service.files.kinds import identify
from service.settings import Settings
from tasks.documents import DocumentReader, DocumentText, ReadingLimits
from tasks.evaluation.results import ANY, Expected

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]


class CaseLine(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One line of a cases file. `files` and a `products` that is a text are paths from the cases file's folder."""

    id: Name
    input: dict[str, Any]
    files: list[str] = msgspec.field(default_factory=list)
    products: list[Product] | str = msgspec.field(default_factory=list)
    stock: dict[str, int] = msgspec.field(default_factory=dict)
    field_schema: dict[str, Any] | None = None
    expect: Expected = ANY
    attributes: list[Name] = msgspec.field(default_factory=list)
    held_out: bool = False


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case, ready to run. `digest` is of everything that it is made of: another one is another case."""

    id: str
    input: Any
    files: tuple[AttachedFile, ...] = ()
    products: tuple[Product, ...] = ()
    stock: Mapping[str, int] = field(default_factory=dict)
    field_schema: Mapping[str, Any] | None = None
    expect: Expected = ANY
    attributes: tuple[str, ...] = ()
    held_out: bool = False
    digest: str = ""


async def read_cases(path: Path, definition: AnyDefinition, settings: Settings) -> list[Case]:
    """The cases of a file in its order. Raises SetupError naming file, line and field of the first that is wrong.

    Files become text as the worker makes it of uploads; images stay without.
    """
    cases: list[Case] = []
    texts = _Texts(settings)
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            case = await _case(line, path.parent, definition, texts)
            if any(case.id == other.id for other in cases):
                raise SetupError(f"id: {case.id!r} is given more than once")
        except ServiceError as error:
            raise SetupError(f"{path}, line {number}: {error.detail}") from error
        cases.append(case)
    if not cases:
        raise SetupError(f"{path} holds no cases: one JSON object a line, with id and input.")
    return cases


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"The cases file {str(path)!r} cannot be read: {error}") from error


async def _case(line: str, folder: Path, definition: AnyDefinition, texts: _Texts) -> Case:
    read = _read(line)
    files = tuple([await texts.of(folder / name, f"files[{at}]") for at, name in enumerate(read.files)])
    products = _products(read.products, folder)
    parts = (line.encode(), msgspec.json.encode([file.text for file in files]), msgspec.json.encode(products))
    return Case(
        id=read.id,
        input=decode(definition.input, read.input),
        files=files,
        products=products,
        stock=read.stock,
        field_schema=_field_schema(read.field_schema),
        expect=read.expect,
        attributes=tuple(read.attributes),
        held_out=read.held_out,
        digest=hashlib.sha256(b"\0".join(parts)).hexdigest()[:16],
    )


def _read(line: str) -> CaseLine:
    try:
        return convert(CaseLine, msgspec.json.decode(line))
    except msgspec.DecodeError as error:
        raise SetupError(f"is not JSON: {error}") from error
    except Undecodable as error:
        wrong = [
            f"{problem.field('').removeprefix('.') or 'the line'}: {problem.message}" for problem in error.problems
        ]
        raise SetupError("; ".join(wrong)) from error


def _field_schema(given: dict[str, Any] | None) -> dict[str, Any] | None:
    """The schema that the case's agent has. Raises SetupError for one that no agent may have."""
    for problem in [] if given is None else problems_of(given):
        raise SetupError(f"{problem.field('field_schema')}: {problem.message}")
    return given


def _products(given: Sequence[Product] | str, folder: Path) -> tuple[Product, ...]:
    if not isinstance(given, str):
        return tuple(given)
    try:
        uploads = read_products(folder / given)
    except OSError as error:
        raise SetupError(f"products: {given!r} cannot be read: {error.strerror}") from error
    except SetupError as error:
        raise SetupError(f"products: {error.detail}") from error
    return tuple(
        Product(sku=each.sku, name=each.name or "", description=each.description or "", details=each.details)
        for each in uploads
    )


class _Texts:
    """Texts of files, each read once however many cases name it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = DocumentReader(ReadingLimits.of(settings))
        self._known: dict[Path, AttachedFile] = {}

    async def of(self, path: Path, field: str) -> AttachedFile:
        """The file as a run is given it. Raises SetupError naming the case's field for one that no upload may be."""
        if path not in self._known:
            try:
                self._known[path] = await self._read(path)
            except OSError as error:
                raise SetupError(f"{field}: {str(path)!r} cannot be read: {error.strerror}") from error
            except ServiceError as error:
                raise SetupError(f"{field}: {error.detail}") from error
        return self._known[path]

    async def _read(self, path: Path) -> AttachedFile:
        with path.open("rb") as handle:
            content_type = identify(path.name, handle, max_pixels=self._settings.max_image_pixels)
            content = handle.read()
        found = await self._reader.read(_one(content), content_type)
        if isinstance(found, DocumentText):
            return AttachedFile(path.name, content_type, found.text, found.is_cut)
        return AttachedFile(path.name, content_type, problem=found.explanation)


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
