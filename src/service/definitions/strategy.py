"""How a rejected answer is corrected: what is asked for next, what the model sees of the old answer, who is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Rung = Literal["patch", "hint", "full", "escalate"]
"""`patch`: only the fields that issues are about, the rest is kept. `hint`: the whole answer, without showing the
rejected one. `full`: the whole answer, the rejected one shown. `escalate`: as `full`, by a stronger model."""

RUNGS: tuple[Rung, ...] = get_args(Rung)
PROPOSE = "propose"
"""What the first cycle is on: no rung yet."""


@dataclass(frozen=True, kw_only=True)
class Strategy:
    """The rungs that corrections take, cheapest first, and the model that `escalate` asks.

    A correction stays on its rung as long as it gets on; the same answer, or the same issues, take it to the next.
    """

    ladder: Sequence[Rung] = RUNGS
    escalate_to: str | None = None
