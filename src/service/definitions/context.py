"""What a running execution hands to instructions, tools and validators. Protocols: no database and no HTTP here."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from service.definitions.shop import Shop


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A product of a data set's catalogue."""

    sku: str
    name: str = ""
    description: str = ""
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class ProductChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to write to a product: fields that are None stay, `details` are merged key by key."""

    sku: str
    name: str | None = None
    description: str | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)


class DataSet(Protocol):
    """The catalogue of the execution's data set, and the shop behind it. Every method is one short statement."""

    id: int
    name: str

    @property
    def shop(self) -> Shop:
        """Stock, goods received and orders."""
        ...

    async def products(self, skus: Sequence[str]) -> list[Product]:
        """The products with these SKUs, in no promised order; unknown SKUs are left out."""
        ...

    async def search(self, query: str, *, limit: int = 10) -> list[Product]:
        """Products whose SKU, name or description holds words of the query, best first."""
        ...

    async def undescribed(self, *, limit: int = 10) -> list[Product]:
        """Products without a description, by SKU."""
        ...

    async def upsert(self, changes: Sequence[ProductChange]) -> list[Product]:
        """Write all changes in one transaction and return the products as they now are. Safe to repeat."""
        ...


class FileReference(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the execution without its bytes: they stay in the database until a model is shown them."""

    blob_id: int
    filename: str
    content_type: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class AttachedFile:
    """A file of the execution as text. `problem` says why there is none; `is_cut` that the text is not all of it.
    `reference` is given where a model that sees can be shown the file itself: sound images and PDFs."""

    filename: str
    content_type: str
    text: str = ""
    is_cut: bool = False
    problem: str | None = None
    reference: FileReference | None = None


@dataclass(frozen=True, kw_only=True)
class WebPage:
    """A page as text, with the schema.org products that it carries for machines. `url` is where redirects led to.

    A text that was cut says so in its last line.
    """

    url: str
    text: str
    is_cut: bool = False


class Web(Protocol):
    """Pages of the public web, fetched safely. One run is given the same text of a page every time it asks."""

    async def page(self, url: str) -> WebPage:
        """The page. Raises ToolFailed, in words for the model, where it is refused, away, or has no text."""
        ...


class NoWeb:
    """What a run has that was given none."""

    async def page(self, url: str) -> WebPage:
        """Raises RuntimeError: whoever made the context forgot it."""
        raise RuntimeError("this run was given no web")


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """The execution that a definition works for. `input` is of the definition's input type, `field_schema` the JSON
    Schema of product details that the agent had when it was started."""

    data_set: DataSet
    files: Sequence[AttachedFile] = ()
    execution_id: int = 0
    deadline: datetime | None = None
    input: Any = None
    web: Web = field(default_factory=NoWeb)
    field_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ToolContext(RunContext):
    """A tool call's context. `idempotency_key` is the same when the call is repeated after a crash.

    `shown` are the files that the model which made the call was shown themselves, beside their text.
    """

    idempotency_key: str
    shown: Sequence[FileReference] = ()


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A recorded tool call. `succeeded` is False where the tool failed, timed out or had wrong arguments."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    succeeded: bool = True
    cycle: int = 1
    item: str | None = None


def as_data(name: str, text: str) -> str:
    """Text from outside as a block that the prompt declares to be data: for files and the like in instructions."""
    label = name.replace('"', "'").replace("<", "(").replace(">", ")").replace("\n", " ")
    # A closing tag in the text would end the block early, and what follows would read as instructions.
    defused = re.sub(r"<(?=\s*(?:/\s*)?data\b)", "(", text, flags=re.IGNORECASE)
    return f'<data name="{label}">\n{defused}\n</data>'
