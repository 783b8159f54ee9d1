"""Files to send with a start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True)
class Upload:
    """A file as it is sent. The service goes by its name and by what is inside, not by the `content_type`."""

    filename: str
    content: bytes
    content_type: str | None = None

    @property
    def part(self) -> tuple[str, bytes, str | None]:
        """The part of a form that it is."""
        return self.filename, self.content, self.content_type


Sendable: TypeAlias = Upload | Path | str
"""An upload, or the path of a file."""


def uploads(files: Iterable[Sendable]) -> list[Upload]:
    """The files, read: a repeat of the request must send the same bytes, whatever becomes of them. Raises OSError."""
    return [file if isinstance(file, Upload) else Upload(Path(file).name, Path(file).read_bytes()) for file in files]
