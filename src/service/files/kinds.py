"""Which files are taken: the extension says what a file claims to be, its content must agree.

Nothing is decoded beyond what the check needs and nothing is held whole: text is read in pieces, JSON is checked
over a memory map, of an image only the header is read (a PNG of 20 KB can claim 30000 x 30000 pixels).
"""

from __future__ import annotations

import codecs
import io
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import filetype
import imagesize
import msgspec

from service.errors import BadRequest, PayloadTooLarge
from service.files.limits import MEBIBYTE
from service.files.names import split_name

_HEAD_BYTES = 8192
_PIECE_BYTES = 64 * 1024
_READ_WHOLE_BYTES = MEBIBYTE
"""Up to here uploads are spooled in memory anyway."""
_IMAGE_HEADER_BYTES = MEBIBYTE
"""The size comes after a camera's notes and preview, well within this; a JPEG of 25 MB made of nothing but tiny
segments takes 20 s to walk through."""
_PDF_MARK = b"%PDF-"
_PDF_MARK_WITHIN = 1024
"""PDF readers look for the mark in the first kilobyte: mail gateways and printers put lines before it."""

# What no text holds, in any encoding whose control characters are those of ASCII: all of them but tab, the line
# and page ends, Ctrl-Z (the end of a DOS file) and escape (ISO-2022-JP, terminal colours).
_NOT_TEXT = bytes(set(range(32)) - set(b"\t\n\r\v\f\x1a\x1b"))
_WIDE_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WIDE_CODECS = ("utf-32", "utf-32", "utf-16", "utf-16")


@dataclass(frozen=True)
class Kind:
    """One supported type of file; `name` continues the sentence "its content is not …"."""

    content_type: str
    extensions: tuple[str, ...]
    name: str
    check: Callable[[Content], None]


@dataclass(frozen=True)
class Content:
    """A whole uploaded file under examination; `refuse` and `refuse_as` build the error that names it."""

    filename: str
    handle: IO[bytes]
    head: bytes
    extension: str
    max_pixels: int

    def refuse(self, reason: str) -> BadRequest:
        return BadRequest(f"{self.filename!r} {reason}")

    def refuse_as(self, kind_name: str) -> BadRequest:
        return self.refuse(f"is named {self.extension} but its content is not {kind_name}")


def identify(filename: str, handle: IO[bytes], *, max_pixels: int) -> str:
    """Return the content type of a whole, seekable file; leaves the handle at its start.

    Raises BadRequest if the type is not supported, or the content is not what the extension says, or is empty;
    PayloadTooLarge if an image has more than `max_pixels`. Reads the whole file: call it in a thread.
    """
    extension = split_name(filename)[1].lower()
    kind = _BY_EXTENSION.get(extension)
    if kind is None:
        raise BadRequest(f"{filename!r} is of an unsupported type; supported are {', '.join(supported_extensions())}")
    handle.seek(0)
    content = Content(filename, handle, handle.read(_HEAD_BYTES), extension, max_pixels)
    if not content.head:
        raise content.refuse("is empty")
    try:
        kind.check(content)
    finally:
        handle.seek(0)
    return kind.content_type


def supported_extensions() -> list[str]:
    """Extensions with their dot, lower case, sorted."""
    return sorted(_BY_EXTENSION)


def _check_pdf(content: Content) -> None:
    if _PDF_MARK not in content.head[:_PDF_MARK_WITHIN]:
        raise content.refuse_as("a PDF")


def _image_check(content_type: str, name: str) -> Callable[[Content], None]:
    def check(content: Content) -> None:
        if _signature(content.head) != content_type:
            raise content.refuse_as(name)
        content.handle.seek(0)
        header = io.BytesIO(content.handle.read(_IMAGE_HEADER_BYTES))
        width, height = imagesize.get(header, exif_rotation=False)
        if width <= 0 or height <= 0:
            raise content.refuse("is a damaged image: its size cannot be read")
        if width * height > content.max_pixels:
            raise PayloadTooLarge(
                f"{content.filename!r} has {width} x {height} pixels; the limit is {content.max_pixels:,} in all"
            )

    return check


def _check_text(content: Content) -> None:
    """UTF-8, UTF-16 and UTF-32 with their mark, or an older encoding that keeps to ASCII's control characters.

    Which older encoding it is decides the worker, which has a detector for that; a NUL is never text.
    """
    if content.head.startswith(_PDF_MARK) or _signature(content.head) in _BINARY_TYPES:
        raise content.refuse_as("text")
    for mark, codec in zip(_WIDE_MARKS, _WIDE_CODECS, strict=True):
        if content.head.startswith(mark):
            _check_wide_text(content, codec)
            return
    if not _is_utf8(content):
        _refuse_control_characters(content)


def _check_wide_text(content: Content, codec: str) -> None:
    decoder = codecs.getincrementaldecoder(codec)()
    try:
        if any("\0" in decoder.decode(piece) for piece in _pieces(content.handle)):
            raise content.refuse("contains a NUL character")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise content.refuse_as(f"valid {codec.upper()}, which its first bytes promise") from None


def _is_utf8(content: Content) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for piece in _pieces(content.handle):
            if b"\0" in piece:
                raise content.refuse_as("text (it contains NUL bytes)")
            decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _refuse_control_characters(content: Content) -> None:
    for piece in _pieces(content.handle):
        if len(piece.translate(None, _NOT_TEXT)) != len(piece):
            raise content.refuse_as("text")


def _check_json(content: Content) -> None:
    if content.head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or not _is_utf8(content):
        raise content.refuse_as("JSON (it must be UTF-8)")
    with _mapped(content.handle) as data:
        start = len(codecs.BOM_UTF8) if content.head.startswith(codecs.BOM_UTF8) else 0
        try:
            # Decoding to Raw walks the whole text and builds nothing.
            msgspec.json.decode(data[start:], type=msgspec.Raw)
        except msgspec.DecodeError as error:
            raise content.refuse_as(f"JSON ({error})") from None
        except RecursionError:
            raise content.refuse("is JSON nested too deeply") from None


@contextmanager
def _mapped(handle: IO[bytes]) -> Iterator[memoryview]:
    """The whole file: a small one read, a large one mapped, which is memory that the system can drop again."""
    size_bytes = handle.seek(0, os.SEEK_END)
    handle.seek(0)
    if size_bytes <= _READ_WHOLE_BYTES:
        with memoryview(handle.read()) as view:
            yield view
        return
    with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as whole, memoryview(whole) as view:
        yield view


def _pieces(handle: IO[bytes]) -> Iterator[bytes]:
    handle.seek(0)
    while piece := handle.read(_PIECE_BYTES):
        yield piece


def _signature(head: bytes) -> str | None:
    guess = filetype.guess(head)
    return None if guess is None else str(guess.mime)


_KINDS = (
    Kind("application/pdf", (".pdf",), "a PDF", _check_pdf),
    Kind("image/jpeg", (".jpg", ".jpeg"), "a JPEG image", _image_check("image/jpeg", "a JPEG image")),
    Kind("image/png", (".png",), "a PNG image", _image_check("image/png", "a PNG image")),
    Kind("image/webp", (".webp",), "a WebP image", _image_check("image/webp", "a WebP image")),
    Kind("text/plain", (".txt",), "text", _check_text),
    Kind("text/csv", (".csv",), "text", _check_text),
    Kind("text/markdown", (".md",), "text", _check_text),
    Kind("application/json", (".json",), "JSON", _check_json),
)
_BY_EXTENSION = {extension: kind for kind in _KINDS for extension in kind.extensions}
_BINARY_TYPES = frozenset({"image/jpeg", "image/png", "image/webp"})
