"""Times as they leave the service."""

from __future__ import annotations

from datetime import UTC, datetime


def ts(moment: datetime) -> str:
    """A time as the guide writes it: UTC, always six decimals, Z."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def optional_ts(moment: datetime | None) -> str | None:
    """The same for a moment that may not have come yet."""
    return None if moment is None else ts(moment)
