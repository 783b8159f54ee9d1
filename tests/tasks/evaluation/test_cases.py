"""Cases files: what is read, and how the wrong line and field are named."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from service.definitions.context import Product
from service.errors import SetupError
from service.settings import Settings
from tasks.definitions.catalog_enrichment import enrichment
from tasks.evaluation.cases import Case, read_cases
from tests.tasks.evaluation.samples import write_lines

GOOD: dict[str, Any] = {"id": "a", "input": {"skus": ["A-1"]}}


def read(path: Path) -> list[Case]:
    return asyncio.run(read_cases(path, enrichment, Settings.read({})))


def test_cases_when_read_then_files_are_text_and_products_are_there(tmp_path: Path) -> None:
    (tmp_path / "sheet.txt").write_text("A-1  Cup\r\n- holds tea")
    (tmp_path / "products.csv").write_text("sku,name,colour\nA-1,Cup,red\n")
    beside = {"files": ["sheet.txt"], "products": "products.csv", "stock": {"A-1": 4}}
    line = {**GOOD, **beside, "attributes": ["plain"], "held_out": True}
    [case] = read(write_lines(tmp_path / "cases.jsonl", [line]))
    assert [(file.filename, file.text) for file in case.files] == [("sheet.txt", "A-1  Cup\n- holds tea")]
    assert case.products == (Product(sku="A-1", name="Cup", details={"colour": "red"}),)
    assert case.stock == {"A-1": 4}
    assert case.input == {"skus": ["A-1"], "additional_instructions": None}
    assert (case.attributes, case.held_out) == (("plain",), True)


def test_cases_when_a_file_changes_then_it_is_another_case(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "cases.jsonl", [{**GOOD, "files": ["sheet.txt"]}])
    digests = []
    for text in ("A-1  Cup", "A-1  Mug", "A-1  Cup"):
        (tmp_path / "sheet.txt").write_text(text)
        digests.append(read(path)[0].digest)
    assert digests[0] == digests[2] != digests[1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON"),
        ([], "the line: "),
        ({"id": "b"}, "input: "),
        ({**GOOD, "id": ""}, "id: "),
        ({**GOOD, "id": "first"}, "id: 'first' is given more than once"),
        ({**GOOD, "seed": 1}, "seed"),
        ({"id": "b", "input": {"skus": ["A", 2]}}, "input.skus[1]: "),
        ({**GOOD, "files": ["absent.txt"]}, "files[0]: "),
        ({**GOOD, "files": ["sheet.exe"]}, "files[0]: "),
        ({**GOOD, "products": "absent.csv"}, "products: 'absent.csv' cannot be read"),
        ({**GOOD, "products": "bad.csv"}, "products: bad.csv has no column named sku"),
        ({**GOOD, "products": [{"name": "Cup"}]}, "products"),
        ({**GOOD, "stock": {"A-1": "four"}}, "stock"),
        ({**GOOD, "expect": {"failure": "x"}}, "expect"),
        ({**GOOD, "field_schema": {"type": "array"}}, "field_schema.type: must be 'object'"),
    ],
)
def test_case_when_wrong_then_line_and_field_are_named(line: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "sheet.exe").write_bytes(b"MZ")
    (tmp_path / "bad.csv").write_text("name\nCup\n")
    path = write_lines(tmp_path / "cases.jsonl", [{**GOOD, "id": "first"}, "", line])
    with pytest.raises(SetupError) as caught:
        read(path)
    assert f"{path}, line 3: {said}" in caught.value.detail


def test_cases_file_when_absent_or_empty_then_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read"):
        read(tmp_path / "absent.jsonl")
    with pytest.raises(SetupError, match="holds no cases"):
        read(write_lines(tmp_path / "cases.jsonl", [""]))
