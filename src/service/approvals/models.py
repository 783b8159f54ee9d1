"""Approvals as REST gives and takes them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from service.database import Row
from service.times import optional_ts, ts


class Approval(msgspec.Struct, kw_only=True):
    """A call of a tool that somebody has to approve. `status` is open, approved, declined, expired (nobody decided in
    time) or withdrawn (its execution ended first). `arguments` are what the call would be given; null for an account
    that may not decide any more. `decided_by` is the account that decided; null where time did, and for all but admins
    where an admin did."""

    id: int
    execution: int
    turn: int
    call: int
    tool: str
    arguments: msgspec.Raw | None
    status: str
    requested_at: str
    expires_at: str | None
    decided_at: str | None
    decided_by: int | None
    reason: str | None


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why; of a call that is declined, the model is told."""

    reason: Annotated[str, Meta(max_length=2000)] | None = None


def approval(row: Row) -> Approval:
    """A row of the store."""
    return Approval(
        id=row["id"],
        execution=row["execution_id"],
        turn=row["turn"],
        call=row["call"],
        tool=row["tool"],
        arguments=None if row["arguments"] is None else _arguments(bytes(row["arguments"])),
        status=row["status"],
        requested_at=ts(row["requested_at"]),
        expires_at=optional_ts(row["expires_at"]),
        decided_at=optional_ts(row["decided_at"]),
        decided_by=row["decided_by"],
        reason=row["reason"],
    )


def _arguments(stored: bytes) -> msgspec.Raw:
    """The model's JSON as it is; what is none is shown as the text that it is."""
    text = stored.decode("utf-8", "replace").strip() or "{}"
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return msgspec.Raw(msgspec.json.encode(text))
    return msgspec.Raw(text.encode())
