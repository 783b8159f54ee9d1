"""How a model is given the papers: their text, fenced as data, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from service.definitions.context import AttachedFile, as_data

MOST_CHARACTERS = 60_000
"""Of all files together; the rest is said to be missing."""


def papers(files: Sequence[AttachedFile]) -> str:
    """The files as a part of the instructions."""
    return "\n\n".join(_each(files)) or "No file is attached."


def _each(files: Sequence[AttachedFile]) -> Iterator[str]:
    left = MOST_CHARACTERS
    for file in files:
        if file.problem:
            yield f"{file.filename!r} could not be read as text: {file.problem}."
            continue
        shown = file.text[:left]
        left -= len(shown)
        yield as_data(file.filename, shown)
        if len(shown) < len(file.text):
            yield f"The rest of {file.filename!r} is missing here; it is too long."
