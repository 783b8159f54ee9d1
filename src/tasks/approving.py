"""Calls that somebody has to approve: how one stands, and what ends a run's time with a worker until it is decided."""

from __future__ import annotations

import json
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["open", "approved", "declined", "expired"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How a call stands that was asked for. `reason` is what whoever decided said."""

    state: State
    reason: str | None = None

    @property
    def may_run(self) -> bool:
        """Whether the call may be carried out."""
        return self.state == "approved"

    @property
    def is_open(self) -> bool:
        """Whether nobody has decided yet."""
        return self.state == "open"


OPEN = Standing(state="open")
APPROVED = Standing(state="approved")


class AwaitsApproval(Exception):
    """Nothing is left to do before somebody decides. What is journalled is kept; the run goes on from it."""


def declined(standing: Standing) -> str:
    """What the model reads as the result of a call that was not carried out, as JSON text."""
    if standing.state == "expired":
        said = "nobody approved this call in time, and it was not carried out"
    else:
        said = "this call was declined, and was not carried out"
    because = f": {standing.reason}" if standing.reason else ""
    return json.dumps({"error": f"{said}{because}"}, ensure_ascii=False)
