from __future__ import annotations

import io
import struct
import tempfile
import time
import zlib

import pytest

from service.errors import BadRequest, PayloadTooLarge
from service.files.kinds import identify, supported_extensions

PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
MEGAPIXELS_40 = 40_000_000


def png(width: int = 1, height: int = 1, padding_bytes: int = 0) -> bytes:
    """A PNG whose header claims the size given; `padding_bytes` of image data follow, whatever they decode to."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(b"\0" * 4) + b"\0" * padding_bytes
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def jpeg(width: int = 1, height: int = 1) -> bytes:
    app0 = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
    sof0 = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\0"
    return b"\xff\xd8" + app0 + sof0 + b"\xff\xd9"


def webp(width: int = 1, height: int = 1) -> bytes:
    """A lossless WebP: 14 bits of width - 1, 14 bits of height - 1."""
    bits = (width - 1) | (height - 1) << 14
    payload = b"\x2f" + struct.pack("<I", bits) + b"\0" * 8
    chunk = b"VP8L" + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def kind_of(filename: str, data: bytes, max_pixels: int = MEGAPIXELS_40) -> str:
    return identify(filename, io.BytesIO(data), max_pixels=max_pixels)


@pytest.mark.parametrize(
    ("filename", "data", "content_type"),
    [
        ("a.pdf", PDF, "application/pdf"),
        ("a.PDF", b"mail gateway line\r\n" + PDF, "application/pdf"),
        ("a.png", png(), "image/png"),
        ("a.jpg", jpeg(), "image/jpeg"),
        ("a.jpeg", jpeg(640, 480), "image/jpeg"),
        ("a.webp", webp(), "image/webp"),
        ("a.txt", b"plain", "text/plain"),
        ("a.txt", b"BMW is not a bitmap", "text/plain"),
        ("a.txt", "größer ✓".encode(), "text/plain"),
        ("a.txt", b"\xef\xbb\xbfmarked", "text/plain"),
        ("a.txt", "wide ✓".encode("utf-16"), "text/plain"),
        ("a.txt", "wide ✓".encode("utf-32"), "text/plain"),
        ("a.txt", "größer".encode("latin-1"), "text/plain"),
        ("a.txt", "データ".encode("iso2022_jp"), "text/plain"),
        ("a.csv", b"sku,name\nS-1,Mug\n", "text/csv"),
        ("a.md", b"# Title\n", "text/markdown"),
        ("a.json", b'{"a": [1, 2.5, null]}', "application/json"),
        ("a.json", b'\xef\xbb\xbf{"a": 1}', "application/json"),
    ],
)
def test_identify_when_content_fits_the_extension_then_returns_its_type(
    filename: str, data: bytes, content_type: str
) -> None:
    assert kind_of(filename, data) == content_type


@pytest.mark.parametrize(
    ("filename", "data", "message"),
    [
        ("a.pdf", b"hello", "'a.pdf' is named .pdf but its content is not a PDF"),
        ("a.pdf", png(), "'a.pdf' is named .pdf but its content is not a PDF"),
        ("a.jpg", png(), "'a.jpg' is named .jpg but its content is not a JPEG image"),
        ("a.png", b"text", "'a.png' is named .png but its content is not a PNG image"),
        ("a.webp", b"RIFF\x04\0\0\0WAVE", "'a.webp' is named .webp but its content is not a WebP image"),
        ("a.txt", PDF, "'a.txt' is named .txt but its content is not text"),
        ("a.txt", png(), "'a.txt' is named .txt but its content is not text"),
        ("a.txt", b"abc\0def", "'a.txt' is named .txt but its content is not text (it contains NUL bytes)"),
        ("a.txt", b"\x80\x81\x02\x03", "'a.txt' is named .txt but its content is not text"),
        ("a.txt", b"\x01 and half a character \xe2\x82", "'a.txt' is named .txt but its content is not text"),
        ("a.txt", "a\0b".encode("utf-16"), "'a.txt' contains a NUL character"),
        ("a.txt", b"\xff\xfea", "'a.txt' is named .txt but its content is not valid UTF-16"),
        ("a.csv", b"PK\x03\x04" + b"\0" * 30, "'a.csv' is named .csv but its content is not text"),
        ("a.json", b"{'a': 1}", "'a.json' is named .json but its content is not JSON"),
        ("a.json", b'{"a": 1', "'a.json' is named .json but its content is not JSON"),
        ("a.json", b'"\xff"', "'a.json' is named .json but its content is not JSON (it must be UTF-8)"),
        ("a.json", "{}".encode("utf-16"), "'a.json' is named .json but its content is not JSON (it must be UTF-8)"),
        ("a.json", b"[" * 100_000, "'a.json' is JSON nested too deeply"),
        ("a.json", b'{"a": NaN}', "'a.json' is named .json but its content is not JSON"),
        ("a.png", png(0, 5), "'a.png' is a damaged image: its size cannot be read"),
        ("a.png", png()[:12], "'a.png' is a damaged image: its size cannot be read"),
        ("a.txt", b"", "'a.txt' is empty"),
        ("a.exe", b"MZ", "'a.exe' is of an unsupported type; supported are .csv, .jpeg"),
        ("a.docx", b"PK\x03\x04", "'a.docx' is of an unsupported type"),
        ("README", b"text", "'README' is of an unsupported type"),
        ("evil\x1b[31m.svg", b"<svg/>", "'evil\\x1b[31m.svg' is of an unsupported type"),
    ],
)
def test_identify_when_content_and_extension_disagree_then_refuses_naming_the_file(
    filename: str, data: bytes, message: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        kind_of(filename, data)
    assert refused.value.detail.startswith(message)


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("bomb.png", png(30_000, 30_000, padding_bytes=20_000)),
        ("bomb.jpg", jpeg(30_000, 30_000)),
        ("bomb.webp", webp(16_000, 16_000)),
    ],
)
def test_identify_when_an_image_has_too_many_pixels_then_is_too_large(filename: str, data: bytes) -> None:
    with pytest.raises(PayloadTooLarge, match=rf"'{filename}' has \d+ x \d+ pixels; the limit is 40,000,000"):
        kind_of(filename, data)


def test_identify_when_an_image_has_exactly_the_limit_then_takes_it() -> None:
    assert kind_of("a.png", png(8000, 5000)) == "image/png"


def test_identify_when_bytes_split_a_character_between_pieces_then_still_decodes() -> None:
    assert kind_of("a.txt", b"a" + "€".encode() * 100_000) == "text/plain"


def test_identify_when_the_bad_byte_is_at_the_very_end_then_still_refuses() -> None:
    with pytest.raises(BadRequest, match="NUL"):
        kind_of("a.txt", b"a" * 1_000_000 + b"\0")


@pytest.mark.parametrize("size", [10, 2_000_000])
def test_identify_when_json_is_spooled_then_checks_it_in_memory_or_mapped(size: int) -> None:
    with tempfile.SpooledTemporaryFile(max_size=1_000_000) as handle:
        handle.write(b'["' + b"x" * size + b'"]')
        assert identify("a.json", handle, max_pixels=1) == "application/json"
        assert handle.tell() == 0
        handle.seek(0, io.SEEK_END)
        handle.write(b"!")
        with pytest.raises(BadRequest, match="not JSON"):
            identify("a.json", handle, max_pixels=1)


def test_identify_when_a_jpeg_is_nothing_but_segments_then_gives_up_early() -> None:
    started = time.process_time()
    with pytest.raises(BadRequest, match="damaged image"):
        kind_of("a.jpg", b"\xff\xd8" + b"\xff\xe1\0\x02" * 6_000_000)
    assert time.process_time() - started < 5


def test_supported_extensions_when_asked_then_lists_every_kind_sorted() -> None:
    assert supported_extensions() == [".csv", ".jpeg", ".jpg", ".json", ".md", ".pdf", ".png", ".txt", ".webp"]
