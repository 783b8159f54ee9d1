"""Product files for the command line: CSV or JSON lines with sku, name and description; the rest becomes details."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from service.datasets.models import ProductUpload
from service.errors import SetupError

COLUMNS = ("sku", "name", "description")


def read_products(path: Path) -> list[ProductUpload]:
    """The products of a .csv or .jsonl file. Raises SetupError naming the file, the line and what is wrong there."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SetupError(f"{path.name} is not UTF-8 text: {error.reason} at byte {error.start}.") from error
    if path.suffix.lower() == ".csv":
        rows = _csv_rows(path.name, text)
    elif path.suffix.lower() == ".jsonl":
        rows = _json_rows(path.name, text)
    else:
        raise SetupError(f"{path.name}: product files end in .csv or .jsonl.")
    return _distinct(path.name, [_upload(path.name, line, row) for line, row in rows])


def _csv_rows(name: str, text: str) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if "sku" not in (reader.fieldnames or ()):
        raise SetupError(f"{name} has no column named sku; its first line is {reader.fieldnames!r}.")
    rows: list[tuple[int, dict[str, Any]]] = []
    try:
        for row in reader:
            if None in row:
                raise SetupError(f"{name}, line {reader.line_num}: more values than columns.")
            rows.append((reader.line_num, {key: value for key, value in row.items() if value is not None}))
    except csv.Error as error:
        raise SetupError(f"{name}, line {reader.line_num}: {error}.") from error
    return rows


def _json_rows(name: str, text: str) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append((number, msgspec.json.decode(line, type=dict[str, Any])))
        except msgspec.DecodeError as error:
            raise SetupError(f"{name}, line {number}: {error}.") from error
    return rows


def _upload(name: str, line: int, row: Mapping[str, Any]) -> ProductUpload:
    details = {key: value for key, value in row.items() if key not in COLUMNS}
    known = {key: value for key, value in row.items() if key in COLUMNS}
    try:
        upload = msgspec.convert({**known, "details": details}, ProductUpload)
    except msgspec.ValidationError as error:
        raise SetupError(f"{name}, line {line}: {error}.") from error
    if "\0" in msgspec.json.encode(upload).decode() or "\\u0000" in msgspec.json.encode(upload).decode():
        raise SetupError(f"{name}, line {line}: a NUL character cannot be stored.")
    return upload


def _distinct(name: str, uploads: Iterable[ProductUpload]) -> list[ProductUpload]:
    seen: dict[str, ProductUpload] = {}
    for upload in uploads:
        if upload.sku in seen:
            raise SetupError(f"{name}: SKU {upload.sku!r} is given more than once.")
        seen[upload.sku] = upload
    return list(seen.values())
