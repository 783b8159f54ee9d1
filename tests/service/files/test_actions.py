from __future__ import annotations

import asyncio
import io

import pytest

from service.errors import BadRequest, PayloadTooLarge
from service.files.actions import identify_all
from service.files.limits import FileLimits
from service.files.multipart import SpooledUpload
from service.settings import Settings

LIMITS = FileLimits.of(Settings.read({"AGENTIC_MAX_IMAGE_PIXELS": "100"}))


def upload(filename: str, data: bytes) -> SpooledUpload:
    return SpooledUpload("files", filename, "application/octet-stream", io.BytesIO(data))


def identify(*uploads: SpooledUpload) -> list[tuple[str, str]]:
    return asyncio.run(identify_all(uploads, LIMITS))


def test_identify_all_when_names_repeat_then_each_is_clean_and_unique() -> None:
    uploads = [upload("dir/a.txt", b"one"), upload("A.txt", b"two"), upload("..\\b.json", b"{}")]
    assert identify(*uploads) == [
        ("a.txt", "text/plain"),
        ("A-2.txt", "text/plain"),
        ("b.json", "application/json"),
    ]


def test_identify_all_when_the_last_one_lies_then_all_are_refused_naming_it() -> None:
    with pytest.raises(BadRequest, match=r"'b\.pdf' is named \.pdf but its content is not a PDF"):
        identify(upload("a.txt", b"one"), upload("b.pdf", b"two"))


def test_identify_all_when_an_image_passes_the_setting_then_is_too_large() -> None:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x0b\0\0\0\x0a\x08\x02\0\0\0"
    with pytest.raises(PayloadTooLarge, match="11 x 10 pixels; the limit is 100"):
        identify(upload("a.png", header))
