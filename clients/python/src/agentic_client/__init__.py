"""A client of agentic executions: start them, follow them, be told. See the README for examples."""

from agentic_client.async_client import AsyncClient
from agentic_client.client import Client
from agentic_client.conversations import Conversation, Cycle, Issue, Turn, Verdict
from agentic_client.errors import (
    AgenticError,
    ApiError,
    BadRequest,
    Conflict,
    ExecutionFailed,
    FieldError,
    Forbidden,
    Gone,
    InvalidInput,
    InvalidSignature,
    KeyReused,
    NotFound,
    RateLimited,
    Unauthorized,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    WaitTimedOut,
)
from agentic_client.models import Batch, BatchResult, Definition, Event, Execution, File, Status, Usage
from agentic_client.options import BatchItem, Filters, RerunOptions, StartOptions
from agentic_client.retrying import Retrying
from agentic_client.uploads import Upload
from agentic_client.webhooks import WebhookMessage, verify_webhook

__all__ = [
    "AgenticError",
    "ApiError",
    "AsyncClient",
    "BadRequest",
    "Batch",
    "BatchItem",
    "BatchResult",
    "Client",
    "Conflict",
    "Conversation",
    "Cycle",
    "Definition",
    "Event",
    "Execution",
    "ExecutionFailed",
    "FieldError",
    "File",
    "Filters",
    "Forbidden",
    "Gone",
    "InvalidInput",
    "InvalidSignature",
    "Issue",
    "KeyReused",
    "NotFound",
    "RateLimited",
    "RerunOptions",
    "Retrying",
    "StartOptions",
    "Status",
    "Turn",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "Upload",
    "Usage",
    "Verdict",
    "WaitTimedOut",
    "WebhookMessage",
    "verify_webhook",
]
