"""Documentation that must not fall behind: settings, roles, failure codes, links."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache
from pathlib import Path

from service.commands import examinations
from service.definitions.failures import MEANINGS
from service.settings import Settings
from tests.architecture.sources import ROOT, name

DOCUMENTS = [ROOT / "README.md", ROOT / "clients" / "python" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
MAKE = re.compile(r"(?:^ {4}|`|\$ )make ([a-z-]+)", re.MULTILINE)
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
FAILURE_CODES = (ROOT / "docs" / "failure-codes.md").read_text()
SETTING = re.compile(r"^\| `([A-Z_]+)` \| (?:`(.+?)`|–) \| (.+) \|$", re.MULTILINE)
CODE = re.compile(r"^\| `([a-z_]+)` \| (.+?) \| (yes|no) \| (.+) \|$", re.MULTILINE)


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    documented = {name: (default, meaning) for name, default, meaning in SETTING.findall(OPERATIONS)}
    settings = [setting.metadata for setting in fields(Settings)]
    assert documented == {each["variable"]: (each["default"], each["doc"]) for each in settings}


def test_every_failure_code_is_documented_with_what_to_do() -> None:
    documented = {code: (meaning, answer == "yes") for code, meaning, answer, _ in CODE.findall(FAILURE_CODES)}
    assert documented == {code.value: meaning for code, meaning in MEANINGS.items()}
    assert all(advice.endswith(".") for *_, advice in CODE.findall(FAILURE_CODES))


def test_limits_of_the_reporting_role_are_those_that_doctor_prints() -> None:
    printed = [line.format(role="reporting_reader").replace('"', "") for line in examinations.REPORTING_LINES]
    assert [line for line in printed if line not in OPERATIONS] == []


def test_links_between_documents_lead_somewhere() -> None:
    links = [(document, *link) for document in DOCUMENTS for link in LINK.findall(document.read_text())]
    assert links
    assert [
        f"{name(document)}: {path}" for document, path, _ in links if path and not (document.parent / path).exists()
    ] == []


def test_sections_that_links_name_exist() -> None:
    links = [(document, *link) for document in DOCUMENTS for link in LINK.findall(document.read_text())]
    named = [(document, (document.parent / path) if path else document, anchor) for document, path, anchor in links]
    assert [
        f"{name(document)}: {target.name}#{anchor}"
        for document, target, anchor in named
        if anchor and anchor not in anchors(target)
    ] == []


@cache
def anchors(document: Path) -> set[str]:
    """Of its headings, as the readers of Markdown make them: lower case, no punctuation, hyphens for spaces."""
    headings = HEADING.findall(FENCED.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_make_targets_that_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for document in DOCUMENTS for target in MAKE.findall(document.read_text())}
    assert named
    assert named <= targets
