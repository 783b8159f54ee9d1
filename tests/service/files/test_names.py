from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.files.names import MAX_NAME_BYTES, clean_name, split_name, unique_names


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("product_data.pdf", "product_data.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\list.csv", "list.csv"),
        ("/absolute/a.txt", "a.txt"),
        ("a\x00b\x07\x7f.txt", "ab.txt"),
        ("line\r\nbreak.txt", "line break.txt"),
        ("..", "file"),
        (".", "file"),
        ("", "file"),
        ("   ", "file"),
        ("folder/", "file"),
        (".pdf", "file.pdf"),
        (".hidden.pdf", "hidden.pdf"),
        ("report.pdf. .", "report.pdf"),
        ("Übersicht größer.md", "Übersicht größer.md"),
        ("製品.csv", "製品.csv"),
        ("👩‍🔬.png", "👩‍🔬.png"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("e\u0301t\u00e9.txt", "\u00e9t\u00e9.txt"),
        ("lone\ud800surrogate.txt", "lonesurrogate.txt"),
        ('a"b;c%2F#?.txt', 'a"b;c%2F#?.txt'),
    ],
)
def test_clean_name_when_given_a_raw_name_then_keeps_only_its_safe_base(raw: str, cleaned: str) -> None:
    assert clean_name(raw) == cleaned


def test_clean_name_when_too_long_then_cuts_the_stem_and_keeps_the_extension() -> None:
    name = clean_name("ü" * 300 + ".json")
    assert name.endswith("ü.json")
    assert 253 <= len(name.encode()) <= MAX_NAME_BYTES


def test_clean_name_when_the_extension_is_absurd_then_it_counts_as_stem() -> None:
    assert len(clean_name("a." + "x" * 400).encode()) == MAX_NAME_BYTES


@given(st.text())
def test_clean_name_when_given_any_text_then_is_a_stable_safe_name(raw: str) -> None:
    name = clean_name(raw)
    assert name
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not set(name) & set("/\\\x00\r\n")
    assert name not in {".", ".."}
    assert not name.startswith(".")
    assert all(unicodedata.category(character) != "Cc" for character in name)


def test_unique_names_when_names_repeat_then_numbers_them_in_order() -> None:
    assert unique_names(["a.pdf", "b/a.pdf", "A.PDF", "a-2.pdf", "a"]) == [
        "a.pdf",
        "a-2.pdf",
        "A-3.PDF",
        "a-2-2.pdf",
        "a",
    ]


def test_unique_names_when_long_names_repeat_then_the_number_fits_the_cap() -> None:
    first, second = unique_names(["x" * 400 + ".pdf"] * 2)
    assert len(first) == len(second) == MAX_NAME_BYTES
    assert second.endswith("-2.pdf")


def test_split_name_when_there_is_no_extension_then_it_is_empty() -> None:
    assert split_name("README") == ("README", "")
