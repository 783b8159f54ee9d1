"""Where the migrations are and which is the newest, for processes that run none: alembic is a second of imports."""

from __future__ import annotations

from pathlib import Path

import service


def migrations_directory() -> Path:
    """The folder of the revisions: inside the installed package, or beside src/ in a checkout."""
    package = Path(service.__file__).resolve().parent
    carried = package / "migrations"
    return carried if carried.is_dir() else package.parent.parent / "migrations"


def head_revision() -> str:
    """The revision that this code expects: the highest number among the files, which are one line of descent."""
    numbers = [path.name.partition("_")[0] for path in (migrations_directory() / "versions").glob("[0-9]*_*.py")]
    return max(numbers)
