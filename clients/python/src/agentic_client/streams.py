"""Server-sent events: bytes to events, and where a stream that was cut goes on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TypeAlias

import httpx

from agentic_client import calls
from agentic_client.calls import Call
from agentic_client.errors import AgenticError, UnexpectedAnswer, error_of
from agentic_client.flows import unreachable
from agentic_client.models import Event, Execution
from agentic_client.reading import read
from agentic_client.retrying import Retrying

LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
"""A carriage return at the very end may be the first half of a line's end."""
PAUSE_SECONDS = 1.0

Frame: TypeAlias = dict[str, str]
"""The fields of one event: id, event, data."""


class Frames:
    """Splits a stream as it comes. What is not complete when the stream is cut is never given."""

    def __init__(self) -> None:
        self._rest = b""
        self._frame: Frame = {}

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that these bytes complete."""
        *lines, self._rest = LINE_END.split(self._rest + data)
        for line in lines:
            if line:
                self._field(line.decode(errors="replace"))
            elif self._frame:
                frame, self._frame = self._frame, {}
                yield frame

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data" and "data" in self._frame:
            value = f"{self._frame['data']}\n{value}"
        if name:  # without one it is a comment: a sign of life
            self._frame[name] = value


class Subscription:
    """One log of events, of an execution or of the whole account, read over as many connections as it takes.

    `after` is the cursor: the `sequence`, or the `position` in the account's log, of the last event that was given.
    """

    def __init__(self, of: Execution | int | None, retrying: Retrying, *, after: int) -> None:
        self._is_over = False
        self._of, self._retrying, self._after = of, retrying, after
        self._frames = Frames()
        self._failures = 0
        self._pause = PAUSE_SECONDS

    def is_over(self) -> bool:
        """Whether the last event was given."""
        return self._is_over

    def call(self) -> Call[None]:
        """The request for what comes next."""
        self._frames = Frames()
        return calls.events(self._of, after=self._after)

    def accepts(self, response: httpx.Response) -> bool:
        """Whether the answer is a stream to read. 204 is none, and the end."""
        if response.status_code == httpx.codes.NO_CONTENT:
            self._is_over = True
            return False
        if response.status_code != httpx.codes.OK:
            return False
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise UnexpectedAnswer("The API answered without a stream.")
        self._failures = 0
        return True

    def events(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete, each once."""
        for frame in self._frames.feed(data):
            if (text := frame.get("retry", "")).isdecimal():
                self._pause = int(text[:6]) / 1000
            if "data" not in frame:
                continue
            event = _event(frame["data"])
            cursor = event.sequence if event.position is None else event.position
            if cursor <= self._after:
                continue
            self._after = cursor
            self._is_over = self._of is not None and event.is_final
            yield event

    def pause_after(self, failure: httpx.RequestError | httpx.Response) -> float:
        """The seconds after which to connect again. Raises what failed, if that will not help."""
        if isinstance(failure, httpx.RequestError):
            return self._next_pause(unreachable(failure))
        if failure.is_success:
            return self._pause
        return self._next_pause(error_of(failure))

    def _next_pause(self, error: AgenticError) -> float:
        self._failures += 1
        error.attempts = self._failures
        pause = self._retrying.pause(self._failures, error)
        if pause is None:
            raise error
        return pause


def _event(data: str) -> Event:
    try:
        return read(Event, json.loads(data))
    except json.JSONDecodeError as error:
        raise UnexpectedAnswer("The stream has an event that is not JSON.") from error
