"""How a provider's model is asked: the limits of an answer, of a try and of all tries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.profiles import ModelProfile
from tasks.llm.transport import Retries

RETRIES = Retries()
EVENT_BYTES = 48
"""How many bytes a provider may send for each byte of a streamed answer: every few characters come in an event."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How a model is asked. The limits of a streamed answer: bytes of text, and seconds in which nothing comes."""

    max_answer_bytes: int = 1 << 20
    streams: bool = False
    attempt_seconds: float | None = None
    silence_seconds: float = 60.0
    concurrency: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    retries: Retries = RETRIES

    @classmethod
    def of(cls, profile: ModelProfile, *, max_answer_bytes: int) -> Bounds:
        """Those that a profile names."""
        return cls(
            max_answer_bytes=max_answer_bytes,
            streams=profile.stream,
            attempt_seconds=profile.attempt_seconds,
            silence_seconds=profile.silence_seconds,
            concurrency=profile.concurrency,
            options=profile.options,
        )

    @property
    def max_body_bytes(self) -> int:
        """What is read of a response."""
        return self.max_answer_bytes * (EVENT_BYTES if self.streams else 1)
