from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tasks.documents import EXPLANATIONS, DocumentReader, DocumentText, Problem, ReadingLimits, Unreadable

LIMITS = ReadingLimits(timeout_seconds=30, memory_bytes=2**30, max_characters=200_000)
PDF = "application/pdf"
TEXT = "text/plain"


def make_pdf(*pages: bytes, trailer: bytes = b"") -> bytes:
    """One page for each text, which must hold no brackets or backslashes; a page without text is blank."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * n) for n in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(pages), kids),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for n, text in enumerate(pages):
        content = b"BT /F1 12 Tf 20 700 Td (%s) Tj ET" % text if text else b""
        resources = b"/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R>>>>"
        objects.append(b"<</Type/Page/Parent 2 0 R%s/Contents %d 0 R>>" % (resources, 5 + 2 * n))
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    xref = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d/Root 1 0 R%s>>\n" % (size, table, size, trailer)
    return body + xref + b"startxref\n%d\n%%%%EOF\n" % len(body)


ENCRYPTED = make_pdf(
    b"Secret",
    trailer=b"/Encrypt<</Filter/Standard/V 1/R 2/O(%s)/U(%s)/P -4>>/ID[(a)(b)]" % (b"o" * 32, b"u" * 32),
)


async def in_pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 65_536):
        yield data[start : start + 65_536]


def read(data: bytes, content_type: str, limits: ReadingLimits = LIMITS) -> DocumentText | Unreadable:
    async def once() -> DocumentText | Unreadable:
        return await DocumentReader(limits).read(in_pieces(data), content_type)

    return asyncio.run(once())


def children() -> list[Path]:
    """The /proc directories of the reader processes that this process has started and not yet waited for."""
    found = []
    for listing in Path("/proc/self/task").glob("*/children"):
        with suppress(FileNotFoundError):  # threads and processes come and go
            processes = [Path("/proc") / pid for pid in listing.read_text().split()]
            found += [each for each in processes if b"document_reader" in (each / "cmdline").read_bytes()]
    return found


async def child() -> Path:
    """The one reader that runs now; /proc may leave a process out of a listing while another one ends."""
    deadline = time.monotonic() + 10
    while not (found := children()):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    (only,) = found
    return only


def test_read_when_a_pdf_has_text_then_gives_every_page() -> None:
    assert read(make_pdf(b"First page", b"", b"Third page"), PDF) == DocumentText(
        "First page\n\nThird page", 22, pages=3, pages_read=3
    )


@pytest.mark.parametrize(
    ("data", "content_type", "problem"),
    [
        (ENCRYPTED, PDF, Problem.ENCRYPTED),
        (make_pdf(b"", b""), PDF, Problem.NO_TEXT),
        (make_pdf(), PDF, Problem.BROKEN),
        (b"%PDF-1.4\nnothing that follows is a PDF", PDF, Problem.BROKEN),
        (make_pdf(b"cut")[:150], PDF, Problem.BROKEN),
        (b"", PDF, Problem.EMPTY),
        (b"", TEXT, Problem.EMPTY),
        (b" \r\n\t ", TEXT, Problem.EMPTY),
        (b"\x89PNG", "image/png", Problem.IMAGE),
    ],
)
def test_read_when_a_document_has_no_text_then_says_why(data: bytes, content_type: str, problem: Problem) -> None:
    outcome = read(data, content_type)
    assert outcome == Unreadable(problem)
    assert isinstance(outcome, Unreadable)
    assert outcome.explanation == EXPLANATIONS[problem]


def test_explanations_when_a_problem_is_known_then_has_a_sentence() -> None:
    assert set(EXPLANATIONS) == set(Problem)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("größe ✓", "utf-8"),
        ("größe ✓", "utf-8-sig"),
        ("größe ✓", "utf-16"),
        ("größe ✓", "utf-32"),
        ("größe", "cp1252"),
        ("3 m² à 5 £, ½ litre", "cp1252"),
        ("sku;name;preis\nS-1;Kaffeebecher groß;12,50 €\n" * 20, "cp1252"),
        ("Tasse en céramique blanche, très élégante, à offrir.", "cp1252"),
        ("Taza de cerámica blanca para el año nuevo", "cp1252"),
        ("Kubek ceramiczny biały, pojemność 350 ml. Nadaje się do gorących napojów.", "cp1250"),
        ("Кружка керамическая белая, объём 350 мл. Подходит для горячих напитков.", "cp1251"),
        ("マグカップ 白い陶器、容量は350mlです。食器洗い機対応。", "shift_jis"),
        ("白色陶瓷杯，容量350毫升，适合热饮。", "gb18030"),
    ],
)
def test_read_when_text_is_in_some_encoding_then_decodes_it(text: str, encoding: str) -> None:
    outcome = read(text.encode(encoding), TEXT)
    assert isinstance(outcome, DocumentText)
    assert outcome.text == text.strip()


def test_read_when_text_has_control_characters_then_drops_them_and_unifies_line_ends() -> None:
    outcome = read("a\0b\x07c\r\nd\re\u2028f\tg\x1b[31m\ufeff".encode(), TEXT)
    assert outcome == DocumentText("abc\nd\ne\nf\tg[31m", 15)


@pytest.mark.parametrize(
    ("content_type", "text"),
    [("application/json", '{"sku": "S-1"}'), ("text/csv", "sku,name\nS-1,Mug"), ("text/markdown", "# A")],
)
def test_read_when_text_has_structure_then_leaves_it_as_it_is(content_type: str, text: str) -> None:
    assert read(text.encode(), content_type) == DocumentText(text, len(text))


def test_read_when_text_is_long_then_cuts_at_a_line_and_says_so() -> None:
    outcome = read(b"line\n" * 1000, TEXT, replace(LIMITS, max_characters=102))
    notice = "\n\n[The rest of this file is missing: these are the first 99 of 4,999 characters.]"
    assert outcome == DocumentText("line\n" * 19 + "line" + notice, 4999, is_cut=True)


def test_read_when_one_line_is_long_then_cuts_inside_it() -> None:
    outcome = read(b"x" * 1000, TEXT, replace(LIMITS, max_characters=100))
    assert isinstance(outcome, DocumentText)
    assert outcome.text.startswith("x" * 100 + "\n\n[The rest")


def test_read_when_text_has_exactly_the_limit_then_nothing_is_cut() -> None:
    assert read(b"x" * 100, TEXT, replace(LIMITS, max_characters=100)) == DocumentText("x" * 100, 100)


def test_read_when_a_pdf_has_too_many_pages_then_reads_the_first_and_says_so() -> None:
    outcome = read(make_pdf(*[b"page"] * 20), PDF, replace(LIMITS, max_pages=3))
    notice = "\n\n[The rest of this file is missing: these are the first 3 of 20 pages.]"
    assert outcome == DocumentText("page\n\npage\n\npage" + notice, 16, is_cut=True, pages=20, pages_read=3)


def test_read_when_a_pdf_has_too_many_characters_then_stops_at_that_page() -> None:
    outcome = read(make_pdf(*[b"word"] * 20), PDF, replace(LIMITS, max_characters=10))
    cut = "these are the first 10 of 16 characters of the first 3 of 20 pages"
    text = f"word\n\nword\n\n[The rest of this file is missing: {cut}.]"
    assert outcome == DocumentText(text, 16, is_cut=True, pages=20, pages_read=3)


def test_read_when_text_needs_too_much_memory_then_is_too_large() -> None:
    outcome = read(b"x" * 50_000_000, TEXT, replace(LIMITS, memory_bytes=60_000_000))
    assert outcome == Unreadable(Problem.TOO_LARGE)


def test_read_when_the_time_is_over_then_kills_the_child() -> None:
    started = time.monotonic()
    outcome = read(b"\xe9a" * 12_000_000, TEXT, replace(LIMITS, timeout_seconds=0.05))
    assert outcome == Unreadable(Problem.TIMED_OUT)
    assert time.monotonic() - started < 10
    assert children() == []


@pytest.mark.parametrize(
    ("sent", "problem"),
    [
        (signal.SIGSEGV, Problem.BROKEN),
        (signal.SIGABRT, Problem.BROKEN),
        (signal.SIGXCPU, Problem.TIMED_OUT),
        (signal.SIGALRM, Problem.TIMED_OUT),
        (signal.SIGKILL, Problem.TOO_LARGE),
    ],
)
def test_read_when_the_child_dies_of_a_signal_then_the_worker_lives_and_says_why(
    sent: signal.Signals, problem: Problem
) -> None:
    async def dying() -> AsyncIterator[bytes]:
        yield b"some text"
        os.kill(int((await child()).name), sent)
        for _ in range(50):
            yield b"more" * 50_000

    async def once() -> DocumentText | Unreadable:
        return await DocumentReader(LIMITS).read(dying(), TEXT)

    assert asyncio.run(once()) == Unreadable(problem)


def test_read_when_the_chunks_fail_then_passes_the_error_on_and_ends_the_child() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"some"
        raise TimeoutError("the database is away")

    async def once() -> None:
        await DocumentReader(LIMITS).read(failing(), TEXT)

    with pytest.raises(TimeoutError, match="database"):
        asyncio.run(once())
    assert children() == []


def test_read_when_cancelled_then_ends_the_child() -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"some"
        await asyncio.Event().wait()

    async def once() -> None:
        async with asyncio.timeout(0.2):
            await DocumentReader(LIMITS).read(endless(), TEXT)

    with pytest.raises(TimeoutError):
        asyncio.run(once())
    assert children() == []


def test_read_when_more_documents_come_than_slots_then_they_wait() -> None:
    seen: list[str] = []

    async def watched() -> AsyncIterator[bytes]:
        seen.append((await child()).name)
        yield b"text"

    async def several() -> list[DocumentText | Unreadable]:
        reader = DocumentReader(replace(LIMITS, at_once=1))
        return await asyncio.gather(*(reader.read(watched(), TEXT) for _ in range(3)))

    assert asyncio.run(several()) == [DocumentText("text", 4)] * 3
    assert len(set(seen)) == 3


def test_read_when_the_working_directory_holds_hostile_modules_then_they_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "pypdfium2", "tasks"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    assert read(make_pdf(b"Hello"), PDF) == DocumentText("Hello", 5, pages=1, pages_read=1)


def test_read_when_the_child_starts_then_its_own_folder_is_no_place_for_modules() -> None:
    commands: list[bytes] = []

    async def watched() -> AsyncIterator[bytes]:
        commands.append((await child() / "cmdline").read_bytes())
        yield b"text"

    async def once() -> None:
        await DocumentReader(LIMITS).read(watched(), TEXT)

    asyncio.run(once())
    assert commands[0].split(b"\0")[1] == b"-P"


def test_read_when_the_worker_has_secrets_then_the_child_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    environments: list[bytes] = []

    async def watched() -> AsyncIterator[bytes]:
        environments.append((await child() / "environ").read_bytes())
        yield b"text"

    async def once() -> None:
        await DocumentReader(LIMITS).read(watched(), TEXT)

    asyncio.run(once())
    assert b"PATH=" in environments[0]
    assert b"DATABASE_URL" not in environments[0]
