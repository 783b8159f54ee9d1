"""An uploaded file to text, once: in the worker, in a child process that can be killed, with caps.

Every end is one of two values: the text with what was cut from it, or a reason that a model and a client can be told.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import msgspec

from service.settings import Settings

_READER = Path(__file__).with_name("document_reader.py")
# UTF-8 takes up to four bytes a character, JSON escapes double a quote or a line end at most; and the counts.
_ANSWER_BYTES_PER_CHARACTER = 4
_ANSWER_BYTES_BESIDES = 4096
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class ReadingLimits:
    """What one document may cost. Characters are kept from its start; the rest is cut, and said to be."""

    timeout_seconds: float
    memory_bytes: int
    """Address space of the child."""
    max_characters: int
    max_pages: int = 500
    at_once: int = 2
    """Children running at a time in one worker; further documents wait."""

    @classmethod
    def of(cls, settings: Settings) -> ReadingLimits:
        return cls(
            timeout_seconds=settings.parse_seconds,
            memory_bytes=settings.parse_memory_bytes,
            max_characters=settings.max_text_characters,
        )


class Problem(StrEnum):
    """Why a document has no text."""

    IMAGE = "image"
    EMPTY = "empty"
    ENCRYPTED = "encrypted"
    NO_TEXT = "no_text"
    BROKEN = "broken"
    TOO_LARGE = "too_large"
    TIMED_OUT = "timed_out"


EXPLANATIONS = {
    Problem.IMAGE: "it is an image, and images are not read as text",
    Problem.EMPTY: "it is empty or holds only white space",
    Problem.ENCRYPTED: "it is encrypted and cannot be opened without its password",
    Problem.NO_TEXT: "its pages hold no text; they are probably scanned images",
    Problem.BROKEN: "it is damaged and cannot be read",
    Problem.TOO_LARGE: "reading it takes more memory than is allowed",
    Problem.TIMED_OUT: "reading it takes more time than is allowed",
}
"""Each continues the sentence "'a.pdf' could not be read: …"."""

# The child's own limits on time; and the kernel's way of taking memory back.
_FATAL_SIGNALS: dict[int, Problem] = {
    signal.SIGXCPU: Problem.TIMED_OUT,
    signal.SIGALRM: Problem.TIMED_OUT,
    signal.SIGKILL: Problem.TOO_LARGE,
}


@dataclass(frozen=True)
class DocumentText:
    """The text of a document, without control characters, lines ending in \\n, cut to the limit.

    A cut text ends with a line that says so: it reaches the model whatever a definition makes of the text.
    `characters` counts what was read before the cut: of a PDF, of `pages_read` of its `pages`.
    """

    text: str
    characters: int
    is_cut: bool = False
    pages: int | None = None
    pages_read: int | None = None


@dataclass(frozen=True)
class Unreadable:
    """A document without text. `explanation` continues "'a.pdf' could not be read: …"."""

    problem: Problem

    @property
    def explanation(self) -> str:
        return EXPLANATIONS[self.problem]


class _Answer(msgspec.Struct):
    text: str | None = None
    characters: int = 0
    pages: int | None = None
    pages_read: int | None = None
    problem: Problem | None = None


class DocumentReader:
    """Reads documents within `limits`, a few at a time. One per worker."""

    def __init__(self, limits: ReadingLimits) -> None:
        self.limits = limits
        self._slots = asyncio.Semaphore(self.limits.at_once)

    async def read(self, chunks: AsyncIterator[bytes], content_type: str) -> DocumentText | Unreadable:
        """Read one whole file. Only `chunks` may raise; the file itself never ends in an exception.

        The time limit runs from the last byte handed over: a slow database is not the file's fault.
        """
        if content_type.startswith("image/"):
            return Unreadable(Problem.IMAGE)
        async with self._slots:
            process = await self._start(content_type)
            try:
                await _feed(process, chunks)
                return await self._outcome(process)
            finally:
                await _end(process)

    async def _outcome(self, process: Process) -> DocumentText | Unreadable:
        try:
            async with asyncio.timeout(self.limits.timeout_seconds):
                answer = await self._receive(process)
                return _interpret(answer, await process.wait())
        except TimeoutError:
            return Unreadable(Problem.TIMED_OUT)

    async def _start(self, content_type: str) -> Process:
        limits = {
            "memory_bytes": self.limits.memory_bytes,
            "seconds": self.limits.timeout_seconds,
            "max_pages": self.limits.max_pages,
            "max_characters": self.limits.max_characters,
        }
        # -P: neither our folder nor the working directory is searched for modules. Its own session: a Ctrl-C or
        # SIGTERM for the worker's group must not end a read that the worker wants to finish. No secrets in the
        # environment.
        return await asyncio.create_subprocess_exec(
            sys.executable, "-P", str(_READER), content_type, json.dumps(limits),
            stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True,
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ},
        )  # fmt: skip

    async def _receive(self, process: Process) -> bytes:
        """All of the child's output, or nothing if it is longer than any honest answer."""
        assert process.stdout is not None
        longest = self.limits.max_characters * _ANSWER_BYTES_PER_CHARACTER + _ANSWER_BYTES_BESIDES
        answer = bytearray()
        while piece := await process.stdout.read(_PIECE_BYTES):
            answer += piece
            if len(answer) > longest:
                process.kill()
                return b""
        return bytes(answer)


async def _feed(process: Process, chunks: AsyncIterator[bytes]) -> None:
    assert process.stdin is not None
    try:
        async for chunk in chunks:
            process.stdin.write(chunk)
            await process.stdin.drain()
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):
        # The child ended early; its status says why.
        return


async def _end(process: Process) -> None:
    """Kill it if it still runs, and read its pipes to their end, which closes them."""
    if process.returncode is None:
        process.kill()
    await process.communicate()


def _interpret(answer: bytes, status: int) -> DocumentText | Unreadable:
    """A child that crashed, or said nothing that can be understood, was broken by the file."""
    if status != 0:
        return Unreadable(_FATAL_SIGNALS.get(-status, Problem.BROKEN))
    try:
        decoded = msgspec.json.decode(answer, type=_Answer)
    except msgspec.DecodeError:
        return Unreadable(Problem.BROKEN)
    if decoded.problem is not None or decoded.text is None:
        return Unreadable(decoded.problem or Problem.BROKEN)
    cut = _describe_cut(decoded, len(decoded.text))
    text = f"{decoded.text}\n\n[The rest of this file is missing: {cut}.]" if cut else decoded.text
    return DocumentText(text, decoded.characters, bool(cut), decoded.pages, decoded.pages_read)


def _describe_cut(answer: _Answer, kept: int) -> str:
    """Such as "these are its first 200,000 of 900,000 characters"; empty if nothing is missing."""
    parts = []
    if kept < answer.characters:
        parts.append(f"first {kept:,} of {answer.characters:,} characters")
    if answer.pages_read != answer.pages:
        parts.append(f"first {answer.pages_read:,} of {answer.pages:,} pages")
    return f"these are the {' of the '.join(parts)}" if parts else ""
