"""Pages of the web as text: fetched through the door, read in a process that can be killed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

from service.definitions.context import WebPage
from service.definitions.tools import ToolFailed
from service.settings import Settings
from tasks.documents import DocumentReader, DocumentText, Problem, ReadingLimits, Unreadable

if TYPE_CHECKING:
    from tasks.egress import Door, Received

MAX_PAGE_BYTES = 5 * 1024 * 1024
MAX_PAGE_CHARACTERS = 30_000
"""Text of one page that is kept: some 8,000 tokens of a prompt."""

READING_SECONDS = 15.0
TEXT_TYPES = frozenset({"text/plain", "text/csv", "text/markdown", "application/json", "application/ld+json"})
PAGE_TYPES = TEXT_TYPES | {"text/html", "application/xhtml+xml", "application/pdf", ""}
HEADERS = {"User-Agent": "agentic-executions", "Accept": "text/html, application/pdf;q=0.8, text/*;q=0.8, */*;q=0.1"}


class WebPages:
    """Fetches and reads pages. One per worker: it bounds how many are read at a time."""

    def __init__(self, settings: Settings, door: Door | None = None) -> None:
        self._allowed = settings.egress_allow
        self._door = door
        limits = ReadingLimits.of(settings)
        seconds = min(limits.timeout_seconds, READING_SECONDS)
        self._reader = DocumentReader(replace(limits, timeout_seconds=seconds, max_characters=MAX_PAGE_CHARACTERS))

    def of_run(self) -> RunWeb:
        """The web as one run sees it."""
        return RunWeb(self)

    async def read(self, url: str) -> WebPage:
        """The page as it is now. Raises ToolFailed."""
        received = await self._fetch(url)
        if not 200 <= received.status < 300:
            raise ToolFailed(f"{url} answered with status {received.status}")
        match await self._reader.read(_once(received.body), received.headers.get("content-type", "text/html")):
            case DocumentText(text=text, is_cut=is_cut):
                missing = "\n\n[The rest of this page is missing.]" if received.is_cut and not is_cut else ""
                return WebPage(url=received.url, text=text + missing, is_cut=is_cut or received.is_cut)
            case Unreadable(Problem.EMPTY):
                raise ToolFailed(f"{url} holds no text; it may need scripts to show any")
            case unreadable:
                raise ToolFailed(f"{url} could not be read: {unreadable.explanation}")

    async def close(self) -> None:
        """Nothing is fetched after this."""
        if self._door is not None:
            await self._door.close()

    async def _fetch(self, url: str) -> Received:
        from tasks.egress import Bounds, Door, NoAnswer  # the HTTP client is loaded where a page is wanted

        self._door = self._door or Door(self._allowed)
        bounds = Bounds(body_bytes=MAX_PAGE_BYTES, redirects=5, content_types=PAGE_TYPES)
        try:
            return await self._door.get(url, bounds, headers=HEADERS)
        except NoAnswer as error:
            raise ToolFailed(f"{url} {error.explanation}") from error


class RunWeb:
    """The Web of one run: what it has read stays as it was, so that what is written is held to what was shown."""

    def __init__(self, pages: WebPages) -> None:
        self._pages = pages
        self._read: dict[str, WebPage] = {}

    async def page(self, url: str) -> WebPage:
        """The page as this run first read it in this worker. Raises ToolFailed."""
        if url not in self._read:
            self._read[url] = await self._pages.read(url)
        return self._read[url]


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
