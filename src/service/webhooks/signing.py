"""Signatures as Standard Webhooks has them, version v1: HMAC-SHA256 under secrets that both sides know."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64encode
from collections.abc import Sequence

PREFIX = "whsec_"
SECRET_BYTES = 32  # the specification has 24 to 64


def new_secret() -> bytes:
    """The bytes of a secret that was never given out."""
    return secrets.token_bytes(SECRET_BYTES)


def shown(secret: bytes) -> str:
    """A secret as its receiver is given it, once."""
    return PREFIX + b64encode(secret).decode()


def signed_headers(
    body: bytes, secrets_of_receiver: Sequence[bytes], *, message_id: str, timestamp: int
) -> dict[str, str]:
    """The three headers of one attempt. Signed with every secret: a receiver knows the old one or the new one.

    `timestamp` is that of the attempt, in seconds since 1970; `message_id` is the same in every attempt.
    """
    content = b".".join((message_id.encode(), str(timestamp).encode(), body))
    signatures = (b64encode(hmac.digest(secret, content, hashlib.sha256)).decode() for secret in secrets_of_receiver)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
