"""Messages of webhooks, as Standard Webhooks has them: who receives one makes sure first that this service sent it."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agentic_client.errors import InvalidSignature, UnexpectedAnswer
from agentic_client.reading import read

TOLERANCE_SECONDS = 300
"""How far the sender's clock and the way may put a message off; older ones may be somebody's who recorded them."""
SECRET_PREFIX = "whsec_"  # noqa: S105
VERSION = "v1"


@dataclass(frozen=True, kw_only=True)
class WebhookMessage:
    """A message that may be trusted. `id` is the same in every attempt: who has it already answers 200 and does
    nothing. `type` is the event's kind after `execution.`; `data` says which execution, and what stands now."""

    id: str
    type: str
    timestamp: datetime
    data: Mapping[str, Any]


def verify_webhook(
    body: bytes,
    headers: Mapping[str, str],
    secrets: str | Iterable[str],
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> WebhookMessage:
    """The message in a body, once it is sure who sent it. `body` must be the bytes as they came; `secrets` one, or the
    new and the old one while they change; `now` is seconds since 1970, this machine's clock if absent.

    Raises InvalidSignature; UnexpectedAnswer for a message that is no event; ValueError for a secret that is none.
    """
    keys = [_key(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    given = {name.lower(): value for name, value in headers.items()}
    message_id, sent_at, signatures = (_header(given, f"webhook-{name}") for name in ("id", "timestamp", "signature"))
    _check_age(sent_at, tolerance_seconds, time.time() if now is None else now)
    content = b".".join((message_id.encode(), sent_at.encode(), body))
    if not any(_matches(key, content, signatures) for key in keys):
        raise InvalidSignature("No signature is of one of these secrets.")
    return _message(message_id, body)


def _message(message_id: str, body: bytes) -> WebhookMessage:
    try:
        return read(WebhookMessage, {**json.loads(body), "id": message_id})
    except (ValueError, TypeError) as error:
        raise UnexpectedAnswer("The message is signed, but is no JSON object.") from error


def _key(secret: str) -> bytes:
    text = secret.removeprefix(SECRET_PREFIX)
    try:
        key = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"A secret is {SECRET_PREFIX} and base64.") from error
    if not key:
        raise ValueError("A secret must not be empty.")
    return key


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value:
        raise InvalidSignature(f"The header {name} is missing.")
    return value


def _check_age(sent_at: str, tolerance_seconds: float, now: float) -> None:
    if not (sent_at.isascii() and sent_at.isdigit() and len(sent_at) < 12):
        raise InvalidSignature("The header webhook-timestamp is no time.")
    if abs(now - int(sent_at)) > tolerance_seconds:
        raise InvalidSignature(f"The message was signed more than {tolerance_seconds:g} s from now.")


def _matches(key: bytes, content: bytes, signatures: str) -> bool:
    """Whether one of the signatures is this key's; comparing takes as long whatever is wrong with them."""
    expected = b64encode(hmac.digest(key, content, hashlib.sha256))
    pairs = (each.partition(",") for each in signatures.split())
    of_version = [value.encode() for version, _, value in pairs if version == VERSION]
    return any(hmac.compare_digest(expected, value) for value in of_version)
