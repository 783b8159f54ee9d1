"""Messages that are trusted, and those that are not."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from agentic_client import InvalidSignature, UnexpectedAnswer, verify_webhook
from service.webhooks.signing import signed_headers

SECRET, OLD = ("whsec_" + b64encode(text * 8).decode() for text in (b"new!", b"old!"))
NOW = 1_744_293_616
BODY = json.dumps(
    {"type": "execution.finished", "timestamp": "2025-04-10T14:00:16.000000Z", "data": {"execution": 42}}
).encode()


def signature(body: bytes = BODY, *, key: bytes = b"new!" * 8, sent_at: int = NOW) -> str:
    """By the specification: HMAC-SHA256 over id, time and body."""
    made = hmac.new(key, b"msg_1." + str(sent_at).encode() + b"." + body, hashlib.sha256)
    return "v1," + b64encode(made.digest()).decode()


def headers(signed: str | None = None, *, sent_at: int = NOW) -> dict[str, str]:
    signed = signature(sent_at=sent_at) if signed is None else signed
    return {"webhook-id": "msg_1", "webhook-timestamp": str(sent_at), "webhook-signature": signed}


def test_message_that_is_signed_is_given() -> None:
    message = verify_webhook(BODY, headers(), SECRET, now=NOW)
    assert (message.id, message.type, message.data) == ("msg_1", "execution.finished", {"execution": 42})
    assert message.timestamp == datetime(2025, 4, 10, 14, 0, 16, tzinfo=UTC)
    assert verify_webhook(BODY, {name.title(): text for name, text in headers().items()}, SECRET, now=NOW) == message


def test_signature_that_the_reference_library_makes_is_taken() -> None:
    signed = Webhook(SECRET).sign("msg_1", datetime.fromtimestamp(NOW, UTC), BODY.decode())
    verify_webhook(BODY, headers(signed), SECRET, now=NOW)


def test_message_that_the_service_signs_is_taken_with_any_of_its_secrets() -> None:
    signed = signed_headers(BODY, [b"new!" * 8, b"old!" * 8], message_id="msg_1", timestamp=NOW)
    for secret in (SECRET, OLD):
        assert verify_webhook(BODY, signed, secret, now=NOW).id == "msg_1"


def test_message_that_is_signed_but_no_event_is_told_apart() -> None:
    for body in (b"[]", b"no JSON", b'{"type": "ping"}'):
        with pytest.raises(UnexpectedAnswer):
            verify_webhook(body, headers(signature(body)), SECRET, now=NOW)


def test_message_while_secrets_change_is_taken_with_either() -> None:
    both = f"{signature(key=b'other' * 8)} v1a,abc= {signature()}"
    verify_webhook(BODY, headers(both), SECRET.rstrip("="), now=NOW)
    verify_webhook(BODY, headers(signature(key=b"old!" * 8)), [SECRET, OLD], now=NOW)


@pytest.mark.parametrize("off", [-300, 300])
def test_message_within_five_minutes_is_taken_and_beyond_it_is_not(off: int) -> None:
    verify_webhook(BODY, headers(), SECRET, now=NOW + off)
    with pytest.raises(InvalidSignature, match="300 s"):
        verify_webhook(BODY, headers(), SECRET, now=NOW + off + (1 if off > 0 else -1))


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(NOW + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "-1"},
        {"webhook-signature": ""},
        {"webhook-signature": signature(BODY + b" ")},
        {"webhook-signature": signature().replace("v1,", "v2,")},
        {"webhook-signature": signature().removeprefix("v1,")},
        {"webhook-signature": "v1,é v1, ,"},
    ],
)
def test_message_with_anything_else_in_its_headers_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(InvalidSignature):
        verify_webhook(BODY, {**headers(), **changed}, SECRET, now=NOW)


def test_message_with_another_body_or_secret_is_refused() -> None:
    for body, secret in ((BODY.replace(b"42", b"43"), SECRET), (BODY, OLD)):
        with pytest.raises(InvalidSignature):
            verify_webhook(body, headers(), secret, now=NOW)
    for nothing in ("", "whsec_", "whsec_?"):
        with pytest.raises(ValueError, match="secret"):
            verify_webhook(BODY, headers(), nothing, now=NOW)
