"""What authors of definitions import. Everything else in this distribution is internal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentic import own_packages  # first: it makes sure that the next imports find our packages
from service.definitions.context import (
    AttachedFile,
    DataSet,
    Product,
    ProductChange,
    RunContext,
    ToolCall,
    ToolContext,
    Web,
    WebPage,
    as_data,
)
from service.definitions.definition import Definition, Example, Input, Item, Offer, Proposal, Step
from service.definitions.failures import Failed, FailureCode, Finished, Outcome
from service.definitions.json_schema import JsonSchema
from service.definitions.limits import Limits
from service.definitions.shop import (
    AlreadyRecorded,
    NewOrder,
    NewReceipt,
    Order,
    OrderLine,
    Receipt,
    ReceiptLine,
    Shop,
    ShopProduct,
    UnknownProduct,
)
from service.definitions.strategy import Rung, Strategy
from service.definitions.tools import Tool, ToolFailed, tool
from service.definitions.verdicts import Accept, Fix, Issue, Reject, Retry, Verdict

if TYPE_CHECKING:
    from tasks.testing import MemoryDataSet, Played, play, play_async

__all__ = [
    "Accept",
    "AlreadyRecorded",
    "AttachedFile",
    "DataSet",
    "Definition",
    "Example",
    "Failed",
    "FailureCode",
    "Finished",
    "Fix",
    "Input",
    "Issue",
    "Item",
    "JsonSchema",
    "Limits",
    "MemoryDataSet",
    "NewOrder",
    "NewReceipt",
    "Offer",
    "Order",
    "OrderLine",
    "Outcome",
    "Played",
    "Product",
    "ProductChange",
    "Proposal",
    "Receipt",
    "ReceiptLine",
    "Reject",
    "Retry",
    "RunContext",
    "Rung",
    "Shop",
    "ShopProduct",
    "Step",
    "Strategy",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolFailed",
    "UnknownProduct",
    "Verdict",
    "Web",
    "WebPage",
    "as_data",
    "play",
    "play_async",
    "tool",
]

_FOR_TESTS = frozenset({"MemoryDataSet", "Played", "play", "play_async"})


def __getattr__(name: str) -> Any:
    """The names for tests, loaded when asked for: the API imports definitions too and never needs the loop."""
    if name in _FOR_TESTS:
        own_packages.claim("tasks")
        import tasks.testing

        return getattr(tasks.testing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
